"""What people bring along: guidelines, files, and the sizes of models that learn in seconds."""

from __future__ import annotations

import json
from pathlib import Path

from labeling.sample_project import guideline_markdown, pretraining_text, reference_answers, training_prompts

TINY = {"threads": 1, "log_every": 1}
HYPERPARAMETERS = {
    "pretrain": {
        **TINY, "vocabulary_size": 300, "layers": 1, "hidden": 32, "heads": 2, "context": 128,
        "maximum_steps": 12, "batch_size": 8, "save_every": 0,
    },
    "sft": {**TINY, "maximum_steps": 6, "batch_size": 4, "maximum_length": 128},
    "reward": {**TINY, "epochs": 3, "maximum_steps": 3, "batch_size": 2, "maximum_length": 128},
    "ppo": {
        **TINY, "steps": 2, "batch_size": 4, "minibatch_size": 4, "ppo_epochs": 1, "maximum_new_tokens": 8,
        "maximum_prompt_length": 64, "validation_prompts": 2,
    },
}  # fmt: skip
GUIDELINES = {
    "demonstration": guideline_markdown("demonstration"),
    "ranking": "# How to rank\n\nBest first: **true**, then *kind*, then short. Ties are allowed.",
}


def prompts_file(folder: Path, count: int) -> Path:
    """JSON lines with a prompt each."""
    rows = [{"messages": each.messages} for each in training_prompts()[:count]]
    return _write(folder / "prompts.jsonl", rows)


def demonstrations_file(folder: Path, count: int, skip: int) -> Path:
    """JSON lines with a prompt and its answer each; none of the first `skip` prompts."""
    rows = [
        {"messages": [*each.messages, {"role": "assistant", "content": reference_answers(each)[0]}]}
        for each in training_prompts()[skip : skip + count]
    ]
    return _write(folder / "demonstrations.jsonl", rows)


def text_file(folder: Path) -> Path:
    path = folder / "pretraining.txt"
    path.write_text("\n\n".join(pretraining_text(seed=1, pages=120)), encoding="utf-8")
    return path


def _write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
