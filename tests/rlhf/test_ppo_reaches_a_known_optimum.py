"""PPO against rewards whose best policy is known exactly: a wrong sign or a lost KL term cannot pass."""

import pytest
import torch
from torch import nn

from training.rlhf.batches import read_ends
from training.rlhf.config import validate
from training.rlhf.run import Run
from training.rlhf.session import open_accelerator
from training.rlhf.stages.ppo import PpoTrainer


class ExactReward(nn.Module):
    """Stands where the reward model does: a score for each sequence from a function of its tokens."""

    def __init__(self, score) -> None:
        super().__init__()
        self.score = score

    def forward(self, batch):
        rows = batch.ids[0].split(batch.layout.lengths)
        return torch.stack([self.score(row) for row in rows])


def trainer_for(world, out, sft_model, reward_model, score, **changes):
    config = validate(
        "ppo", world.config("ppo", policy=str(sft_model), reward_model=str(reward_model), **changes)
    )
    run = Run(out, "ppo")
    trainer = PpoTrainer(run, config, open_accelerator(config), None)
    trainer.networks.reward = ExactReward(score)
    return trainer


def token_distribution(scorer, prompt):
    """(V,) the exact distribution of the next token."""
    with torch.no_grad():
        logits = scorer(read_ends([prompt], pad_id=1))
    return torch.softmax(logits[0].double(), 0)


def objective(policy, reference, rewards, coefficient):
    """Expected reward minus coefficient times KL, computed exactly."""
    return float((policy * rewards).sum() - coefficient * (policy * (policy / reference).log()).sum())


@pytest.mark.parametrize("coefficient", [0.5])
def test_one_token_responses_approach_the_closed_form(world, sft_model, reward_model, tmp_path, coefficient):
    """With one token the best policy is reference * exp(reward / coefficient), up to a factor."""
    rewards = torch.randn(300, generator=torch.Generator().manual_seed(5)).double()
    trainer = trainer_for(
        world,
        tmp_path / "r",
        sft_model,
        reward_model,
        lambda ids: rewards[ids[-1]].float(),
        steps=40,
        batch_size=64,
        minibatch_size=64,
        ppo_epochs=2,
        maximum_new_tokens=1,
        missing_eos_penalty=0.0,
        kl_coefficient=coefficient,
        learning_rate=3e-3,
        value_learning_rate=1e-3,
        validation_prompts_file="",
    )
    prompt = trainer.prompts[0]
    trainer.prompts = [prompt]
    reference = token_distribution(trainer.networks.reference, prompt)
    best = reference * torch.exp(rewards / coefficient)
    best = best / best.sum()
    start = objective(reference, reference, rewards, coefficient)
    optimum = objective(best, reference, rewards, coefficient)
    trainer.train()
    reached = objective(token_distribution(trainer.networks.policy, prompt), reference, rewards, coefficient)
    assert optimum - start > 0.2  # there is something to gain
    assert reached - start > 0.9 * (optimum - start)


def test_a_countable_property_is_learnt(world, sft_model, reward_model, tmp_path):
    """One point for each response token in the lower half of the vocabulary: the best is all eight."""
    length = 8

    def score(ids):
        return (ids[-length:] < 150).float().sum()

    trainer = trainer_for(
        world,
        tmp_path / "r",
        sft_model,
        reward_model,
        score,
        steps=30,
        batch_size=32,
        minibatch_size=16,
        ppo_epochs=2,
        maximum_new_tokens=length,
        missing_eos_penalty=0.0,
        kl_coefficient=0.0,
        learning_rate=3e-3,
        value_learning_rate=3e-3,
        validation_prompts_file="",
    )
    trainer.roller.stops = [-1]  # nothing ends a response, so that all have eight tokens
    before = mean_score(trainer, score)
    trainer.train()
    assert before < 0.5 * length
    assert mean_score(trainer, score) > 0.9 * length


def mean_score(trainer, score) -> float:
    episodes = trainer.roller.sample(trainer.prompts * 4, list(range(len(trainer.prompts) * 4)))
    return sum(float(score(torch.tensor(row))) for row in episodes.sequences) / len(episodes.sequences)


def test_the_value_model_learns_to_predict_returns(world, sft_model, reward_model, tmp_path):
    trainer = trainer_for(
        world,
        tmp_path / "r",
        sft_model,
        reward_model,
        lambda ids: torch.tensor(3.0),
        steps=20,
        batch_size=16,
        minibatch_size=16,
        maximum_new_tokens=4,
        missing_eos_penalty=0.0,
        kl_coefficient=0.0,
        learning_rate=1e-6,
        value_learning_rate=3e-3,
        value_coefficient=1.0,
        value_clip_range=5.0,
        validation_prompts_file="",
    )
    trainer.train()
    from .conftest import events

    values = [
        event["data"]["value_mean"]
        for event in events(tmp_path / "r", "metrics")
        if "value_mean" in event["data"]
    ]
    assert abs(values[-1] - 3.0) < 0.3 < abs(values[0] - 3.0)


def test_the_kl_budget_stops_the_run_and_chooses_within_it(world, sft_model, reward_model, tmp_path):
    from .conftest import events, result

    trainer = trainer_for(
        world,
        tmp_path / "r",
        sft_model,
        reward_model,
        lambda ids: (ids >= 150).float().sum(),
        steps=80,
        kl_coefficient=0.0,
        learning_rate=3e-4,
        evaluate_every=1,
        kl_budget=1.0,
        keep_checkpoints=1,
    )
    trainer.train()
    found = result(tmp_path / "r")
    rows = [event["data"] for event in events(tmp_path / "r", "metrics") if "validation_kl" in event["data"]]
    assert found["step"] < 80 and rows[-1]["validation_kl"] > 1.0
    within = [row for row in rows[1:] if row["validation_kl"] <= 1.0]
    assert found["best"]["value"] == max(row["validation_reward"] for row in within)
    assert (tmp_path / "r" / found["best_checkpoint"]).is_dir()
