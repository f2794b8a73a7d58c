"""The best checkpoint is best by the metric that was chosen: it is kept, early stopping waits for it, a run
that goes on knows it, and a checkpoint carries only what was measured at its own step.

Evaluations are scripted, so that each metric has its best step where the others have not.
"""

from __future__ import annotations

import json

import pytest

from training.rlhf import session as sessions
from training.rlhf.checkpoints import load_manifest
from training.rlhf.rollout import Roller
from training.rlhf.session import Session
from training.rlhf.stages.language import LanguageTask
from training.rlhf.stages.reward import RankingTask

from .conftest import events, result, run_here

# Of evaluations at steps 0, 1, 2, ...; the loss is lowest at 1, the accuracy highest at 3.
LOSSES = [3.0, 1.0, 2.0, 2.0, 2.5, 2.5, 2.5]
ACCURACIES = [0.1, 0.2, 0.3, 0.6, 0.6, 0.5, 0.4]
# Of PPO: reward grows and KL faster; with a coefficient of 0.5 the objective is best at step 2.
REWARDS = [0.0, 1.0, 2.0, 3.0, 4.0]
KLS = [0.0, 1.0, 2.0, 5.0, 9.0]
TASKS = {"sft": LanguageTask, "reward": RankingTask}


@pytest.fixture
def scripted(monkeypatch):
    """Evaluations say what stands above for the step they are made at."""

    def supervised(task, *_):
        step = STEP["now"]
        return {"validation_loss": LOSSES[step], "validation_accuracy": ACCURACIES[step]}

    def held_out(roller, prompts, seeds, place):
        reward, kl = REWARDS[STEP["now"]], KLS[STEP["now"]]
        objective = reward - roller.config.kl_coefficient * kl
        return {"validation_reward": reward, "validation_objective": objective, "validation_kl": kl}

    begin = Session.begin_step

    def count(session):
        STEP["now"] = begin(session)
        return STEP["now"]

    STEP["now"] = 0
    monkeypatch.setattr(Session, "begin_step", count)
    monkeypatch.setattr(Roller, "held_out", held_out)
    for task in TASKS.values():
        monkeypatch.setattr(task, "evaluate", supervised)


STEP = {"now": 0}


def config_of(world, stage, start, **changes):
    return world.config(
        stage, model=str(start), maximum_steps=5, epochs=9, evaluate_every=1, keep_checkpoints=1, **changes
    )


@pytest.mark.parametrize("stage", TASKS)
@pytest.mark.parametrize(("metric", "step"), [("validation_loss", 1), ("validation_accuracy", 3)])
def test_the_chosen_metric_chooses_and_its_best_is_kept(
    world, sft_model, tmp_path, scripted, stage, metric, step
):
    out = tmp_path / "r"
    assert run_here(stage, config_of(world, stage, sft_model, best_metric=metric), out) == 0
    found = result(out)
    expected = (LOSSES if metric == "validation_loss" else ACCURACIES)[step]
    assert found["best"] == {"metric": metric, "value": expected, "step": step}
    assert found["best_checkpoint"] == f"checkpoints/step-{step}"
    assert {path.name for path in (out / "checkpoints").iterdir()} == {f"step-{step}", "step-5"}


@pytest.mark.parametrize(("metric", "stops"), [("validation_loss", 3), ("validation_accuracy", 5)])
def test_early_stopping_waits_for_the_same_metric(world, sft_model, tmp_path, scripted, metric, stops):
    config = config_of(world, "sft", sft_model, best_metric=metric, early_stopping_patience=2)
    assert run_here("sft", config, tmp_path / "r") == 0
    assert result(tmp_path / "r")["step"] == stops
    said = [event["data"]["message"] for event in events(tmp_path / "r", "log")]
    assert any(f"2 evaluations without a better {metric}" in message for message in said)


@pytest.fixture
def ppo(world, sft_model, reward_model):
    def make(**changes):
        settings = {
            "evaluate_every": 1,
            "steps": 4,
            "kl_coefficient": 0.5,
            "keep_checkpoints": 1,
            "ppo_epochs": 1,
        }
        models = {"policy": str(sft_model), "reward_model": str(reward_model)}
        return world.config("ppo", **models, **settings | changes)

    return make


@pytest.mark.parametrize(
    ("changes", "step", "value"),
    [
        ({}, 4, 4.0),
        ({"kl_budget": 6.0}, 3, 3.0),
        ({"best_metric": "validation_objective"}, 2, 1.0),
        ({"best_metric": "validation_objective", "kl_budget": 1.5}, 1, 0.5),
    ],
)
def test_ppo_is_best_within_its_budget_by_the_chosen_metric(ppo, tmp_path, scripted, changes, step, value):
    assert run_here("ppo", ppo(**changes), tmp_path / "r") == 0
    best = result(tmp_path / "r")["best"]
    assert best == {
        "metric": ppo(**changes).get("best_metric", "validation_reward"),
        "value": value,
        "step": step,
    }
    assert (tmp_path / "r" / "checkpoints" / f"step-{step}" / "manifest.json").is_file()


def test_ppo_stops_early_too(ppo, tmp_path, scripted):
    config = ppo(best_metric="validation_objective", early_stopping_patience=1)
    assert run_here("ppo", config, tmp_path / "r") == 0
    assert result(tmp_path / "r")["step"] == 3  # 0.5 after 1.0 at step 2
    said = [event["data"]["message"] for event in events(tmp_path / "r", "log")]
    assert "stopped early: 1 evaluations without a better validation_objective" in said


def test_the_objective_is_reward_less_the_penalty(ppo, tmp_path):
    assert run_here("ppo", ppo(steps=1), tmp_path / "r") == 0
    found = result(tmp_path / "r")["metrics"]
    expected = found["validation_reward"] - 0.5 * found["validation_kl"]
    assert found["validation_objective"] == pytest.approx(expected, abs=1e-12)
    assert run_here("ppo", ppo(steps=1, validation_prompts_file="",
                               best_metric="validation_objective"), tmp_path / "p") == 0  # fmt: skip
    found = result(tmp_path / "p")
    assert found["best"]["metric"] == "objective_mean"
    assert found["metrics"]["objective_mean"] == found["metrics"]["reward_mean"]  # no KL in the first rollout


@pytest.mark.parametrize("stage", ["sft", "ppo"])
def test_a_checkpoint_carries_what_was_measured_at_its_own_step(
    world, sft_model, ppo, tmp_path, monkeypatch, scripted, stage
):
    """Saved at each step, measured at every second one."""
    monkeypatch.setattr(Session, "_is_long_unsaved", lambda _: True)
    if stage == "sft":
        config = config_of(world, stage, sft_model) | {"evaluate_every": 2, "keep_checkpoints": 9}
        config["maximum_steps"] = 4
    else:
        config = ppo() | {"evaluate_every": 2, "keep_checkpoints": 9}
    out = tmp_path / "r"
    assert run_here(stage, config, out) == 0
    measured = {step: load_manifest(out / "checkpoints" / f"step-{step}").metrics for step in (1, 2, 3, 4)}
    assert measured[1] == measured[3] == {}
    name = "validation_loss" if stage == "sft" else "validation_reward"
    values = LOSSES if stage == "sft" else REWARDS
    assert (measured[2][name], measured[4][name]) == (values[2], values[4])
    told = {event["step"]: event["data"]["metrics"] for event in events(out, "checkpoint")}
    assert told == measured


def test_a_run_broken_off_between_evaluations_goes_on_with_the_same_best_and_metrics(
    world, sft_model, tmp_path, monkeypatch, scripted
):
    """Broken off at step 4 after an evaluation at 3: best and patience, and what the result says, are those
    of a run that went through."""
    monkeypatch.setattr(sessions, "LONGEST_UNSAVED_SECONDS", -1.0)
    monkeypatch.setattr(sessions, "SAVING_SHARE", 1e9)
    config = config_of(world, "sft", sft_model, best_metric="validation_accuracy") | {
        "maximum_steps": 5, "evaluate_every": 3, "keep_checkpoints": 9,
    }  # fmt: skip
    assert run_here("sft", config, tmp_path / "whole") == 0
    STEP["now"] = 0
    end = Session.end_step

    def break_off(session, **ends):
        end(session, **ends)
        if session.step == 4:
            raise RuntimeError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr(Session, "end_step", break_off)
        assert run_here("sft", config, tmp_path / "broken") == 1
    state = json.loads((tmp_path / "broken/checkpoints/step-4/trainer_state.json").read_text())
    assert state["best"]["step"] == 3 and state["last_metrics"]["validation_accuracy"] == ACCURACIES[3]
    assert run_here("sft", config, tmp_path / "broken", "--resume") == 0
    whole, broken = result(tmp_path / "whole"), result(tmp_path / "broken")
    for name in ("best", "best_checkpoint", "step"):
        assert broken[name] == whole[name]
    for step in (3, 4, 5):
        manifests = [
            load_manifest(tmp_path / run / "checkpoints" / f"step-{step}") for run in ("whole", "broken")
        ]
        assert manifests[0].metrics == manifests[1].metrics
        weights = [manifest.files["model.safetensors"] for manifest in manifests]
        assert weights[0] == weights[1]
