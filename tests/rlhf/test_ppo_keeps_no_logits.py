"""PPO never holds a number for each episode, token and entry of the vocabulary.

Every tensor that scoring and update make is looked at. What is as wide as the vocabulary is there for the
response tokens of one micro-batch, never for a prompt, and is gone when the micro-batch is.
"""

import gc
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from training.rlhf.config import validate
from training.rlhf.models import TokenLogits
from training.rlhf.run import Run
from training.rlhf.session import open_accelerator
from training.rlhf.stages.ppo import PpoTrainer

PROMPT = "The cat is black. The dog sees the cat. The cow is white. What colour is the cat?"
EPISODES, MICRO = 12, 3


class Watch(TorchDispatchMode):
    """Remembers each tensor made whose last side is as wide as the vocabulary, and how many lived at once."""

    def __init__(self, width: int, weights: list[torch.Tensor]) -> None:
        super().__init__()
        self.width, self.rows, self.alive, self.most = width, [], {}, 0
        # The output layer is as wide too: itself turned over, and its gradient.
        self.weights = {weight.untyped_storage().data_ptr() for weight in weights}
        self.turned = {tuple(reversed(weight.shape)) for weight in weights}

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        made = function(*arguments, **(keywords or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and tensor.shape[-1:] == (self.width,):
                self._remember(tensor)
        return made

    def _remember(self, tensor: torch.Tensor) -> None:
        rows, place = tensor.numel() // self.width, tensor.untyped_storage().data_ptr()
        if place in self.weights or tuple(tensor.shape) in self.turned:
            return
        self.rows.append(rows)
        if place not in self.alive:
            self.alive[place] = rows
            self.most = max(self.most, sum(self.alive.values()))
            weakref.finalize(tensor.untyped_storage(), self.alive.pop, place, None)


@pytest.fixture
def trainer(world, sft_model, reward_model, tmp_path):
    rows = [{"messages": [{"role": "user", "content": PROMPT}]} for _ in range(EPISODES)]
    values = world.config(
        "ppo", policy=str(sft_model), reward_model=str(reward_model), batch_size=EPISODES,
        minibatch_size=EPISODES, ppo_epochs=1, maximum_new_tokens=8, maximum_prompt_length=56,
        prompts_file=world.write("long_prompts.jsonl", rows), validation_prompts_file="",
    )  # fmt: skip
    with Run(tmp_path / "r", "ppo") as run:
        config = validate("ppo", values)
        made = PpoTrainer(run, config, open_accelerator(config), None)
        prompt = len(made.prompts[0])
        assert prompt > 3 * config.maximum_new_tokens  # so that logits of prompts would be seen
        made.roller.config = made.config = validate(
            "ppo", values | {"micro_batch_tokens": MICRO * (prompt + config.maximum_new_tokens)}
        )
        yield made


def watched(trainer: PpoTrainer) -> tuple[Watch, int, int]:
    """(what scoring and update of a step made, response tokens of the fullest micro-batch, B * T)."""
    width = trainer.networks.policy.model.config.vocab_size
    rows = list(range(EPISODES))
    episodes = trainer.roller.sample([trainer.prompts[row] for row in rows], rows)
    plan = trainer._plan(episodes, epoch=0)
    parts = [part for minibatch in plan for part in minibatch.parts]
    assert len(parts) >= EPISODES // MICRO
    networks = trainer.networks
    watch = Watch(width, [*networks.policy.parameters(), *networks.reference.parameters()])
    trainer.session.begin_step()
    with watch:
        experience = trainer.roller.experience(episodes, plan, 0.1)
        gc.collect()
        kept = list(watch.alive.values())
        trainer._update(experience)
    assert not kept, "something as wide as the vocabulary outlives the scoring"
    fullest = max(sum(len(episodes.responses[row].tokens) for row in part) for part in parts)
    return watch, fullest, EPISODES * max(episodes.lengths)


def test_scoring_and_update_hold_the_logits_of_one_micro_batchs_responses(trainer):
    watch, fullest, everywhere = watched(trainer)
    assert max(watch.rows) == fullest
    # Logits, their exponentials, and the gradient that these become: of a micro-batch, not of the step.
    assert fullest < watch.most <= 3 * fullest < everywhere


def test_the_watch_sees_logits_of_prompts(trainer, monkeypatch):
    """The check itself, on a scorer that computes every position and throws the prompt's away."""

    def everywhere(scorer, batch):
        whole = scorer.model.get_output_embeddings()(
            scorer.model.base_model(batch.ids, position_ids=batch.positions).last_hidden_state
        )
        return whole[batch.predicts]

    for network in (trainer.networks.policy, trainer.networks.reference):
        network.packs = False
    trainer.roller.packs = False
    trainer.networks.value.packs = False
    monkeypatch.setattr(TokenLogits, "forward", everywhere)
    watch, fullest, _ = watched(trainer)
    assert max(watch.rows) > 3 * fullest


def test_the_watch_sees_logits_that_are_kept(trainer, monkeypatch):
    logprobs, kept = trainer.roller.logprobs, []

    def keep(scorer, batch):
        kept.append(scorer(batch))
        return logprobs(scorer, batch)

    monkeypatch.setattr(trainer.roller, "logprobs", keep)
    with pytest.raises(AssertionError, match="outlives"):
        watched(trainer)
