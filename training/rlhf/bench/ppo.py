"""Steps of PPO: our trainer against the padded loop, from the same four networks and prompts."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.rlhf.bench.compare import Numbers, by_turns, clock, config_for, rates
from training.rlhf.bench.corpus import Corpus
from training.rlhf.bench.reference import PaddedPpo
from training.rlhf.models import load_causal_lm, load_reward_model, new_reward_model
from training.rlhf.optim import Optimizer
from training.rlhf.run import Run
from training.rlhf.session import derived_seed, open_accelerator
from training.rlhf.stages.ppo import PpoTrainer

BATCH, MINIBATCH, EPOCHS, NEW_TOKENS, MICRO = 64, 16, 4, 64, 16
PARTS = ("generation", "scoring", "update")
EPISODES = ("score", "kl", "response")


class Side:
    """What one side measured: seconds of each part by turns, and the episodes of its last turn."""

    def __init__(self) -> None:
        self.turns: list[Numbers] = []
        self.episodes: dict[str, list[Tensor]] = {}

    def begin(self) -> None:
        self.turns.append(dict.fromkeys(PARTS, 0.0))
        self.episodes = {name: [] for name in EPISODES}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = clock()
        yield
        self.turns[-1][name] += clock() - began

    def step(self, **found: Tensor) -> None:
        """`EPISODES` of one step, (B,) each."""
        for name, values in found.items():
            self.episodes[name].append(values.double().cpu())

    @property
    def seconds(self) -> float:
        return sum(self.turns[-1][name] for name in PARTS)

    def last(self, name: str) -> Tensor:
        """(B,) of the last step: what all updates before it have led to."""
        return self.episodes[name][-1]

    def numbers(self, prefix: str) -> Numbers:
        middle = {name: statistics.median(turn[name] for turn in self.turns[1:]) for name in PARTS}
        total = sum(middle.values())
        shares = {f"{prefix}share_{name}": seconds / total for name, seconds in middle.items()}
        means = {f"{prefix}{name}": float(torch.cat(self.episodes[name]).mean()) for name in EPISODES}
        return (
            shares
            | means
            | {f"{prefix}{name}_last": float(self.last(name).mean()) for name in ("score", "kl")}
        )


def ppo(corpus: Corpus, model: Any, repeats: int, folder: Path, steps: int) -> Numbers:
    """`steps` steps of 64 episodes of at most 64 tokens, 4 epochs in minibatches of 16.

    Lengths and means are over all steps. `score_apart` and `kl_apart` say by how many standard errors of the
    difference the two sides' means of the last step differ.
    """
    config = prepare(corpus, model, folder, steps)
    accelerator = open_accelerator(config)
    mine, plain = Side(), Side()
    prompts: dict[str, float] = {}

    def trainer() -> PpoTrainer:
        number = len(mine.turns) + len(plain.turns)
        with Run(folder / f"run-{number}", "ppo") as run:
            return PpoTrainer(run, config, accelerator, None)

    def length(side: Side) -> int:
        """The first turn, which warms up and is not counted, is short."""
        return steps if side.turns else 1

    def ours() -> float:
        count = length(mine)
        with_ours(trainer(), config, mine, count)
        return mine.seconds

    def theirs() -> float:
        torch.manual_seed(0)
        count, pool = length(plain), trainer()
        prompts.update(prompt_lengths(pool, count))
        with_padding(pool, corpus.tokenizer, config, plain, count)
        return plain.seconds

    fast, slow = by_turns(ours, theirs, repeats)
    numbers = {"seconds": fast, "reference_seconds": slow, "times": slow / fast}
    numbers |= rates("episodes", BATCH * steps, numbers) | prompts
    apart = {
        f"{name}_apart": standard_errors_apart(mine.last(name), plain.last(name)) for name in ("score", "kl")
    }
    return numbers | mine.numbers("") | plain.numbers("reference_") | apart


def prompt_lengths(pool: PpoTrainer, steps: int) -> Numbers:
    """Tokens of prompts: their mean, and over steps the mean of the longest, to which each is padded."""
    lengths = [[len(pool.prompts[row]) for row in pool._prompts_of(step)] for step in range(1, steps + 1)]
    return {
        "mean_prompt": statistics.mean(itertools.chain(*lengths)),
        "longest_prompt": statistics.mean(map(max, lengths)),
    }


def standard_errors_apart(ours: Tensor, theirs: Tensor) -> float:
    """Welch's t of two samples, without its sign; (B,) each."""
    variance = ours.var() / len(ours) + theirs.var() / len(theirs)
    gap = float((ours.mean() - theirs.mean()).abs())
    return gap / float(variance.sqrt()) if float(variance) else (0.0 if gap == 0 else math.inf)


def prepare(corpus: Corpus, model: Any, folder: Path, steps: int) -> Any:
    """Policy, reward model and prompts as files; the configuration that names them."""
    policy, scorer, prompts = folder / "policy", folder / "scorer", folder / "prompts.jsonl"
    model.save_pretrained(policy)
    corpus.tokenizer.save_pretrained(policy)
    rewards: Any = new_reward_model(str(policy), allowed_hub_ids=[], seed=1)[0]
    rewards.save_pretrained(scorer)
    corpus.tokenizer.save_pretrained(scorer)
    with prompts.open("w", encoding="utf-8") as file:
        for question, _ in corpus.texts[: BATCH * steps]:
            file.write(json.dumps({"messages": [{"role": "user", "content": question}]}) + "\n")
    return config_for(
        "ppo",
        policy=str(policy),
        reward_model=str(scorer),
        prompts_file=str(prompts),
        batch_size=BATCH,
        minibatch_size=MINIBATCH,
        ppo_epochs=EPOCHS,
        steps=steps,
        maximum_new_tokens=NEW_TOKENS,
        maximum_prompt_length=256,
        value_learning_rate=1e-4,
        schedule="constant",
    )


def with_ours(trainer: PpoTrainer, config: Any, side: Side, steps: int) -> None:
    side.begin()
    for _ in range(steps):
        step = trainer.session.begin_step()
        chosen = trainer._prompts_of(step)
        seeds = [derived_seed(0, "rollout", step, index) for index in range(len(chosen))]
        with side.part("generation"):
            episodes = trainer.roller.sample([trainer.prompts[row] for row in chosen], seeds)
        with side.part("scoring"):
            plan = trainer._plan(episodes, epoch=0)
            experience = trainer.roller.experience(episodes, plan, config.kl_coefficient)
        with side.part("update"):
            trainer._update(experience)
        gaps = (experience.logprobs - experience.reference_logprobs) * experience.response_mask
        side.step(score=experience.scores, kl=gaps.sum(1), response=experience.response_mask.sum(1))


def with_padding(pool: PpoTrainer, tokenizer: Any, config: Any, side: Side, steps: int) -> None:
    """The same steps in the padded loop; `pool` gives the prompts alone."""
    networks: list[Any] = [load_causal_lm(config.policy, allowed_hub_ids=[])[0] for _ in range(2)]
    networks += [load_reward_model(config.reward_model, allowed_hub_ids=[])[0] for _ in range(2)]
    for network in networks:
        network.eval()
    loop = PaddedPpo(networks, config, tokenizer.pad_token_id, tokenizer.eos_token_id)
    modules = {"policy": networks[0], "value": networks[3]}
    optimizer = Optimizer(modules, {"policy": config.learning_rate, "value": 1e-4}, config)
    side.begin()
    for step in range(1, steps + 1):
        with side.part("generation"):
            rows = loop.rollout([pool.prompts[row] for row in pool._prompts_of(step)])
        with side.part("scoring"):
            found = loop.measure(rows, config.kl_coefficient, MICRO)
        with side.part("update"):
            for _ in range(EPOCHS):
                for chosen in torch.randperm(BATCH).split(MINIBATCH):
                    loop.update(rows, found, chosen, MICRO)
                    optimizer.step(1.0)
        side.step(score=found["scores"], kl=found["kl"], response=rows["mask"].sum(1))
