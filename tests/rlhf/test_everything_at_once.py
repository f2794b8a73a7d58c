"""Resuming is exact where everything that has a state of its own is switched on together."""

import random

import pytest

from .conftest import events, run_here
from .test_kill_and_resume import cut_back
from .test_killed_anywhere import assert_ends_alike

EACH_STEP = {"save_every": 1, "evaluate_every": 1, "keep_checkpoints": 100, "log_every": 2}
ADAPTERS = {"method": "lora", "lora_rank": 4}
HALF = {"precision": "fp16"}


def scores(world, name: str, count: int) -> str:
    chance = random.Random(name)
    rows = []
    for _ in range(count):
        row = world.ranking(chance)
        given = [float(5 - rank) + chance.random() for rank in row.pop("ranks")]
        rows.append(row | {"scores": given})
    return world.write(name, rows)


def config_of(world, stage: str, base, sft, reward) -> dict:
    """Batches that the micro-batches do not divide, adapters, half precision, mixing, early stopping,
    averages, texts, checkpointing."""
    if stage == "sft":
        changes = HALF | {
            "model": str(base), "lora_dropout": 0.1, "mix_file": world.sft_held_out, "mix_ratio": 0.2,
            "micro_batch_tokens": 70, "batch_size": 7, "epochs": 100, "maximum_steps": 9,
            "early_stopping_patience": 2, "learning_rate": 0.05, "warmup_ratio": 0.2,
        }  # fmt: skip
    elif stage == "reward":
        changes = {
            "model": str(sft), "labels": "scores", "lora_dropout": 0.2, "micro_batch_tokens": 100,
            "train_file": scores(world, "at-once.jsonl", 24),
            "validation_file": scores(world, "at-once-held-out.jsonl", 8),
            "mix_file": scores(world, "at-once-former.jsonl", 12), "mix_ratio": 0.3, "batch_size": 5,
            "epochs": 100, "maximum_steps": 5, "early_stopping_patience": 3, "gradient_checkpointing": True,
        }  # fmt: skip
    else:
        changes = HALF | {
            "policy": str(sft), "reward_model": str(reward), "ema_decay": 0.7, "pretrain_rows": 1,
            "pretrain_files": [world.text], "pretrain_coefficient": 0.5, "kl_controller": "adaptive",
            "kl_target": 0.5, "kl_horizon": 40.0, "steps": 4, "micro_batch_tokens": 90,
            "gradient_checkpointing": True, "whiten_rewards": True, "missing_eos_mode": "replace",
        }  # fmt: skip
    return world.config(stage, **ADAPTERS, **EACH_STEP, **changes)


@pytest.mark.parametrize(("stage", "step"), [("sft", 2), ("reward", 3), ("ppo", 1), ("ppo", 3)])
def test_a_run_with_everything_switched_on_resumes_exactly(
    world, base_model, sft_model, reward_model, tmp_path, stage, step
):
    config = config_of(world, stage, base_model, sft_model, reward_model)
    whole = world.folder / f"at-once-{stage}"
    if not whole.exists():
        assert run_here(stage, config, whole) == 0, events(whole, "error")
    broken = tmp_path / "broken"
    cut_back(whole, broken, keep_step=step)
    assert run_here(stage, config, broken, "--resume") == 0
    assert_ends_alike(whole, broken)
