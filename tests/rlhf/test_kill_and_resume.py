"""A run killed with SIGKILL goes on from its last whole checkpoint: same losses and weights, bit for bit."""

import json
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from .conftest import World, events, final_checkpoint, result, run_here, start_process

STEPS = {"pretrain": 30, "sft": 24, "reward": 8, "ppo": 8}
# What depends on the clock and not on the mathematics.
CLOCKED = {"tokens_per_second"}


def long_config(world: World, stage: str, models: dict[str, str]) -> dict:
    changes: dict[str, object] = {"save_every": 2, "evaluate_every": 2, "keep_checkpoints": 100, **models}
    if stage == "ppo":
        changes |= {"steps": STEPS[stage], "kl_controller": "adaptive", "kl_target": 0.5, "kl_horizon": 40.0}
    else:
        changes |= {"epochs": 100, "maximum_steps": STEPS[stage]}
    if stage == "sft":
        changes |= {"dropout": 0.1}  # resuming must restore the random numbers too
    if stage in ("pretrain", "sft"):
        changes |= {"log_every": 4}  # a checkpoint in the middle of a row of metrics
    return world.config(stage, **changes)


def kill_midway(stage: str, config: dict, out: Path) -> None:
    """A run in `out`, killed at some moment before its end; another where it was faster than the kill."""
    for _ in range(10):
        process = start_process(stage, config, out)
        kill_at_step(process, out, random.randint(3, STEPS[stage] - 2))
        if not (out / "result.json").exists():
            return
        shutil.rmtree(out)
    raise AssertionError("ten runs were over before they could be killed")


def kill_at_step(process, out: Path, step: int) -> None:
    deadline = time.monotonic() + 240
    while not (out / "events.jsonl").exists() or all(event["step"] < step for event in events(out)):
        if (code := process.poll()) is not None:
            assert code == 0, process.stderr.read().decode()
            return
        assert time.monotonic() < deadline, f"step {step} did not come in time"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def curve(out: Path) -> dict[int, dict]:
    """The last word on each step: a resumed run repeats the steps after its checkpoint."""
    rows: dict[int, dict] = {}
    for event in events(out, "metrics"):
        kept = {name: value for name, value in event["data"].items() if name not in CLOCKED}
        rows.setdefault(event["step"], {}).update(kept)
    return rows


def assert_same_weights(first: Path, second: Path) -> None:
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*.safetensors"))
    assert names
    for name in names:
        left, right = load_file(first / name), load_file(second / name)
        assert left.keys() == right.keys()
        assert all(left[key].equal(right[key]) for key in left), name


@pytest.mark.parametrize("stage", ["pretrain", "sft", "reward", "ppo"])
def test_a_killed_run_ends_as_if_nothing_had_happened(
    world, sft_model, reward_model, base_model, tmp_path, stage
):
    models = {
        "sft": {"model": str(base_model)},
        "reward": {"model": str(sft_model)},
        "pretrain": {},
        "ppo": {"policy": str(sft_model), "reward_model": str(reward_model)},
    }[stage]
    config = long_config(world, stage, models)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_here(stage, config, whole) == 0

    kill_midway(stage, config, broken)
    assert run_here(stage, config, broken, "--resume") == 0

    assert any("resumed_from" in event["data"] for event in events(broken, "state"))
    assert curve(broken) == curve(whole)
    assert_same_weights(final_checkpoint(whole), final_checkpoint(broken))
    assert result(whole)["best_checkpoint"] == result(broken)["best_checkpoint"]


def test_lora_resumes_exactly(world, base_model, tmp_path):
    config = world.config(
        "sft",
        model=str(base_model),
        method="lora",
        lora_rank=4,
        lora_dropout=0.1,
        maximum_steps=6,
        save_every=2,
        keep_checkpoints=100,
    )
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_here("sft", config, whole) == 0
    cut_back(whole, broken, keep_step=2)
    assert run_here("sft", config, broken, "--resume") == 0
    assert_same_weights(final_checkpoint(whole), final_checkpoint(broken))


def test_a_long_run_saves_by_the_clock_and_that_changes_nothing(world, base_model, tmp_path, monkeypatch):
    config = world.config("sft", model=str(base_model), maximum_steps=6, keep_checkpoints=100)
    plain, clocked, broken = tmp_path / "plain", tmp_path / "clocked", tmp_path / "broken"
    assert run_here("sft", config, plain) == 0
    monkeypatch.setattr("training.rlhf.session.LONGEST_UNSAVED_SECONDS", 0.0)
    monkeypatch.setattr("training.rlhf.session.SAVING_SHARE", 1e9)
    assert run_here("sft", config, clocked) == 0
    assert [event["step"] for event in events(clocked, "checkpoint")] == [1, 2, 3, 4, 5, 6]
    assert len(events(plain, "checkpoint")) < 6
    assert_same_weights(final_checkpoint(plain), final_checkpoint(clocked))
    cut_back(clocked, broken, keep_step=3)
    assert run_here("sft", config, broken, "--resume") == 0
    assert_same_weights(final_checkpoint(plain), final_checkpoint(broken))


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_it_used(world, base_model, tmp_path):
    config = world.config("sft", model=str(base_model), maximum_steps=6, save_every=2, keep_checkpoints=100)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_here("sft", config, whole) == 0
    cut_back(whole, broken, keep_step=4)
    weights = broken / "checkpoints" / "step-4" / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    assert run_here("sft", config, broken, "--resume") == 0
    messages = [event["data"]["message"] for event in events(broken, "log")]
    assert any("step-4 is damaged: model.safetensors" in message for message in messages)
    assert_same_weights(final_checkpoint(whole), final_checkpoint(broken))


def test_a_resumed_run_refuses_another_configuration(world, base_model, tmp_path, capsys):
    config = world.config("sft", model=str(base_model), maximum_steps=2)
    assert run_here("sft", config, tmp_path / "r") == 0
    (tmp_path / "r" / "result.json").unlink()
    assert run_here("sft", config | {"learning_rate": 0.5}, tmp_path / "r", "--resume") == 2
    assert "learning_rate" in capsys.readouterr().err


@pytest.mark.parametrize("changed", ["other rows", "gone", "other name, same bytes"])
def test_a_resumed_run_refuses_other_data_under_the_same_name(world, base_model, tmp_path, changed):
    """Else its first half would have learnt from one file and its second from another, without a word."""
    data = tmp_path / "train.jsonl"
    shutil.copy(world.sft, data)
    config = world.config("sft", model=str(base_model), train_file=str(data), maximum_steps=2)
    assert run_here("sft", config, tmp_path / "r") == 0
    (tmp_path / "r" / "result.json").unlink()
    if changed == "other rows":
        data.write_text("".join(data.read_text().splitlines(keepends=True)[:20]))
    elif changed == "gone":
        data.unlink()
    else:
        data.rename(tmp_path / "kept.jsonl")
        shutil.copy(tmp_path / "kept.jsonl", data)
    ended = run_here("sft", config, tmp_path / "r", "--resume")
    if changed == "other name, same bytes":
        assert ended == 0
        return
    said = result(tmp_path / "r")["error"]
    assert (ended, said["field"]) == (2, "train_file")
    assert "train.jsonl is not what it was when this run began" in said["message"]


def test_a_run_from_before_digests_were_stored_goes_on(world, base_model, tmp_path):
    config = world.config("sft", model=str(base_model), maximum_steps=2)
    assert run_here("sft", config, tmp_path / "r") == 0
    (tmp_path / "r" / "result.json").unlink()
    (tmp_path / "r" / "data.json").unlink()
    assert run_here("sft", config, tmp_path / "r", "--resume") == 0


def test_a_folder_that_holds_a_run_is_not_overwritten(world, base_model, tmp_path):
    config = world.config("sft", model=str(base_model), maximum_steps=2)
    assert run_here("sft", config, tmp_path / "r") == 0
    names = ("checkpoints/step-2/manifest.json", "result.json", "events.jsonl", "config.json")
    before = [(tmp_path / "r" / name).read_bytes() for name in names]
    assert run_here("sft", config, tmp_path / "r") == 2
    assert run_here("pretrain", world.config("pretrain"), tmp_path / "r", "--resume") == 2
    assert [(tmp_path / "r" / name).read_bytes() for name in names] == before


def test_resuming_a_finished_run_changes_nothing(world, base_model, tmp_path):
    config = world.config("sft", model=str(base_model), maximum_steps=2)
    assert run_here("sft", config, tmp_path / "r") == 0
    before = (tmp_path / "r" / "result.json").read_bytes()
    assert run_here("sft", config, tmp_path / "r", "--resume") == 0
    assert (tmp_path / "r" / "result.json").read_bytes() == before


def cut_back(source: Path, target: Path, *, keep_step: int) -> None:
    """A copy of a run as a crash after `keep_step` would have left it."""
    shutil.copytree(source, target)
    (target / "result.json").unlink()
    for folder in (target / "checkpoints").iterdir():
        if int(folder.name.removeprefix("step-")) > keep_step:
            shutil.rmtree(folder)
    kept = [event for event in events(source) if event["step"] <= keep_step and event["type"] != "error"]
    (target / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in kept))


def test_a_run_goes_on_where_other_models_may_be_loaded_since(world, base_model, tmp_path):
    """An administrator allows another hub id while a run waits: what it computes stays what it was."""
    config = world.config("sft", model=str(base_model), maximum_steps=4, save_every=2, keep_checkpoints=100)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_here("sft", config, whole) == 0
    cut_back(whole, broken, keep_step=2)
    assert run_here("sft", config | {"allowed_hub_ids": ["some/model"]}, broken, "--resume") == 0
    assert_same_weights(final_checkpoint(whole), final_checkpoint(broken))
