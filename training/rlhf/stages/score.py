"""What a reward model gives completions, into `scores.jsonl`; resumable."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.rlhf.batches import micro_batches, read_ends
from training.rlhf.chat import ChatEncoder
from training.rlhf.data import CompletionRow, read_completions
from training.rlhf.errors import InterruptedRun, NonFiniteError
from training.rlhf.models import SequenceScores, context_length, load_reward_model, silence_dropout
from training.rlhf.run import Run
from training.rlhf.session import open_accelerator

SCORES = "scores.jsonl"


def execute(run: Run, config: Any) -> None:
    """Each completion once, named by its id; what an earlier start wrote is not computed again."""
    accelerator = open_accelerator(config)
    rows = read_completions(config.completions_file)
    path = run.folder / SCORES
    done = scored(path)
    model, tokenizer = load_reward_model(config.reward_model, allowed_hub_ids=config.allowed_hub_ids)
    silence_dropout(model)
    scorer = SequenceScores(model.to(accelerator.device).eval(), packing=config.packing)
    limit = min(config.maximum_length or context_length(model), context_length(model))
    sequences, left_out = encode(rows, ChatEncoder(tokenizer), limit)
    if left_out:
        run.log(
            f"{left_out} completions are longer than {limit} tokens with their prompts and get no score",
            dropped_completions=left_out,
        )
    wanted = [index for index in sequences if rows[index].completion_id not in done]
    total = len(sequences)
    before = run.step = total - len(wanted)
    run.state("running", total_steps=total)
    started = time.monotonic()
    lengths = [len(sequences.get(index, [])) for index in range(len(rows))]
    groups = micro_batches(wanted, lengths, config.micro_batch_tokens, packed=scorer.packs)
    with open(path, "ab") as file:
        for group in groups:
            batch = read_ends(
                [sequences[index] for index in group], tokenizer.pad_token_id, packed=scorer.packs
            )
            with torch.no_grad(), accelerator.autocast():
                found = scorer(batch.to(accelerator.device))
            for line in lines_of([rows[index] for index in group], found):
                file.write(line)
            file.flush()
            os.fsync(file.fileno())
            run.step += len(group)
            run.progress(total, (time.monotonic() - started) / (run.step - before))
            if run.stop_requested and run.step < total:
                raise InterruptedRun(f"stopped on request with {run.step} of {total} completions")
    run.finish("succeeded", metrics={**summary(path), "completions_left_out": left_out}, scores=SCORES)


def encode(rows: list[CompletionRow], encoder: ChatEncoder, limit: int) -> tuple[dict[int, list[int]], int]:
    """({row index: token ids of prompt and completion} of those that fit, how many do not)."""
    encoded = {
        index: encoder.encode_prompt(row.prompt) + encoder.encode_response(row.text)
        for index, row in enumerate(rows)
    }
    kept = {index: ids for index, ids in encoded.items() if len(ids) <= limit}
    return kept, len(encoded) - len(kept)


def lines_of(rows: list[CompletionRow], scores: Tensor) -> list[bytes]:
    lines = []
    for row, score in zip(rows, scores.tolist(), strict=True):
        if not math.isfinite(score):
            raise NonFiniteError(f"the score of the completion in row {row.row} is not finite")
        lines.append((json.dumps({"completion_id": row.completion_id, "score": score}) + "\n").encode())
    return lines


def scored(path: Path) -> dict[Any, float]:
    """{completion id: score} written by earlier starts; a torn last line is cut off."""
    if not path.exists():
        return {}
    raw = path.read_bytes()
    whole = raw.rfind(b"\n") + 1
    if whole != len(raw):
        with open(path, "r+b") as file:
            file.truncate(whole)
    rows = (json.loads(line) for line in raw[:whole].splitlines())
    return {row["completion_id"]: row["score"] for row in rows}


def summary(path: Path) -> dict[str, float]:
    scores = torch.tensor(list(scored(path).values()), dtype=torch.float64)
    if not len(scores):
        return {"completions": 0}
    return {
        "completions": len(scores),
        "score_mean": float(scores.mean()),
        "score_deviation": float(scores.std(unbiased=False)),
    }
