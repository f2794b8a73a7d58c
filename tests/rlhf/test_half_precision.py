"""fp16: losses are scaled, overflowing updates left out, and a resumed run goes on with the same scale."""

import json

import pytest
import torch
from torch import nn

from training.rlhf.config import validate
from training.rlhf.errors import ConfigError, NonFiniteError
from training.rlhf.loss_scale import FIRST, GROWS_AFTER, LossScale
from training.rlhf.optim import Optimizer
from training.rlhf.session import open_accelerator

from .conftest import events, final_checkpoint, result, run_here
from .test_kill_and_resume import assert_same_weights, curve, cut_back, kill_midway, long_config


def config_of(**changes):
    return validate("sft", {"model": "m", "train_file": "f", **changes})


def stepped(gradient: torch.Tensor, scale: LossScale) -> tuple[torch.Tensor, dict[str, float]]:
    """(weights after a step on `gradient` of an unscaled loss, norms)."""
    model = nn.Linear(3, 2, bias=False)
    nn.init.ones_(model.weight)
    optimizer = Optimizer({"model": model}, {"model": 0.1}, config_of(), scale=scale)
    scale.backward((model.weight * gradient).sum())
    return model.weight.detach().clone(), optimizer.step(1.0) | {"after": model.weight.detach()}


def test_a_scaled_step_is_bit_for_bit_the_unscaled_one():
    gradient = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    _, plain = stepped(gradient, LossScale(active=False))
    _, scaled = stepped(gradient, LossScale(active=True))
    assert scaled["after"].equal(plain["after"]) and scaled["model"] == plain["model"]


def test_a_gradient_that_half_precision_would_lose_survives():
    """d/dw of sum(half(w) * 1e-8) is 1e-8, which is 0 in fp16, and 1e-8 again where the loss is scaled."""
    gradients = []
    for scale in (LossScale(active=False), LossScale(active=True)):
        weight = nn.Parameter(torch.ones(4))
        scale.backward((weight.half().float() * 1e-8).sum())
        scale.unscale([weight.grad])
        gradients.append(float(weight.grad[0]))
    assert gradients[0] == 0.0 and gradients[1] == pytest.approx(1e-8, rel=1e-3)


def test_an_overflow_halves_the_scale_and_changes_no_weight():
    scale = LossScale(active=True)
    before, found = stepped(torch.tensor([[float("inf"), 0, 0], [0, 0, 0]]), scale)
    assert found["after"].equal(before) and found["model"] == 0.0
    assert scale.state == {"scale": FIRST / 2, "good": 0, "skipped": 1}


def test_the_scale_doubles_after_many_good_updates_and_a_bad_one_starts_the_count_anew():
    scale = LossScale(active=True)
    for _ in range(GROWS_AFTER - 1):
        scale.succeeded()
    assert scale.state["scale"] == FIRST
    scale.succeeded()
    assert scale.state == {"scale": FIRST * 2, "good": 0, "skipped": 0}
    scale.succeeded()
    assert scale.overflowed() and scale.state["good"] == 0


def test_gradients_that_are_never_finite_end_the_run_and_are_named():
    scale = LossScale(active=True)
    bad = torch.tensor([[float("nan"), 0, 0], [0, 0, 0]])
    while scale.state["scale"] > 1.0:
        stepped(bad, scale)
    with pytest.raises(NonFiniteError, match="model.weight"):
        stepped(bad, scale)


def test_the_scale_follows_torchs_own_scaler():
    """Oracle: torch.amp.GradScaler on the same sequence of good and overflowing updates."""
    scale = LossScale(active=True)
    weight = nn.Parameter(torch.ones(2))
    adam = torch.optim.SGD([weight], lr=0.0)
    theirs = torch.amp.GradScaler("cpu", init_scale=FIRST, growth_interval=GROWS_AFTER)
    for number in range(2 * GROWS_AFTER + 50):
        overflows = number in (3, 4, 1500)
        weight.grad = torch.full((2,), float("inf") if overflows else 1.0)
        theirs.scale(torch.ones(()))
        theirs.step(adam)
        theirs.update()
        assert scale.overflowed() if overflows else scale.succeeded() is None
        assert scale.state["scale"] == theirs.get_scale()


@pytest.mark.parametrize("stage", ["sft", "reward", "ppo"])
def test_it_stays_near_fp32(world, base_model, sft_model, reward_model, tmp_path, stage):
    models = {
        "sft": {"model": str(base_model), "maximum_steps": 6},
        "reward": {"model": str(sft_model), "maximum_steps": 6},
        "ppo": {"policy": str(sft_model), "reward_model": str(reward_model), "steps": 1},
    }[stage]
    name = "value_loss" if stage == "ppo" else "train_loss"
    losses = []
    for precision in ("fp32", "fp16"):
        config = world.config(stage, precision=precision, **models)
        assert run_here(stage, config, tmp_path / precision) == 0
        rows = [event["data"] for event in events(tmp_path / precision, "metrics")]
        losses.append(next(row[name] for row in rows if name in row))
        assert all(row.get("first_ratio_deviation", 0.0) == 0.0 for row in rows)
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.02)
    assert any(row.get("loss_scale") for row in rows)


@pytest.mark.parametrize("stage", ["sft", "ppo"])
def test_a_killed_run_ends_as_if_nothing_had_happened(
    world, base_model, sft_model, reward_model, tmp_path, stage
):
    models = {
        "sft": {"model": str(base_model)},
        "ppo": {"policy": str(sft_model), "reward_model": str(reward_model)},
    }[stage]
    config = long_config(world, stage, models) | {"precision": "fp16"}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_here(stage, config, whole) == 0
    kill_midway(stage, config, broken)
    assert run_here(stage, config, broken, "--resume") == 0
    assert curve(broken) == curve(whole)
    assert_same_weights(final_checkpoint(whole), final_checkpoint(broken))


def test_the_scale_is_in_the_checkpoint_and_taken_up(world, base_model, tmp_path, monkeypatch):
    """A scale so high that the first updates overflow: a resumed run must not start from the top again."""
    monkeypatch.setattr("training.rlhf.loss_scale.FIRST", 2.0**24)
    config = world.config(
        "sft", model=str(base_model), precision="fp16", maximum_steps=8, save_every=2, keep_checkpoints=100
    )
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_here("sft", config, whole) == 0
    rows = [event["data"] for event in events(whole, "metrics") if "loss_scale" in event["data"]]
    assert rows[-1]["skipped_updates"] > 0 and rows[-1]["loss_scale"] < 2.0**24
    state = json.loads((whole / "checkpoints" / "step-4" / "trainer_state.json").read_text())
    assert state["loss_scale"]["skipped"] > 0
    cut_back(whole, broken, keep_step=4)
    assert run_here("sft", config, broken, "--resume") == 0
    assert curve(broken) == curve(whole)
    assert_same_weights(final_checkpoint(whole), final_checkpoint(broken))
    assert result(broken)["status"] == "succeeded"


def test_a_precision_that_the_device_lacks_is_refused_with_another(monkeypatch):
    def lacks(**_):
        raise ValueError("bf16 mixed precision requires a supported device")

    monkeypatch.setattr("training.rlhf.session.Accelerator", lacks)
    with pytest.raises(ConfigError, match="use fp16"):
        open_accelerator(config_of(precision="bf16"))
