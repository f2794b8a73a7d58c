"""A field that can be switched on changes what is computed, or how; data that cannot be used is refused."""

import pytest
from transformers.modeling_layers import GradientCheckpointingLayer

from .conftest import events, result, run_here


def losses(out):
    return [event["data"]["train_loss"] for event in events(out, "metrics") if "train_loss" in event["data"]]


@pytest.mark.parametrize("stage", ["sft", "reward"])
def test_dropout_of_adapters_is_on_with_and_without_checkpointing(world, sft_model, tmp_path, stage):
    found = {}
    for dropout in (0.0, 0.8):
        for checkpointing in (False, True):
            out = tmp_path / f"{dropout}-{checkpointing}"
            config = world.config(
                stage, model=str(sft_model), maximum_steps=3, method="lora", lora_rank=4,
                lora_dropout=dropout, gradient_checkpointing=checkpointing,
            )  # fmt: skip
            assert run_here(stage, config, out) == 0
            found[dropout, checkpointing] = losses(out)
    assert found[0.8, False] != found[0.0, False]
    assert found[0.0, True] == pytest.approx(found[0.0, False], abs=1e-4)
    assert found[0.8, True] == pytest.approx(found[0.8, False], abs=1e-4)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_checkpointing_saves_memory_in_ppo_too_and_changes_no_number(
    world, sft_model, reward_model, tmp_path, monkeypatch, method
):
    counts = []
    called = GradientCheckpointingLayer.__call__

    def watched(layer, *given, **named):
        recomputes = layer.gradient_checkpointing and layer.training
        if next(layer.parameters()).device.type != "meta":  # the estimate of memory does so in any case
            counts[-1] += recomputes
        return called(layer, *given, **named)

    monkeypatch.setattr(GradientCheckpointingLayer, "__call__", watched)
    found = []
    for checkpointing in (False, True):
        counts.append(0)
        out = tmp_path / f"{checkpointing}"
        config = world.config(
            "ppo", policy=str(sft_model), reward_model=str(reward_model), steps=2, method=method, lora_rank=4,
            gradient_checkpointing=checkpointing,
        )  # fmt: skip
        assert run_here("ppo", config, out) == 0
        found.append([event["data"] for event in events(out, "metrics") if "policy_loss" in event["data"]])
    assert counts[0] == 0 < counts[1]
    for without, with_it in zip(*found, strict=True):
        assert with_it["first_ratio_deviation"] == 0.0  # rollout and update see the same numbers
        assert with_it["policy_loss"] == pytest.approx(without["policy_loss"], abs=1e-5)


def test_demonstrations_that_are_all_too_long_are_refused_before_anything_is_learnt(
    world, sft_model, tmp_path
):
    """They would have been divided by their number, none, when the first checkpoint was written."""
    answer = {"role": "assistant", "content": "The cat is black. " * 60}
    rows = [{"messages": [{"role": "user", "content": "Hi"}, answer]}]
    path = world.write("long-demonstrations.jsonl", rows)
    config = world.config("reward", model=str(sft_model), maximum_steps=2, demonstrations_file=path)
    assert run_here("reward", config, tmp_path / "r") == 2
    error = result(tmp_path / "r")["error"]
    assert error["file"] == path and "every row is longer than 64 tokens" in error["message"]
    assert not events(tmp_path / "r", "metrics")


def test_demonstrations_that_do_not_fit_are_left_out_and_counted(world, sft_model, tmp_path):
    long = {"role": "assistant", "content": "The cat is black. " * 60}
    short = {"role": "assistant", "content": "The cat is black."}
    rows = [{"messages": [{"role": "user", "content": "Hi"}, each]} for each in (long, short)]
    path = world.write("some-demonstrations.jsonl", rows)
    config = world.config("reward", model=str(sft_model), maximum_steps=2, demonstrations_file=path)
    assert run_here("reward", config, tmp_path / "r") == 0
    assert any(event["data"].get("dropped_rows") == 1 for event in events(tmp_path / "r", "log"))
