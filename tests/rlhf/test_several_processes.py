"""Two processes that train one model give what one process gives: the same losses, and the same weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from .conftest import ROOT, World, events, final_checkpoint, result, run_here, write_config

pytestmark = [pytest.mark.serial, pytest.mark.slow]

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
LAUNCH = ["-m", "accelerate.commands.launch", "--num_processes", "2", "--num_machines", "1"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
ACCELERATE = [*LAUNCH, "--multi_gpu", "-m"]  # without a GPU, too: it only starts the processes
LAUNCHERS = {"torchrun": TORCHRUN, "accelerate": ACCELERATE}


def start(launcher: list[str], stage: str, config: dict | None, out: Path, *more: str) -> subprocess.Popen:
    command = [
        sys.executable,
        *launcher,
        "training.rlhf",
        stage,
        *write_config(config, out),
        "--out",
        str(out),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *more], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def run_together(launcher: list[str], stage: str, config: dict | None, out: Path, *more: str) -> int:
    return finished(start(launcher, stage, config, out, *more))


def finished(process: subprocess.Popen) -> int:
    output, _ = process.communicate(timeout=600)
    if process.returncode:
        print(output.decode())
    return process.returncode


def numbers(out: Path) -> list[dict[str, float]]:
    rows = [event["data"] for event in events(out, "metrics")]
    return [{name: value for name, value in row.items() if "second" not in name} for row in rows]


def assert_alike(together: Path, alone: Path) -> None:
    ours, theirs = numbers(together), numbers(alone)
    assert len(ours) == len(theirs) > 3
    for our, their in zip(ours, theirs, strict=True):
        assert our == pytest.approx(their, rel=1e-5, abs=1e-5)
    weights = [load_file(final_checkpoint(out) / "model.safetensors") for out in (together, alone)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-4, atol=1e-5)


def configuration(world: World, stage: str, models: dict[str, Path]) -> dict:
    chosen: dict[str, dict] = {
        "sft": {"model": str(models["base"]), "epochs": 1, "micro_batch_tokens": 60, "evaluate_every": 2},
        "reward": {"model": str(models["sft"]), "micro_batch_tokens": 100},
        # Adam divides by the root of its second moment: where that is nearly nothing, a difference of
        # 1e-8 in a gradient would become one of 1e-3 in a weight within a few steps.
        "ppo": {"policy": str(models["sft"]), "reward_model": str(models["reward"]), "adam_epsilon": 1e-3},
    }
    if stage == "ppo":
        texts = {"pretrain_coefficient": 0.5, "pretrain_files": [world.text], "pretrain_length": 32}
        chosen["ppo"] |= texts | {
            "ema_decay": 0.9,
            "kl_controller": "adaptive",
            "evaluate_every": 2,
            "steps": 3,
        }
    return world.config(stage, **chosen[stage])


@pytest.fixture(scope="module")
def models(base_model, sft_model, reward_model) -> dict[str, Path]:
    return {"base": base_model, "sft": sft_model, "reward": reward_model}


@pytest.mark.parametrize("stage", ["sft", "reward", "ppo"])
def test_two_processes_give_what_one_gives_whoever_launches_them(world, models, tmp_path, stage):
    config = configuration(world, stage, models)
    together = {name: start(launcher, stage, config, tmp_path / name) for name, launcher in LAUNCHERS.items()}
    try:
        assert run_here(stage, config, tmp_path / "alone") == 0
        assert [finished(process) for process in together.values()] == [0, 0]
    finally:
        for process in together.values():
            process.kill()
    for out in (tmp_path / name for name in together):
        assert result(out)["status"] == "succeeded"
        assert are_two(out) and not are_two(tmp_path / "alone")
        assert_alike(out, tmp_path / "alone")
        if stage == "ppo":  # its own micro-batches, measured as they are learnt from
            assert all(row.get("first_ratio_deviation", 0.0) == 0.0 for row in numbers(out))


def are_two(out: Path) -> bool:
    return any(event["data"]["message"] == "2 processes share the work" for event in events(out, "log"))


@pytest.mark.parametrize("flag", [[], ["--cpu"]])
def test_a_launcher_that_starts_one_process_where_two_were_asked_for_is_refused(
    world, models, tmp_path, flag
):
    if not flag and torch.cuda.device_count() > 1:
        pytest.skip("accelerate starts them by itself where there are GPUs")
    config = configuration(world, "sft", models)
    assert run_together([*LAUNCH, *flag, "-m"], "sft", config, tmp_path / "r") != 0
    error = result(tmp_path / "r")["error"]
    assert error["field"] == "device" and "--multi_gpu" in error["message"]


def test_a_stop_asked_of_the_launcher_leaves_one_checkpoint_and_resuming_is_exact(world, models, tmp_path):
    config = configuration(world, "sft", models) | {"epochs": 8, "log_every": 1}
    assert run_together(TORCHRUN, "sft", config, tmp_path / "whole") == 0
    process = start(TORCHRUN, "sft", config, tmp_path / "stopped")
    deadline = time.monotonic() + 120
    while not any("train_loss" in row for row in written(tmp_path / "stopped")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.terminate()
    process.communicate(timeout=120)
    assert result(tmp_path / "stopped")["status"] == "interrupted"
    assert run_together(TORCHRUN, "sft", None, tmp_path / "stopped", "--resume") == 0
    ours, theirs = (
        load_file(final_checkpoint(tmp_path / name) / "model.safetensors") for name in ("stopped", "whole")
    )
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def written(out: Path) -> list[dict]:
    return numbers(out) if (out / "events.jsonl").exists() else []


def poisoned(world: World, models: dict[str, Path], tmp_path: Path) -> dict:
    """A run in which only the longest row reaches position 55, and only one process has that row."""
    folder = tmp_path / "poisoned"
    shutil.copytree(models["base"], folder)
    (folder / "manifest.json").unlink()
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.wpe.weight"][55] = torch.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    rows = [json.loads(line) for line in Path(world.sft).read_text().splitlines()]
    rows = [row for row in rows if len(row["messages"][0]["content"]) < 30][:8]
    long = {"role": "user", "content": "zzyx " * 10}
    rows[1] = {"messages": [long, {"role": "assistant", "content": "The cat is black."}]}
    return world.config(
        "sft",
        model=str(folder),
        train_file=world.write("one_long.jsonl", rows),
        validation_file="",
        epochs=1,
        micro_batch_tokens=64,
    )


def test_what_one_process_finds_not_finite_ends_the_run_with_that_sentence(world, models, tmp_path):
    config = poisoned(world, models, tmp_path)
    assert run_together(TORCHRUN, "sft", config, tmp_path / "r") != 0
    error = result(tmp_path / "r")["error"]
    assert error["code"] == "not_finite" and "transformer.wpe.weight" in error["message"]
