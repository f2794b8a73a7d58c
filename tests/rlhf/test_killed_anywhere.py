"""Killed during rollout, update, checkpoint or rename; stopped; out of disk: the run ends the same."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from training.rlhf import checkpoints

from .conftest import ROOT, World, events, final_checkpoint, result, run_here, start_process, write_config
from .test_kill_and_resume import assert_same_weights, curve, long_config
from .test_stopping import reached, wait_for

# Runs a stage, and on the n-th call of one function whose arguments mention a word does what is asked.
PROGRAM = """
import errno, importlib, os, signal, sys
action, target, word, count, *arguments = sys.argv[1:]
module, names = target.split(":")
owner = importlib.import_module(module)
*way, name = names.split(".")
for step in way:
    owner = getattr(owner, step)
original, calls = getattr(owner, name), [0]
def watched(*given, **named):
    calls[0] += word in repr((given, named))
    if calls[0] == int(count):
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, "No space left on device")
    return original(*given, **named)
setattr(owner, name, watched)
from training.rlhf.cli import main
raise SystemExit(main(arguments))
"""

ROLLOUT = ("training.rlhf.generation:_next_logits", "")
UPDATE = ("training.rlhf.optim:Optimizer.step", "")
WRITING = ("training.rlhf.checkpoints:fsync_path", ".step-4.writing")
RENAMING = ("os:rename", ".step-4.writing")
RETIRING = ("shutil:rmtree", ".removing")


@pytest.fixture(scope="module")
def whole_runs():
    """Uninterrupted runs, one a stage."""
    return {}


def config_of(world: World, stage: str, base, sft, reward) -> dict:
    models = {
        "sft": {"model": str(base)},
        "reward": {"model": str(sft)},
        "ppo": {"policy": str(sft), "reward_model": str(reward), "ema_decay": 0.8, "steps": 6}
        | {"pretrain_files": [world.text], "pretrain_coefficient": 0.5, "pretrain_rows": 1},
    }[stage]
    changes = {} if stage == "ppo" else {"maximum_steps": 6}
    return long_config(world, stage, models) | changes | {"keep_checkpoints": 1}


def whole_run(whole_runs, world, stage, config) -> Path:
    if stage not in whole_runs:
        out = world.folder / f"whole-{stage}"
        assert run_here(stage, config, out) == 0
        whole_runs[stage] = out
    return whole_runs[stage]


def interrupted(action, point, count, stage, config, out) -> subprocess.CompletedProcess:
    target, word = point
    arguments = [stage, *write_config(config, out), "--out", str(out)]
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, action, target, word, str(count), *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=240,
    )


def assert_ends_alike(whole: Path, broken: Path) -> None:
    assert curve(broken) == curve(whole)
    assert_same_weights(final_checkpoint(whole), final_checkpoint(broken))
    for key in ("best", "best_checkpoint", "step"):
        assert result(whole)[key] == result(broken)[key]


@pytest.mark.parametrize(
    ("stage", "point", "counts"),
    [
        ("sft", UPDATE, (1, 6)),
        ("sft", WRITING, (1, 6)),
        ("sft", RENAMING, (1, 1)),
        ("sft", RETIRING, (1, 2)),
        ("reward", UPDATE, (1, 6)),
        ("reward", WRITING, (1, 6)),
        ("reward", RENAMING, (1, 1)),
        ("ppo", ROLLOUT, (1, 90)),
        ("ppo", UPDATE, (1, 24)),
        ("ppo", WRITING, (1, 12)),
        ("ppo", RENAMING, (1, 1)),
    ],
    ids=lambda value: value[0].split(":")[1] if isinstance(value, tuple) and ":" in str(value[0]) else None,
)
def test_a_run_killed_at_any_point_ends_as_if_nothing_had_happened(
    world, base_model, sft_model, reward_model, tmp_path, whole_runs, stage, point, counts
):
    config = config_of(world, stage, base_model, sft_model, reward_model)
    whole = whole_run(whole_runs, world, stage, config)
    broken, count = tmp_path / "broken", random.randint(*counts)
    process = interrupted("kill", point, count, stage, config, broken)
    assert process.returncode == -signal.SIGKILL, (count, process.stderr.decode()[-2000:])
    assert not (broken / "result.json").exists()
    assert run_here(stage, config, broken, "--resume") == 0, count
    assert_ends_alike(whole, broken)
    assert not [path for path in (broken / "checkpoints").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("stage", ["reward", "ppo"])
def test_sigterm_saves_within_the_step_and_the_run_ends_alike(
    world, base_model, sft_model, reward_model, tmp_path, whole_runs, stage
):
    config = config_of(world, stage, base_model, sft_model, reward_model)
    whole, broken = whole_run(whole_runs, world, stage, config), tmp_path / "broken"
    process = start_process(stage, config, broken)
    assert wait_for(lambda: reached(broken, 1))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 143
    newest = checkpoints.newest_verified(broken / "checkpoints")
    assert checkpoints.load_manifest(newest).step == max(event["step"] for event in events(broken, "metrics"))
    assert run_here(stage, config, broken, "--resume") == 0
    assert_ends_alike(whole, broken)


@pytest.mark.parametrize("stage", ["sft", "reward", "ppo"])
def test_a_full_disk_is_one_sentence_and_costs_no_checkpoint(
    world, base_model, sft_model, reward_model, tmp_path, whole_runs, stage
):
    config = config_of(world, stage, base_model, sft_model, reward_model)
    whole, broken = whole_run(whole_runs, world, stage, config), tmp_path / "broken"
    process = interrupted("full", WRITING, 3, stage, config, broken)
    assert process.returncode == 1
    error = result(broken)["error"]
    assert error["code"] == "disk_full" and "disk is full" in error["message"]
    assert b"Traceback" not in process.stderr
    assert checkpoints.newest_verified(broken / "checkpoints").name in ("step-2", "step-3")
    assert run_here(stage, config, broken, "--resume") == 0
    assert_ends_alike(whole, broken)


def test_the_systems_own_refusal_to_write_weights_is_one_sentence_too(world, base_model, tmp_path):
    """A real one: the process may write no file over 20 kB, and the weights are larger."""
    out = tmp_path / "r"
    config = world.config("sft", model=str(base_model), maximum_steps=1)
    process = subprocess.run(
        [sys.executable, "-m", "training.rlhf", "sft", *write_config(config, out), "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        capture_output=True,
        timeout=240,
    )
    assert process.returncode == 1
    assert "the system refused" in result(out)["error"]["message"]
    assert "File too large" in result(out)["error"]["message"]
    assert not list((out / "checkpoints").iterdir())


def test_patience_is_remembered(world, base_model, tmp_path):
    """A rate that ruins the model: validation gets worse at once, and patience ends the run."""
    config = world.config(
        "sft", model=str(base_model), learning_rate=0.3, maximum_steps=40, epochs=100, evaluate_every=1,
        save_every=1, early_stopping_patience=4,
    )  # fmt: skip
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_here("sft", config, whole) == 0
    stopped_at = result(whole)["step"]
    assert 4 < stopped_at < 40
    process = interrupted("kill", UPDATE, stopped_at - 1, "sft", config, broken)
    assert process.returncode == -signal.SIGKILL
    newest = checkpoints.newest_verified(broken / "checkpoints")
    assert json.loads((newest / "trainer_state.json").read_text())["patience"] > 0
    assert run_here("sft", config, broken, "--resume") == 0
    assert_ends_alike(whole, broken)
