"""A tiny world: text, demonstrations, rankings and prompts about animals, and models that fit in a second."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLOURS = {"cat": "black", "dog": "brown", "cow": "white", "fox": "red", "duck": "yellow", "bear": "grey"}


class World:
    """Files of one test session, and ways to run stages on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        chance = random.Random(0)
        self.text = self.write(
            "text.jsonl",
            [
                {"text": f"The {a} is {c}. The {b} sees the {a}."}
                for _ in range(40)
                for a, c in COLOURS.items()
                for b in chance.sample(list(COLOURS), 1)
            ],
        )
        demonstrations = [self.demonstration(chance) for _ in range(60)]
        self.sft = self.write("sft.jsonl", demonstrations[:48])
        self.sft_held_out = self.write("sft_held_out.jsonl", demonstrations[48:])
        rankings = [self.ranking(chance) for _ in range(36)]
        self.rankings = self.write("rankings.jsonl", rankings[:28])
        self.rankings_held_out = self.write("rankings_held_out.jsonl", rankings[28:])
        prompts = [
            {"messages": [{"role": "user", "content": self.question(chance)[1]}], "prompt_id": f"p{n}"}
            for n in range(20)
        ]
        self.prompts = self.write("prompts.jsonl", prompts[:14])
        self.prompts_held_out = self.write("prompts_held_out.jsonl", prompts[14:])

    def write(self, name: str, rows: list[dict]) -> str:
        path = self.folder / name
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    @staticmethod
    def question(chance: random.Random) -> tuple[str, str]:
        animal = chance.choice(list(COLOURS))
        return animal, chance.choice(
            [f"What colour is the {animal}?", f"Tell me about the {animal}, please."]
        )

    def demonstration(self, chance: random.Random) -> dict:
        animal, question = self.question(chance)
        ending = chance.choice([".", ". I like it.", " and it sees the fox."])
        return {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": f"The {animal} is {COLOURS[animal]}{ending}"},
            ]
        }

    def ranking(self, chance: random.Random) -> dict:
        animal, question = self.question(chance)
        completions = [
            f"The {animal} is {COLOURS[animal]}.",
            f"The {animal} is {COLOURS[animal]}. I like it.",
            "The the the the",
            f"The {animal} is blue.",
        ]
        rows = list(zip(completions, [1, 1, 4, 3], strict=True))
        chance.shuffle(rows)
        return {
            "messages": [{"role": "user", "content": question}],
            "completions": [row[0] for row in rows],
            "ranks": [row[1] for row in rows],
        }

    def config(self, stage: str, **changes: object) -> dict:
        """A small configuration of `stage`, on one thread: exact, and kind to neighbours."""
        base: dict[str, dict] = {
            "pretrain": {
                "text_files": [self.text],
                "vocabulary_size": 300,
                "layers": 2,
                "hidden": 32,
                "heads": 2,
                "context": 64,
                "batch_size": 4,
                "epochs": 4,
                "learning_rate": 5e-3,
                "log_every": 10,
                "validation_fraction": 0.1,
            },
            "sft": {
                "train_file": self.sft,
                "validation_file": self.sft_held_out,
                "batch_size": 8,
                "epochs": 4,
                "learning_rate": 5e-3,
                "maximum_length": 64,
            },
            "reward": {
                "train_file": self.rankings,
                "validation_file": self.rankings_held_out,
                "batch_size": 7,
                "epochs": 2,
                "learning_rate": 3e-3,
                "maximum_length": 64,
                "demonstrations_file": self.sft,
            },
            "ppo": {
                "prompts_file": self.prompts,
                "validation_prompts_file": self.prompts_held_out,
                "steps": 4,
                "batch_size": 8,
                "minibatch_size": 4,
                "ppo_epochs": 2,
                "learning_rate": 1e-3,
                "value_learning_rate": 1e-3,
                "maximum_new_tokens": 16,
                "maximum_prompt_length": 40,
            },
            "sample": {"prompts_file": self.prompts, "max_new_tokens": 16},
            "evaluate": {"max_new_tokens": 16},
            "score": {},
            "export": {},
        }
        return {"threads": 1, "device": "cpu", **base[stage], **changes}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("rlhf"))


REFUSED = 2  # exit status of a run that was not begun


def run_here(stage: str, config: dict | None, out: Path, *more: str) -> int:
    """Run a stage in this process; its exit status. Whatever it measured must have words for people."""
    from training.metric_words import WORDS
    from training.rlhf.cli import main

    status = main([stage, *write_config(config, out), "--out", str(out), *more])
    if status != REFUSED:
        assert measured(out) <= set(WORDS), sorted(measured(out) - set(WORDS))
    return status


def start_process(
    stage: str, config: dict | None, out: Path, *more: str, environment: dict[str, str] | None = None
) -> subprocess.Popen:
    """Start a stage as the site does: a process of its own."""
    command = [
        sys.executable,
        "-m",
        "training.rlhf",
        stage,
        *write_config(config, out),
        "--out",
        str(out),
        *more,
    ]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        stderr=subprocess.PIPE,
    )


def write_config(config: dict | None, out: Path) -> list[str]:
    if config is None:
        return []
    path = out.with_name(f"{out.name}.json")
    path.write_text(json.dumps(config))
    return ["--config", str(path)]


def events(out: Path, kind: str | None = None) -> list[dict]:
    from training.rlhf.events import read_events

    return [event for event in read_events(out / "events.jsonl") if kind in (None, event["type"])]


def result(out: Path) -> dict:
    return json.loads((out / "result.json").read_text())


def measured(out: Path) -> set[str]:
    """The name of each metric that a run told of: while it went, with its checkpoints, and at the end."""
    if not (out / "events.jsonl").is_file():  # refused before there was a run
        return set()
    told = [event["data"] for event in events(out, "metrics")]
    told += [event["data"]["metrics"] for event in events(out, "checkpoint")]
    ended = result(out).get("metrics") or {} if (out / "result.json").is_file() else {}
    return set().union(*told, ended)


def final_checkpoint(out: Path) -> Path:
    return out / result(out)["final_checkpoint"]


def trained(world: World, stage: str, **changes: object) -> Path:
    """The final checkpoint of a stage that must succeed, made once per session."""
    out = world.folder / f"run-{stage}"
    if not out.exists():
        status = run_here(stage, world.config(stage, **changes), out)
        assert status == 0, events(out, "error")
    return final_checkpoint(out)


@pytest.fixture(scope="session")
def base_model(world: World) -> Path:
    return trained(world, "pretrain")


@pytest.fixture(scope="session")
def sft_model(world: World, base_model: Path) -> Path:
    return trained(world, "sft", model=str(base_model))


@pytest.fixture(scope="session")
def reward_model(world: World, sft_model: Path) -> Path:
    return trained(world, "reward", model=str(sft_model))


@pytest.fixture(scope="session")
def ppo_run(world: World, sft_model: Path, reward_model: Path) -> Path:
    trained(world, "ppo", policy=str(sft_model), reward_model=str(reward_model))
    return world.folder / "run-ppo"
