"""Completions for prompts from one or several checkpoints, into `completions.jsonl`; resumable."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import torch

from training.rlhf.chat import ChatEncoder
from training.rlhf.culprits import place_in
from training.rlhf.data import PromptRow, read_prompts
from training.rlhf.encoder_decoder import logits_of
from training.rlhf.errors import DataError, InterruptedRun
from training.rlhf.generation import generate, stop_ids
from training.rlhf.models import context_length, load_language_model
from training.rlhf.run import Run
from training.rlhf.session import derived_seed, open_accelerator

COMPLETIONS = "completions.jsonl"


def execute(run: Run, config: Any) -> None:
    accelerator = open_accelerator(config)
    prompts = read_prompts(config.prompts_file)
    path = run.folder / COMPLETIONS
    done = _completed(path)
    total = len(prompts) * config.completions_per_prompt * len(config.checkpoints)
    run.step = len(done)
    run.state("running", total_steps=total)
    started, before = time.monotonic(), len(done)
    with open(path, "ab") as file:
        for checkpoint in config.checkpoints:
            wanted = [
                (p, c)
                for p in range(len(prompts))
                for c in range(config.completions_per_prompt)
                if (p, checkpoint, c) not in done
            ]
            if not wanted:
                continue
            model, tokenizer = load_language_model(
                checkpoint, allowed_hub_ids=config.allowed_hub_ids, field="checkpoints"
            )
            sampler = Sampler(
                model.to(accelerator.device).eval(), tokenizer, prompts, config, accelerator, checkpoint
            )
            for rows in sampler.in_batches(wanted):
                for row in rows:
                    file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
                file.flush()
                os.fsync(file.fileno())
                run.step += len(rows)
                run.progress(total, (time.monotonic() - started) / (run.step - before))
                if run.stop_requested and run.step < total:
                    raise InterruptedRun(f"stopped on request with {run.step} of {total} completions")
    run.finish("succeeded", metrics=_summary(path), completions=COMPLETIONS)


class Sampler:
    """One checkpoint at work on a list of prompts."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        prompts: list[PromptRow],
        config: Any,
        accelerator: Any,
        checkpoint: str,
    ) -> None:
        self.prompts, self.config, self.accelerator = prompts, config, accelerator
        self.model = logits_of(model).model  # prompts are read packed where the model allows it
        self.encoder = ChatEncoder(tokenizer)
        self.checkpoint = checkpoint
        self.stops = stop_ids(model, tokenizer, self.encoder.stop_id)
        room = context_length(model) - config.max_new_tokens
        if room < 1:
            raise DataError(
                f"max_new_tokens ({config.max_new_tokens}) leaves no room for a prompt: {checkpoint} reads "
                f"{context_length(model)} tokens",
                file=config.prompts_file,
            )
        limit = min(config.maximum_prompt_length or room, room)
        self.encoded = [self.encoder.encode_prompt(row.prompt) for row in prompts]
        for row, ids in zip(prompts, self.encoded, strict=True):
            if len(ids) > limit:
                raise DataError(
                    f"the prompt has {len(ids)} tokens, more than the {limit} that fit {checkpoint}",
                    file=config.prompts_file,
                    row=row.row,
                    field="messages",
                )

    def _place(self, prompt: int) -> str:
        return place_in(self.config.prompts_file, self.prompts[prompt].row)

    def in_batches(self, wanted: list[tuple[int, int]]):
        """Lists of finished rows; prompts of like length go together."""
        order = sorted(wanted, key=lambda pair: (len(self.encoded[pair[0]]), pair))
        for start in range(0, len(order), self.config.batch_size):
            yield self._answer(order[start : start + self.config.batch_size])

    def _answer(self, pairs: list[tuple[int, int]]) -> list[dict[str, Any]]:
        # The seed names prompt and completion, not the checkpoint's folder: moving it changes no text.
        seeds = [derived_seed(self.config.seed, "sample", prompt, completion) for prompt, completion in pairs]
        with self.accelerator.autocast():
            found = generate(
                self.model,
                [self.encoded[prompt] for prompt, _ in pairs],
                seeds=seeds,
                pad_id=self.encoder.pad_id,
                stops=self.stops,
                max_new_tokens=self.config.max_new_tokens,
                temperature=self.config.temperature,
                top_p=self.config.top_p,
                device=self.accelerator.device,
                is_over=self.encoder.says_it_is_over,
                place=lambda index: self._place(pairs[index][0]),
            )
        rows = []
        for (prompt, completion), seed, sampled in zip(pairs, seeds, found, strict=True):
            row = {
                "prompt_index": prompt,
                "checkpoint": self.checkpoint,
                "completion_index": completion,
                "text": self.encoder.decode(sampled.tokens),
                "finish_reason": "stop" if sampled.ended else "length",
                "token_count": len(sampled.tokens),
                "seed": seed,
            }
            if self.prompts[prompt].prompt_id is not None:
                row["prompt_id"] = self.prompts[prompt].prompt_id
            rows.append(row)
        return rows


def _completed(path: Path) -> set[tuple[int, str, int]]:
    """What an earlier start already wrote; a torn last line is cut off."""
    if not path.exists():
        return set()
    raw = path.read_bytes()
    whole = raw.rfind(b"\n") + 1
    if whole != len(raw):
        with open(path, "r+b") as file:
            file.truncate(whole)
    rows = (json.loads(line) for line in raw[:whole].splitlines())
    return {(row["prompt_index"], row["checkpoint"], row["completion_index"]) for row in rows}


def _summary(path: Path) -> dict[str, float]:
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    lengths = torch.tensor([row["token_count"] for row in rows], dtype=torch.float64)
    ended = sum(row["finish_reason"] == "stop" for row in rows)
    return {"completions": len(rows), "response_length": float(lengths.mean()), "eos_rate": ended / len(rows)}
