"""What a run will take is estimated before it starts, and what cannot fit is refused with what to lower."""

import json
import subprocess
import sys

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from training.rlhf import machine_memory, memory
from training.rlhf.config import validate
from training.rlhf.models import backbone, load_causal_lm

from .conftest import ROOT, events, result, run_here
from .test_other_models import foreign

MB = 2**20


def sft_config(world, **changes):
    return validate("sft", world.config("sft", model="unused", **changes))


def really_kept(model, tokens: int) -> int:
    """The slow way: a real forward pass with real attention; the bytes that autograd keeps of it."""
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept = {}

    def keep(tensor):
        if tensor.untyped_storage()._cdata not in weights:
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    model.train()
    ids = torch.zeros(1, tokens, dtype=torch.long)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = backbone(model)(
            input_ids=ids, position_ids=torch.arange(tokens)[None], use_cache=False
        ).last_hidden_state
    kept[hidden.untyped_storage()._cdata] = hidden
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2", "gpt_neox"])
def test_what_is_counted_without_memory_is_what_a_real_pass_keeps(
    world, base_model, tmp_path, family, checkpointing
):
    folder = base_model if family == "gpt2" else foreign(family, base_model, tmp_path / family)
    model, _ = load_causal_lm(str(folder), allowed_hub_ids=[])
    empty = memory.empty_model(memory.AutoModelForCausalLM, str(folder), sft_config(world))
    assert all(parameter.is_meta for parameter in empty.parameters())
    if checkpointing:
        model.gradient_checkpointing_enable()
        empty.gradient_checkpointing_enable()
    # Of grouped keys and values the packed attention keeps the repeated ones.
    real = really_kept(model, memory.PROBE_TOKENS)
    tolerance = 0.1 if family in ("llama", "qwen2") else 0.001
    assert memory.kept_bytes(empty) == pytest.approx(real, rel=tolerance)


def test_weights_gradients_and_moments_by_hand(world, base_model):
    """GPT-2, width 32, 2 blocks, 64 positions, V tokens: (V + 64)·32 + 2·(12·32² + 13·32) + 2·32 weights."""
    model, _ = load_causal_lm(str(base_model), allowed_hub_ids=[])
    vocabulary = model.get_input_embeddings().weight.shape[0]
    weights = vocabulary * 32 + 64 * 32 + 2 * (12 * 32**2 + 13 * 32) + 2 * 32
    config = sft_config(world, micro_batch_tokens=1000)
    size = memory.language_model(str(base_model), config)
    assert (size.weights, size.learning) == (4 * weights, 4 * weights)
    assert size.label == 2 * 4 * vocabulary
    found = memory.estimate(config, memory.Load(40, 5000, 0.25), [size], 0, "cpu")
    assert (found.gradients, found.moments, found.tokens) == (4 * weights, 8 * weights, 1000)
    assert found.per_token == pytest.approx(memory.OVERHEAD["cpu"] * size.token + 0.25 * size.label)
    assert found.needed == round(4 * 4 * weights + memory.LIBRARIES + 1000 * found.per_token)


def test_updates_sampling_and_saving_take_turns_in_the_same_memory(world, base_model):
    config = sft_config(world, micro_batch_tokens=16)
    size = memory.language_model(str(base_model), config)
    small, large = (
        memory.estimate(config, memory.Load(16, 16), [size], cache, "cpu") for cache in (1, 2**30)
    )
    assert small.needed == small.fixed + max(round(16 * small.per_token), size.weights)
    assert large.needed == large.fixed + 2**30


def test_episodes_by_hand():
    """Prompts of 10 and 30 tokens: four are 80 + 3 · 20 at most, but never over 4 · 30; five more each."""
    load = memory.load_of_episodes([10, 30], response=5, minibatch_size=4)
    assert (load.longest, load.batch) == (35, 4 * 30 + 20)
    even = memory.load_of_episodes([20] * 50, response=5, minibatch_size=4)
    assert (even.batch, even.labelled) == (100, 0.2) and even.is_even
    many = memory.load_of_episodes([10, 30], response=5, minibatch_size=100)
    assert many.batch == 100 * 20 + 3 * 10 * 10 + 500


def test_adapters_learn_less_and_checkpointing_keeps_less(world, base_model):
    full = memory.language_model(str(base_model), sft_config(world))
    lora = memory.language_model(str(base_model), sft_config(world, method="lora", lora_rank=2))
    frugal = memory.language_model(str(base_model), sft_config(world, gradient_checkpointing=True))
    # rank 2 on every linear layer of a block: c_attn 32→96, c_proj 32→32, c_fc 32→128, c_proj 128→32
    assert lora.learning == 4 * 2 * 2 * ((32 + 96) + (32 + 32) + (32 + 128) + (128 + 32))
    assert lora.weights == full.weights + lora.learning
    assert frugal.token < full.token


@pytest.fixture
def little_memory(monkeypatch):
    def say(free: float) -> None:
        monkeypatch.setattr(memory, "free_bytes", lambda device: int(free))

    return say


def needed(out) -> dict:
    return next(event["data"]["memory"] for event in events(out, "log") if "memory" in event["data"])


def test_the_log_of_a_run_says_what_it_takes(world, base_model, tmp_path):
    assert run_here("sft", world.config("sft", model=str(base_model), epochs=1), tmp_path / "r") == 0
    lines = [event["data"]["message"] for event in events(tmp_path / "r", "log")]
    assert any("memory: about" in line and "weights" in line and "Adam" in line for line in lines)


@pytest.mark.parametrize("stage", ["pretrain", "sft", "reward", "ppo"])
def test_a_run_that_cannot_fit_is_refused_with_a_micro_batch_that_does(
    world, base_model, sft_model, reward_model, tmp_path, little_memory, stage
):
    more = {
        "pretrain": {"batch_size": 32},
        "sft": {"model": str(base_model), "epochs": 1},
        "reward": {"model": str(sft_model), "epochs": 1},
        "ppo": {"policy": str(sft_model), "reward_model": str(reward_model), "steps": 1},
    }[stage]
    config = world.config(stage, **more)
    little_memory(2**40)
    assert run_here(stage, config, tmp_path / "roomy") == 0
    found = needed(tmp_path / "roomy")
    fixed = found["needed"] - found["per_token"] * found["tokens"]
    # Room for the fixed part and three quarters of the tokens.
    little_memory((fixed + 0.75 * found["per_token"] * found["tokens"]) / memory.USABLE)
    assert run_here(stage, config, tmp_path / "tight") == 2
    error = result(tmp_path / "tight")["error"]
    assert error["code"] == "bad_config" and error["field"] == "micro_batch_tokens"
    tokens = int(error["message"].split("lower it to ")[1].split(" ")[0].replace(",", ""))
    assert tokens < found["tokens"]
    assert run_here(stage, config | {"micro_batch_tokens": tokens}, tmp_path / "lowered") == 0


def test_a_row_that_does_not_fit_is_answered_with_a_length(world, base_model, tmp_path, little_memory):
    config = world.config("sft", model=str(base_model), epochs=1)
    little_memory(2**40)
    run_here("sft", config, tmp_path / "roomy")
    found = needed(tmp_path / "roomy")
    fixed = found["needed"] - found["per_token"] * found["tokens"]
    little_memory((fixed + 30 * found["per_token"]) / memory.USABLE)
    assert run_here("sft", config, tmp_path / "tight") == 2
    error = result(tmp_path / "tight")["error"]
    assert error["field"] == "maximum_length"
    assert "lower this and micro_batch_tokens to 29" in error["message"]
    lowered = config | {"maximum_length": 29, "micro_batch_tokens": 29}
    assert run_here("sft", lowered, tmp_path / "shorter") == 0


def test_weights_that_do_not_fit_are_answered_with_adapters(world, base_model, tmp_path, little_memory):
    little_memory(MB)
    assert run_here("sft", world.config("sft", model=str(base_model)), tmp_path / "r") == 2
    error = result(tmp_path / "r")["error"]
    assert error["field"] == "method" and "lora" in error["message"]


def test_auto_takes_the_most_that_fits_and_a_resumed_run_keeps_it(world, base_model, tmp_path, little_memory):
    config = world.config("sft", model=str(base_model), micro_batch_tokens=0, epochs=2)
    little_memory(2**40)
    assert run_here("sft", config, tmp_path / "roomy") == 0
    found = needed(tmp_path / "roomy")
    assert found["tokens"] == pytest.approx(8 * 44, abs=40)  # the whole batch of the longest rows
    fixed = found["needed"] - found["per_token"] * found["tokens"]
    free = (fixed + 130 * found["per_token"]) / memory.AUTO_USES
    little_memory(free)
    assert run_here("sft", config, tmp_path / "tight") == 0
    assert needed(tmp_path / "tight")["tokens"] == 128  # 130, down to a multiple of 64
    kept = json.loads((tmp_path / "tight" / memory.FILE).read_text())
    assert kept["micro_batch_tokens"] == 128
    resumed = memory.fit(
        _RunIn(tmp_path / "tight"),
        validate("sft", config),
        None,
        memory.Load(44, 400),
        lambda: pytest.fail("is not estimated again"),
        resumed=True,
    )
    assert resumed.micro_batch_tokens == 128
    losses = [
        [e["data"]["train_loss"] for e in events(tmp_path / out, "metrics") if "train_loss" in e["data"]]
        for out in ("roomy", "tight")
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


class _RunIn:
    def __init__(self, folder) -> None:
        self.folder = folder


def test_between_none_and_sixteen_tokens_there_is_no_micro_batch(world):
    from training.rlhf.errors import ConfigError

    with pytest.raises(ConfigError, match="micro_batch_tokens: must be 0"):
        sft_config(world, micro_batch_tokens=5)


def test_a_colossal_model_is_refused_by_the_command_before_it_takes_any_memory(world, tmp_path):
    from .conftest import write_config

    config = world.config("pretrain", hidden=16_384, heads=128, layers=96, epochs=1)
    command = [sys.executable, "-m", "training.rlhf", "pretrain", *write_config(config, tmp_path / "r")]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "r")], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and "that are free" in done.stderr


def test_an_architecture_that_cannot_be_counted_is_trained_all_the_same(
    world, base_model, tmp_path, monkeypatch
):
    def fail(model):
        raise RuntimeError("no such operator on meta")

    monkeypatch.setattr(memory, "kept_bytes", fail)
    assert run_here("sft", world.config("sft", model=str(base_model), epochs=1), tmp_path / "r") == 0
    assert any("cannot be estimated" in e["data"]["message"] for e in events(tmp_path / "r", "log"))


def test_limits_of_control_groups_count_at_every_level(tmp_path):
    inner = tmp_path / "box" / "inner"
    inner.mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text("0::/box/inner\n")
    (inner / "memory.max").write_text("max\n")
    (inner / "memory.current").write_text("100\n")
    (tmp_path / "box" / "memory.max").write_text(f"{900 * MB}\n")
    (tmp_path / "box" / "memory.current").write_text(f"{500 * MB}\n")
    (tmp_path / "box" / "memory.stat").write_text(f"anon 1\ninactive_file {100 * MB}\n")
    assert machine_memory._group_free(tmp_path, own) == 500 * MB
    own.write_text("0::/elsewhere\n")
    assert machine_memory._group_free(tmp_path, own) == machine_memory.NO_LIMIT


def test_free_memory_of_the_machine_is_what_the_kernel_calls_available(tmp_path):
    said = tmp_path / "meminfo"
    said.write_text("MemTotal:  999 kB\nMemFree: 1 kB\nMemAvailable:   2048 kB\n")
    assert machine_memory._machine_free(said) == 2 * MB
    assert 0 < machine_memory.free_bytes(torch.device("cpu")) < machine_memory.NO_LIMIT
    assert machine_memory.resident_bytes() > 10 * MB
