"""Whatever a stage or an evaluation measures has words for people; none is shown by the key of a program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.metric_words import WORDS

from .conftest import measured, run_here


def _letters(world):
    user = {"role": "user", "content": "What colour is the cat?"}
    rows = [{"messages": [user, {"role": "assistant", "content": letter}]} for letter in "ABAB"]
    return world.write("letters.jsonl", rows)


def _safety(world):
    rows = [{"prompt": "What colour is the cat?", "expected": expected} for expected in ("refuse", "answer")]
    return world.write("safety_words.jsonl", rows)


def _judged_twice(world):
    """Two people who rank the same prompts alike: so there is a ceiling."""
    rows = [json.loads(line) for line in Path(world.rankings_held_out).read_text().splitlines()]
    twice = [row | {"annotator": who, "prompt_id": n} for n, row in enumerate(rows) for who in ("a", "b")]
    return world.write("judged_twice.jsonl", twice)


def _scores(world):
    """The rankings of the world as people would have scored them, 10 for the best."""
    rows = [json.loads(line) for line in Path(world.rankings).read_text().splitlines()]
    scored = [
        {name: row[name] for name in ("messages", "completions")}
        | {"scores": [10 - rank for rank in row["ranks"]]}
        for row in rows
    ]
    return world.write("scored_words.jsonl", scored)


# (stage, configuration beside the small world's; names of models and files are filled in)
RUNS = {
    "pretrain": ("pretrain", {"epochs": 1}),
    "sft": ("sft", {"model": "BASE", "epochs": 1}),
    "sft of half precision": ("sft", {"model": "BASE", "epochs": 1, "precision": "fp16"}),
    "reward": ("reward", {"model": "SFT", "epochs": 1}),
    "reward by scores": (
        "reward",
        {"model": "SFT", "epochs": 1, "labels": "scores", "train_file": _scores, "validation_file": _scores},
    ),
    "ppo": ("ppo", {"policy": "SFT", "reward_model": "REWARD", "steps": 1, "minibatch_size": 8}),
    "ppo without held-out prompts": (
        "ppo", {"policy": "SFT", "reward_model": "REWARD", "steps": 1, "validation_prompts_file": ""},
    ),
    "ppo that goes on predicting": (
        "ppo",
        {
            "policy": "SFT", "reward_model": "REWARD", "steps": 1, "pretrain_coefficient": 0.5,
            "pretrain_files": lambda world: [world.text],
        },
    ),
    "sample": ("sample", {"checkpoints": ["SFT"]}),
    "score": ("score", {"reward_model": "REWARD", "completions_file": "COMPLETIONS"}),
    "export": ("export", {"checkpoint": "SFT"}),
    "evaluate": (
        "evaluate",
        {
            "model": "SFT", "messages_file": lambda world: world.sft_held_out, "safety_file": _safety,
            "reward_model": "REWARD", "comparisons_file": _judged_twice,
        },
    ),
    "evaluate classes": (
        "evaluate", {"model": "SFT", "messages_file": _letters, "classification": "found", "answers": 0},
    ),
}  # fmt: skip
# By which the test sees that its runs measured what they were made for.
AMONG_THEM = {
    "sft of half precision": "loss_scale",
    "reward by scores": "validation_score_error",
    "ppo that goes on predicting": "pretrain_loss",
    "evaluate": "people_agreement",
    "evaluate classes": "class_macro_f1",
}


@pytest.fixture
def config_of(world, base_model, sft_model, reward_model):
    completions = [
        {
            "messages": [{"role": "user", "content": "What colour is the cat?"}],
            "text": "Black.",
            "completion_id": n,
        }
        for n in range(3)
    ]
    names = {
        "BASE": str(base_model),
        "SFT": str(sft_model),
        "REWARD": str(reward_model),
        "COMPLETIONS": world.write("words_completions.jsonl", completions),
    }

    def filled(value):
        if callable(value):
            return value(world)
        if isinstance(value, list):
            return [filled(each) for each in value]
        return names.get(value, value) if isinstance(value, str) else value

    return lambda stage, fields: world.config(
        stage, **{name: filled(value) for name, value in fields.items()}
    )


@pytest.mark.parametrize("name", RUNS)
def test_every_metric_of_a_run_has_words(config_of, tmp_path, name):
    stage, fields = RUNS[name]
    assert run_here(stage, config_of(stage, fields), tmp_path / "r") == 0
    found = measured(tmp_path / "r")
    assert AMONG_THEM.get(name, next(iter(found))) in found
    assert sorted(found - set(WORDS)) == []
