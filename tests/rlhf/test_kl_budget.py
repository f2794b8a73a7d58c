"""A KL budget is kept whether or not an evaluation was asked for, and what is over it is never the best."""

from __future__ import annotations

import pytest

from training.rlhf.kl_budget import KlBudget
from training.rlhf.rollout import Roller
from training.rlhf.session import Session
from training.rlhf.stages.ppo import PpoTrainer

from .conftest import events, result, run_here


@pytest.fixture
def config_of(world, sft_model, reward_model):
    def make(**changes):
        fixed = {
            "policy": str(sft_model),
            "reward_model": str(reward_model),
            "learning_rate": 3e-3,
            "steps": 6,
        }
        return world.config("ppo", **fixed | changes)

    return make


@pytest.mark.parametrize("evaluate_every", [0, 1])
@pytest.mark.parametrize("held_out", [True, False])
def test_a_run_over_its_budget_stops_and_nothing_over_it_is_best(
    config_of, tmp_path, held_out, evaluate_every
):
    changes = {"kl_budget": 0.05, "evaluate_every": evaluate_every}
    config = config_of(**changes | ({} if held_out else {"validation_prompts_file": ""}))
    out = tmp_path / "r"
    assert run_here("ppo", config, out) == 0
    found = result(out)
    assert found["step"] <= 2  # the first rollouts are those of the reference
    assert found["best"] is None and found["best_checkpoint"] is None
    assert (out / found["final_checkpoint"]).is_dir()
    said = [event["data"]["message"] for event in events(out, "log")]
    assert any("exceeds the budget of 0.05" in line for line in said)
    assert any("no checkpoint stayed within the KL budget" in line for line in said)


@pytest.fixture
def scripted(monkeypatch):
    """KL grows by one each step, and is measured after the update."""
    begin, describe = Session.begin_step, PpoTrainer._describe
    step = {"now": 0}

    def count(session):
        step["now"] = begin(session)
        return step["now"]

    def held_out(roller, prompts, seeds, place):
        kl = float(step["now"])
        return {"validation_reward": kl, "validation_objective": kl, "validation_kl": kl}

    monkeypatch.setattr(Session, "begin_step", count)
    monkeypatch.setattr(Roller, "held_out", held_out)
    monkeypatch.setattr(
        PpoTrainer,
        "_describe",
        lambda self, experience: describe(self, experience) | {"kl": step["now"] - 1.0},
    )
    return step


def small(config_of, **changes):
    return config_of(ppo_epochs=1, learning_rate=1e-5, keep_checkpoints=1, **changes)


def test_without_evaluations_the_best_is_found_on_the_way_to_the_budget(config_of, tmp_path, scripted):
    assert run_here("ppo", small(config_of, kl_budget=3.5, steps=9), tmp_path / "r") == 0
    found = result(tmp_path / "r")
    assert found["step"] == 4 and found["best"]["step"] == 3
    assert found["best_checkpoint"] == "checkpoints/step-3"
    assert (tmp_path / "r" / "checkpoints" / "step-3").is_dir()


def test_without_held_out_prompts_what_is_saved_is_what_was_measured(config_of, tmp_path, scripted):
    config = small(config_of, kl_budget=2.5, steps=9, evaluate_every=1, validation_prompts_file="")
    assert run_here("ppo", config, tmp_path / "r") == 0
    found = result(tmp_path / "r")
    assert found["best"] == {"metric": "reward_mean", "value": 2.0, "step": 2}
    assert found["metrics"]["kl"] == 3.0  # of the weights that were saved last


def test_a_resumed_run_looks_at_the_same_steps(config_of, tmp_path, scripted, monkeypatch):
    config = small(config_of, kl_budget=3.5, steps=9, save_every=1)
    assert run_here("ppo", config, tmp_path / "whole") == 0
    end = Session.end_step

    def break_off(session, **ends):
        end(session, **ends)
        if session.step == 3:
            raise RuntimeError("the power went")

    scripted["now"] = 0
    with monkeypatch.context() as patched:
        patched.setattr(Session, "end_step", break_off)
        assert run_here("ppo", config, tmp_path / "broken") == 1
    assert run_here("ppo", config, tmp_path / "broken", "--resume") == 0
    whole, broken = result(tmp_path / "whole"), result(tmp_path / "broken")
    for name in ("best", "best_checkpoint", "step"):
        assert whole[name] == broken[name]


def test_a_few_looks_lead_to_the_budget():
    state: dict = {}
    budget = KlBudget(10.0)
    seen = [
        kl for kl in (0.0, 4.0, 5.1, 5.2, 4.0, 6.1, 9.9, 9.95, 9.0, 10.1, 12.0) if budget.is_neared(kl, state)
    ]
    assert seen == [5.1, 6.1, 9.9, 10.1, 12.0]
    assert budget.is_over(10.1) and not budget.is_over(10.0)
    assert not KlBudget(0.0).is_neared(1e9, {}) and not KlBudget(0.0).is_over(1e9)
