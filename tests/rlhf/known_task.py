"""A task whose best policy is known: every answer speaks of “I”, as a third of the demonstrations do.

From labels to policy: the SFT model's own answers are ranked by that property alone, a reward model learns
the file of rankings, PPO learns from the reward model, and the property is counted in fresh answers. The
best there is has it in all of them.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

from .conftest import World, events, result, run_here

WANTED = "I"
OPTIMUM = 1.0
ENOUGH = 0.9  # of the optimum
DRAWN, RANKED = 32, 4  # answers to a prompt, and how many are ranked together
ROOM = 20  # tokens of an answer
MOST_KL = 12.0  # nats a response


@dataclass(frozen=True)
class Reached:
    """What came of it, on held-out prompts. `kl` is measured at the end of the run, in nats a response."""

    before: float
    after: float
    kl: float
    accuracy: float  # of the reward model, held out, by the exact property


def rank(texts: list[str]) -> list[int]:
    return [1 if WANTED in text else 2 for text in texts]


def check(found: Reached) -> None:
    """What an honest run passes, and a broken one must not."""
    assert found.before < 0.3, "the task is not solved before"
    assert found.after >= ENOUGH * OPTIMUM, f"{found.after:.0%} of answers have it"
    assert found.kl <= MOST_KL, f"the policy is {found.kl:.1f} nats away from where it began"
    assert found.accuracy >= 0.9, f"the reward model is right {found.accuracy:.0%} of the time"


def learn(
    world: World, sft_model: Path, folder: Path, *, shuffled: bool = False, kl_coefficient: float = 0.1
) -> Reached:
    """The whole chain; `shuffled` gives each ranking of the training file another one's order of ranks."""
    rows = rankings(world.prompts, sample(world, sft_model, folder / "answers", world.prompts, count=DRAWN))
    if shuffled:
        chance = random.Random(1)
        for row in rows:
            chance.shuffle(row["ranks"])
    held_out = sample(world, sft_model, folder / "held-out", world.prompts_held_out, count=DRAWN)
    train_file, test_file = folder / "rankings.jsonl", folder / "held-out.jsonl"
    for path, lines in ((train_file, rows), (test_file, rankings(world.prompts_held_out, held_out))):
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    reward = world.config(
        "reward",
        model=str(sft_model),
        train_file=str(train_file),
        validation_file=str(test_file),
        epochs=3,
        batch_size=8,
    )
    assert run_here("reward", reward, folder / "reward") == 0
    told = result(folder / "reward")
    ppo = world.config(
        "ppo",
        policy=str(sft_model),
        reward_model=str(folder / "reward" / told["final_checkpoint"]),
        steps=64,
        learning_rate=5e-4,
        batch_size=32,
        minibatch_size=16,
        maximum_new_tokens=ROOM,
        kl_coefficient=kl_coefficient,
        evaluate_every=0,
        seed=3,
    )
    assert run_here("ppo", ppo, folder / "ppo") == 0
    policy = folder / "ppo" / result(folder / "ppo")["final_checkpoint"]
    after = sample(world, policy, folder / "after", world.prompts_held_out, count=16)
    kl = [
        e["data"]["validation_kl"] for e in events(folder / "ppo", "metrics") if "validation_kl" in e["data"]
    ]
    return Reached(share(held_out), share(after), kl[-1], told["metrics"]["validation_accuracy"])


def share(answers: list[list[str]]) -> float:
    texts = [text for each in answers for text in each]
    return sum(WANTED in text for text in texts) / len(texts)


def rankings(prompts: str, answers: list[list[str]]) -> list[dict]:
    asked = [json.loads(line)["messages"] for line in Path(prompts).read_text().splitlines()]
    rows = []
    for messages, texts in zip(asked, answers, strict=True):
        said = [text for text in texts if text.strip()]
        groups = [said[start : start + RANKED] for start in range(0, len(said), RANKED)]
        rows += [
            {"messages": messages, "completions": group, "ranks": rank(group)}
            for group in groups
            if len(set(rank(group))) > 1
        ]
    return rows


def sample(world: World, model: Path, folder: Path, prompts: str, *, count: int) -> list[list[str]]:
    config = world.config(
        "sample",
        checkpoints=[str(model)],
        completions_per_prompt=count,
        prompts_file=prompts,
        max_new_tokens=ROOM,
    )
    assert run_here("sample", config, folder) == 0
    rows = [json.loads(line) for line in (folder / "completions.jsonl").read_text().splitlines()]
    texts = [[""] * count for _ in range(1 + max(row["prompt_index"] for row in rows))]
    for row in rows:
        texts[row["prompt_index"]][row["completion_index"]] = row["text"]
    return texts
