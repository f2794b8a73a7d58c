"""Memory that runs out while a run is at work: the run says what to lower and to what, and that fits."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from training.rlhf import memory, out_of_memory
from training.rlhf.config import validate
from training.rlhf.footing import Footing
from training.rlhf.optim import Optimizer

from .conftest import ROOT, events, result, run_here, write_config

CPU_WORDS = (
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 40000000000 bytes. Error code 12 (Cannot allocate memory)"
)
CUDA_WORDS = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which "
    "1.21 GiB is free. Including non-PyTorch memory, this process has 77.89 GiB memory in use."
)
CUBLAS_WORDS = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("std::bad_alloc"),
        RuntimeError(CPU_WORDS),
        torch.OutOfMemoryError(CUDA_WORDS),
        RuntimeError(CUBLAS_WORDS),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_it_is_told_by_what_the_libraries_say(error):
    assert out_of_memory.is_out_of_memory(error)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("tokens")])
def test_other_failures_are_not_taken_for_it(error):
    assert not out_of_memory.is_out_of_memory(error)


def needed(out) -> dict:
    return next(event["data"]["memory"] for event in events(out, "log") if "memory" in event["data"])


@pytest.fixture
def short(monkeypatch):
    """short(error, room): the first update fails with that error; the run could have had so many bytes."""

    def fail_with(error: Exception, room: float) -> None:
        def step(*_, **__):
            raise error

        monkeypatch.setattr(Optimizer, "step", step)
        monkeypatch.setattr(out_of_memory, "has_had", lambda footing: int(room))

    return fail_with


@pytest.mark.parametrize("stage", ["pretrain", "sft", "reward", "ppo"])
@pytest.mark.parametrize("error", [RuntimeError(CPU_WORDS), torch.OutOfMemoryError(CUDA_WORDS)], ids=str)
def test_what_is_proposed_fits_by_the_estimate(
    world, base_model, sft_model, reward_model, tmp_path, monkeypatch, short, stage, error
):
    more = {
        "pretrain": {"batch_size": 32},
        "sft": {"model": str(base_model), "epochs": 1},
        "reward": {"model": str(sft_model), "epochs": 1},
        "ppo": {"policy": str(sft_model), "reward_model": str(reward_model), "steps": 1},
    }[stage]
    config = world.config(stage, **more)
    short(error, 2**40)
    assert run_here(stage, config, tmp_path / "roomy") == 1
    found = needed(tmp_path / "roomy")
    told = result(tmp_path / "roomy")["error"]
    assert told["code"] == "out_of_memory"
    assert told["lower"]["micro_batch_tokens"] <= found["tokens"] // 2, "half of what failed, at most"
    # Room for the fixed part and less than half of the tokens.
    fixed = found["needed"] - found["per_token"] * found["tokens"]
    room = (fixed + 0.4 * found["per_token"] * found["tokens"]) / memory.USABLE
    short(error, room)
    assert run_here(stage, config, tmp_path / "tight") == 1
    told = result(tmp_path / "tight")["error"]
    lower = told["lower"]
    assert 16 <= lower["micro_batch_tokens"] <= 0.4 * found["tokens"]
    for name, value in lower.items():
        assert re.search(rf"{name} from [\d,]+ to {value:,}", told["message"])
    monkeypatch.undo()
    monkeypatch.setattr(memory, "free_bytes", lambda device: int(room))
    assert run_here(stage, config | lower, tmp_path / "lowered") == 0, "the estimate takes it"


def footing(world, *, tokens=1000, longest=40, cache=0, **changes) -> Footing:
    config = validate("ppo", world.config("ppo", policy="p", reward_model="r", **changes))
    size = memory.ModelSize(weights=10**6, learning=10**6, token=10_000)
    return Footing(
        config=memory._with_tokens(config, tokens),
        device=torch.device("cpu"),
        load=memory.Load(longest, 5_000),
        networks=lambda: [size],
        cache=lambda: cache,
        shorten="maximum_prompt_length",
        before=0,
    )


def test_rows_that_do_not_fit_are_shortened_and_the_response_counts(world, monkeypatch):
    ground = footing(world, tokens=400, longest=300, maximum_prompt_length=284, maximum_new_tokens=16)
    found = memory.estimate(ground.config, ground.load, ground.networks(), 0, "cpu")
    monkeypatch.setattr(
        out_of_memory, "has_had", lambda _: int((found.fixed + 130 * found.per_token) / memory.USABLE) + 1
    )
    assert out_of_memory.advice(ground).lower == {"micro_batch_tokens": 128, "maximum_prompt_length": 112}


def test_keys_and_values_while_sampling_are_answered_with_fewer_rows(world, monkeypatch):
    ground = footing(world, cache=2**30, batch_size=64)
    found = memory.estimate(ground.config, ground.load, ground.networks(), 2**30, "cpu")
    room = (found.fixed + 2**28) / memory.USABLE + 1
    monkeypatch.setattr(out_of_memory, "has_had", lambda _: int(room))
    told = out_of_memory.advice(ground)
    assert told.lower == {"batch_size": 16} and "batch_size from 64 to 16" in told.message
    assert found.fixed + 2**30 * 16 / 64 <= memory.USABLE * room


@pytest.mark.parametrize(
    ("share", "changes", "lower"),
    [
        (
            0.4,
            {"batch_size": 512, "minibatch_size": 64},
            {"batch_size": 64},
        ),  # 256 are sampled together: 102 fit
        (0.5, {"batch_size": 64, "minibatch_size": 64}, {"maximum_new_tokens": 84}),
        (
            0.2,
            {"batch_size": 64, "minibatch_size": 64},
            {"maximum_prompt_length": 30, "maximum_new_tokens": 30},
        ),
    ],
)
def test_what_sampling_is_told_to_lower_is_a_configuration(world, monkeypatch, share, changes, lower):
    lengths = {"maximum_prompt_length": 66, "maximum_new_tokens": 234}
    ground = footing(world, longest=300, cache=2**30, **lengths, **changes)
    found = memory.estimate(ground.config, ground.load, ground.networks(), 2**30, "cpu")
    room = (found.fixed + share * 2**30) / memory.USABLE + 1
    monkeypatch.setattr(out_of_memory, "has_had", lambda _: int(room))
    told = out_of_memory.advice(ground)
    assert told.lower == lower
    validate("ppo", world.config("ppo", policy="p", reward_model="r", **lengths | changes | told.lower))


def test_nothing_is_told_to_be_lowered_to_more(world, monkeypatch):
    """A micro-batch holds one row at least, however small it was asked to be."""
    ground = footing(world, tokens=128, longest=400, maximum_prompt_length=384, maximum_new_tokens=16)
    found = memory.estimate(ground.config, ground.load, ground.networks(), 0, "cpu")
    room = (found.fixed + 200 * found.per_token) / memory.USABLE + 1
    monkeypatch.setattr(out_of_memory, "has_had", lambda _: int(room))
    told = out_of_memory.advice(ground)
    assert told.lower == {"maximum_prompt_length": 176} and "micro_batch_tokens from" not in told.message


@pytest.mark.parametrize(
    ("stage", "files", "names"),
    [
        ("sample", {"checkpoints": ["x"], "prompts_file": "x"}, {"batch_size"}),
        ("evaluate", {"model": "x", "messages_file": "x"}, {"micro_batch_tokens", "batch_size"}),
    ],
)
def test_stages_that_only_read_and_write_are_told_their_own_fields(stage, files, names):
    config = validate(stage, files)
    told = out_of_memory.told(MemoryError(), None, config)
    assert told.lower == {name: getattr(config, name) // 2 for name in names}


def test_weights_alone_that_are_too_much_are_said_so(world, monkeypatch):
    monkeypatch.setattr(out_of_memory, "has_had", lambda _: 2**20)
    told = out_of_memory.advice(footing(world))
    assert not told.lower and "weights, gradients and Adam alone take" in told.message
    assert "gradient_checkpointing" in told.message and "lora" in told.message


def test_stages_without_an_estimate_are_answered_with_half(world):
    told = out_of_memory.told(MemoryError(), None, SimpleNamespace(micro_batch_tokens=8192))
    assert told.lower == {"micro_batch_tokens": 4096} and "from 8,192 to 4,096" in told.message
    assert "smaller model" in out_of_memory.told(MemoryError(), None, None).message


def test_a_network_that_cannot_be_estimated_is_answered_all_the_same(world):
    ground = footing(world, tokens=1000)
    ground.networks = lambda: 1 / 0
    assert out_of_memory.told(MemoryError(), ground, ground.config).lower == {"micro_batch_tokens": 500}


# The limit comes when the run is at work: at its first update it gets 256 MB and no more, and wants 1 GB.
LIMITED = """
import resource, sys, torch
from pathlib import Path
from training.rlhf.cli import main
from training.rlhf.optim import Optimizer
def step(*_, **__):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + 2**28, -1))
    torch.ones(2**28)
Optimizer.step = step
sys.exit(main(sys.argv[1:]))
"""


def test_a_process_that_really_gets_no_more_says_what_to_lower(world, base_model, tmp_path):
    config = world.config("sft", model=str(base_model), epochs=1)
    out = tmp_path / "r"
    command = [sys.executable, "-c", LIMITED, "sft", *write_config(config, out), "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1, done.stderr
    error = json.loads((out / "result.json").read_text())["error"]
    assert error["code"] == "out_of_memory" and "lower micro_batch_tokens from" in error["message"]
    assert error["lower"]["micro_batch_tokens"] < needed(out)["tokens"]


def test_a_limit_of_the_process_counts_before_the_start(tmp_path, monkeypatch):
    from training.rlhf import machine_memory

    own = tmp_path / "statm"
    own.write_text("1000 1 1 1 0 1 0\n")
    unlimited = machine_memory.resource.RLIM_INFINITY
    for most, free in ((unlimited, machine_memory.NO_LIMIT), (5000 * 4096, 4000 * 4096), (4096, 0)):
        monkeypatch.setattr(machine_memory.resource, "getrlimit", lambda _, most=most: (most, unlimited))
        assert machine_memory._process_free(own) == free
