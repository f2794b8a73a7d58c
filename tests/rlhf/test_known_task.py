"""From labels to policy on a task whose optimum is known; and what is broken does not pass for learning.

A wrong sign, a shuffled label file and a lost KL weight each fail the very check that an honest run passes.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from training.rlhf import ppo_math
from training.rlhf.stages import reward as reward_stage

from .conftest import final_checkpoint, run_here
from .known_task import check, learn

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(world, base_model, tmp_path_factory):
    """An SFT model that has learnt the demonstrations well enough to say every ending of theirs."""
    out = tmp_path_factory.mktemp("known-task") / "sft"
    assert run_here("sft", world.config("sft", model=str(base_model), epochs=20), out) == 0
    return final_checkpoint(out)


@pytest.fixture(scope="module")
def honest(world, model, tmp_path_factory):
    return learn(world, model, tmp_path_factory.mktemp("honest"))


def test_ppo_reaches_nine_tenths_of_the_optimum_within_its_kl(honest):
    check(honest)


@pytest.mark.parametrize("changes", [{"after": 0.85}, {"kl": 30.0}, {"accuracy": 0.6}, {"before": 0.5}])
def test_each_part_of_the_check_can_fail(honest, changes):
    with pytest.raises(AssertionError):
        check(replace(honest, **changes))


def test_a_shuffled_label_file_is_caught(world, model, tmp_path):
    found = learn(world, model, tmp_path, shuffled=True)
    assert found.accuracy < 0.8 and found.after < 0.5
    with pytest.raises(AssertionError):
        check(found)


def test_a_lost_kl_weight_is_caught(world, model, tmp_path, honest):
    found = learn(world, model, tmp_path, kl_coefficient=0.0)
    assert found.kl > 1.5 * honest.kl
    with pytest.raises(AssertionError, match="nats away"):
        check(found)


def test_a_wrong_sign_in_the_pairwise_loss_is_caught(world, model, tmp_path, monkeypatch):
    right = reward_stage.pairwise_loss

    def wrong(scores, *args, **more):
        return right(scores, *args, **more)._replace(loss=right(-scores, *args, **more).loss)

    monkeypatch.setattr(reward_stage, "pairwise_loss", wrong)
    found = learn(world, model, tmp_path)
    assert found.accuracy < 0.2 and found.after < found.before + 0.1
    with pytest.raises(AssertionError):
        check(found)


def test_a_wrong_sign_in_the_advantages_is_caught(world, model, tmp_path, monkeypatch):
    right = ppo_math.policy_loss
    monkeypatch.setattr(
        ppo_math, "policy_loss", lambda new, old, advantages, *more: right(new, old, -advantages, *more)
    )
    found = learn(world, model, tmp_path)
    assert found.after < found.before + 0.1
    with pytest.raises(AssertionError, match="of answers have it"):
        check(found)
