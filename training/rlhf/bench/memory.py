"""The estimate of memory against what a run really takes: each case is a run of its own in a child process.

Measured is the most that the child ever held in memory, estimated is what its log said before
it loaded any weights. Rows are of uneven length, as rows are.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.rlhf.bench.corpus import CONTEXT, Corpus, new_model, new_pair_model
from training.rlhf.config import validate
from training.rlhf.events import read_events
from training.rlhf.models import new_reward_model

ROWS, K, NEW_TOKENS = 96, 4, 96
LOOK_EVERY = 0.02  # seconds
PAIRS = "sft of T5"  # an encoder–decoder model, which is padded and keeps scores of attention
CASES = [
    (stage, method, tokens)
    for stage in ("sft", PAIRS, "reward", "ppo")
    for method in ("full", "lora")
    for tokens in (1024, 4096)
]
STEPS: dict[str, dict[str, Any]] = {
    "sft": {"maximum_steps": 6, "batch_size": 32, "maximum_length": CONTEXT},
    PAIRS: {"maximum_steps": 6, "batch_size": 32, "maximum_length": CONTEXT},
    "reward": {"maximum_steps": 4, "batch_size": 16, "maximum_length": CONTEXT},
    "ppo": {
        "steps": 2,
        "batch_size": 64,
        "minibatch_size": 32,
        "ppo_epochs": 2,
        "maximum_new_tokens": NEW_TOKENS,
        "maximum_prompt_length": CONTEXT - NEW_TOKENS,
    },
}


def memory(
    corpus: Corpus, shape: str, folder: Path, cases: list[Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(case, {"measured", "estimated", "ratio"}) in bytes, the estimate over what was measured."""
    files = prepare(corpus, shape, folder)
    for stage, method, tokens in cases:
        config = {**STEPS[stage], **files[stage], "method": method, "micro_batch_tokens": tokens}
        out = folder / f"{stage}-{method}-{tokens}".replace(" ", "-")
        measured = run(_command(stage), {"threads": 1, "device": "cpu", **config}, out)
        told = [event["data"] for event in read_events(out / "events.jsonl")]
        estimate = next(data["memory"] for data in told if "memory" in data)
        found = {"measured": measured, "estimated": estimate["peak"], "ratio": estimate["peak"] / measured}
        yield f"{stage}, {method}, {tokens} tokens", found | {"parts": estimate}


def _command(stage: str) -> str:
    return "sft" if stage == PAIRS else stage


def run(stage: str, config: dict[str, Any], out: Path) -> int:
    """The most bytes that `python -m training.rlhf STAGE` held; RuntimeError where it failed."""
    path = out.with_suffix(".json")
    path.write_text(json.dumps(config))
    command = [sys.executable, "-m", "training.rlhf", stage, "--config", str(path), "--out", str(out)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while child.poll() is None:
        peak = max(peak, _most_held(child.pid))
        time.sleep(LOOK_EVERY)
    if child.returncode:
        raise RuntimeError(f"{out.name} ended with status {child.returncode}")
    return peak


def _most_held(pid: int) -> int:
    """Bytes (VmHWM of proc(5)); 0 for a process that has ended. Not `ru_maxrss`, which begins at what the
    process that started it held.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def prepare(corpus: Corpus, shape: str, folder: Path) -> dict[str, dict[str, str]]:
    """Models and files by stage."""
    policy, reward, pairs = folder / "policy", folder / "reward", folder / "pairs"
    new_pair_model(corpus.tokenizer, shape).save_pretrained(pairs)
    corpus.tokenizer.save_pretrained(pairs)
    new_model(corpus.tokenizer, shape).save_pretrained(policy)
    corpus.tokenizer.save_pretrained(policy)
    model: Any
    model, tokenizer = new_reward_model(str(policy), allowed_hub_ids=[], seed=0)
    model.save_pretrained(reward)
    tokenizer.save_pretrained(reward)
    asked = [{"role": "user", "content": question} for question, _ in corpus.texts]
    answers = [answer for _, answer in corpus.texts]
    chance = random.Random(0)  # noqa: S311 - not for secrets

    def write(name: str, rows: list[dict[str, Any]]) -> str:
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    demonstrations = [
        {"messages": [asked[row], {"role": "assistant", "content": answers[row]}]} for row in range(ROWS)
    ]
    rankings = [
        {
            "messages": [asked[row]],
            "completions": [answer[:800] for answer in chance.sample(answers, K)],
            "ranks": list(range(1, K + 1)),
        }
        for row in range(ROWS)
    ]
    prompts = [{"messages": [question]} for question in asked[:ROWS]]
    learnt = write("sft", demonstrations)
    files = {
        "sft": {"model": str(policy), "train_file": learnt},
        PAIRS: {"model": str(pairs), "train_file": learnt},
        "reward": {"model": str(policy), "train_file": write("rankings", rankings)},
        "ppo": {
            "policy": str(policy),
            "reward_model": str(reward),
            "prompts_file": write("prompts", prompts),
        },
    }
    for stage, given in files.items():  # what is wrong is said here, not by a child that only fails
        validate(_command(stage), {**STEPS[stage], **given})
    return files
