"""One seed of the sample project from nothing to PPO, as files and child processes, and what came of it.

    text → base → SFT → completions, ranked by simulated people → reward model → PPO → answers → figures

It needs no site: the same people, recipe and commands as the demo, without their pages. Each stage is a run
folder of its own, so that a loop that was stopped goes on where it was. Prompts fall into parts that do not
meet: those that are learnt from, those that choose a checkpoint, and the held-out ones that only measure.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotate.environment import BASE_DIR
from labeling.sample_project import SamplePrompt, SimulatedAnnotator, pretraining_text, prompts, team
from labeling.sample_project.recipe import RECIPE

PEOPLE, JURY_SEED = 6, 500


@dataclass(frozen=True)
class Sizes:
    """How much there is of everything. The defaults are about what the demo has."""

    pages: int = 10_000
    learning: int = 420  # prompts that are answered, ranked and practised on
    choosing: int = 60  # prompts whose rows choose a checkpoint
    held_out: int = 160  # prompts that nothing learns from and nothing is chosen by
    completions: int = 4
    judged: int = 12  # answers to each held-out prompt that people and the reward model judge
    overlap: int = 2  # people who rank the same completions
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)  # over the recipe, by stage


@dataclass(frozen=True)
class Answered:
    """A prompt with what a model answered."""

    prompt: SamplePrompt
    texts: list[str]


@dataclass(frozen=True)
class Outcome:
    """What one seed leaves behind, on held-out prompts: answers by model, and the runs' own results."""

    people: list[SimulatedAnnotator]
    jury: list[SimulatedAnnotator]
    answers: dict[str, list[Answered]]  # "sft", "ppo"
    judged: list[Answered]  # more answers of the SFT model, to hold the reward model against people
    scores: list[list[float]]  # the reward model's, of those
    results: dict[str, dict[str, Any]]  # result.json by stage
    kl: float  # of the chosen checkpoint, nats a response


class Loop:
    """The loop of one seed in a folder."""

    def __init__(
        self, folder: Path, seed: int, sizes: Sizes = Sizes(), say: Callable[[str], None] = print
    ) -> None:
        self.folder, self.seed, self.sizes, self.say = folder.resolve(), seed, sizes, say
        self.people = team(seed=seed, size=PEOPLE)
        asked = prompts(seed, training=sizes.learning + sizes.choosing, held_out=sizes.held_out)
        self.learning = asked[: sizes.learning]
        self.choosing = asked[sizes.learning : sizes.learning + sizes.choosing]
        self.held_out = asked[sizes.learning + sizes.choosing :]

    def run(self) -> Outcome:
        """1. A base model from plain text."""
        text = self._write("text", ({"text": page} for page in self._pages()))
        base = self._stage("pretrain", text_files=[text])
        # 2. Demonstrations by one person each, and SFT.
        sft = self._stage(
            "sft",
            model=base,
            train_file=self._write("demonstrations", self._demonstrations(self.learning)),
            validation_file=self._write("demonstrations-choosing", self._demonstrations(self.choosing)),
        )
        # 3. Completions of the SFT model, ranked by several people each, and the reward model.
        asked = [*self.learning, *self.choosing]
        answered = self.answers("completions", sft, asked, self.sizes.completions)
        split = self.sizes.learning
        reward = self._stage(
            "reward",
            model=sft,
            train_file=self._write("rankings", self._rankings(answered[:split])),
            validation_file=self._write("rankings-choosing", self._rankings(answered[split:])),
            demonstrations_file=str(self.folder / "demonstrations.jsonl"),
        )
        # 4. PPO on prompts alone.
        ppo = self._stage(
            "ppo",
            policy=sft,
            reward_model=reward,
            prompts_file=self._write("practice", _asked(self.learning)),
            validation_prompts_file=self._write("practice-choosing", _asked(self.choosing)),
        )
        # 5. Answers to prompts that nothing has seen, and what the reward model says of them.
        count = self.sizes.completions
        answers = {
            name: self.answers(f"answers-{name}", folder, self.held_out, count)
            for name, folder in (("sft", sft), ("ppo", ppo))
        }
        judged = self.answers("judged", sft, self.held_out, self.sizes.judged)
        results = {stage: self._result(stage) for stage in ("pretrain", "sft", "reward", "ppo")}
        return Outcome(
            people=self.people,
            jury=team(seed=JURY_SEED + self.seed, size=PEOPLE),
            answers=answers,
            judged=judged,
            scores=self._scores(reward, judged),
            results=results,
            kl=self._metric_at_best("ppo", "validation_kl"),
        )

    # --- what people and models write -------------------------------------------------------------------
    def _pages(self) -> Iterable[str]:
        return pretraining_text(seed=self.seed, pages=self.sizes.pages)

    def _demonstrations(self, asked: Sequence[SamplePrompt]) -> Iterable[dict]:
        for number, prompt in enumerate(asked):
            person = self.people[number % len(self.people)]
            answer = {"role": "assistant", "content": person.demonstrate(prompt)}
            yield {"messages": [*prompt.messages, answer]}

    def _rankings(self, answered: list[Answered]) -> Iterable[dict]:
        """`overlap` people for each prompt, every pair of people in turn."""
        for number, row in enumerate(answered):
            texts = [text for text in row.texts if text.strip()]  # an empty answer is refused as data
            for turn in range(self.sizes.overlap if len(texts) > 1 else 0):
                shift = 1 + number // len(self.people) % (len(self.people) - 1)
                person = self.people[(number + turn * shift) % len(self.people)]
                yield {
                    "messages": list(row.prompt.messages),
                    "completions": texts,
                    "ranks": person.rank(row.prompt, texts).ranks,
                    "annotator": str(person.seed),
                }

    def answers(self, name: str, model: str, asked: Sequence[SamplePrompt], count: int) -> list[Answered]:
        """`count` answers of a model to each prompt."""
        file = self._write(f"{name}-prompts", _asked(asked))
        folder = self._stage(
            "sample", name=name, prompts_file=file, checkpoints=[model], completions_per_prompt=count
        )
        texts = [[""] * count for _ in asked]
        for row in _rows(Path(folder) / "completions.jsonl"):
            texts[row["prompt_index"]][row["completion_index"]] = row["text"]
        return [Answered(prompt, said) for prompt, said in zip(asked, texts, strict=True)]

    def _scores(self, reward: str, answered: list[Answered]) -> list[list[float]]:
        rows = (
            {"messages": list(row.prompt.messages), "text": text, "completion_id": f"{number}/{place}"}
            for number, row in enumerate(answered)
            for place, text in enumerate(row.texts)
            if text.strip()
        )
        folder = self._stage("score", completions_file=self._write("to-score", rows), reward_model=reward)
        scores = [[-math.inf] * len(row.texts) for row in answered]  # nothing said is worth nothing
        for row in _rows(Path(folder) / "scores.jsonl"):
            number, place = map(int, row["completion_id"].split("/"))
            scores[number][place] = row["score"]
        return scores

    # --- runs -------------------------------------------------------------------------------------------
    def _stage(self, stage: str, *, name: str = "", **files: Any) -> str:
        """The best checkpoint of the stage's run (of one without checkpoints: its folder), made if it is not
        there yet. Raises RuntimeError with the run's own sentence."""
        folder = self.folder / (name or stage)
        if self._result(name or stage).get("status") != "succeeded":
            values = {
                "threads": 1,
                "device": "cpu",
                "seed": self.seed,
                **RECIPE.get(stage, {}),
                **self.sizes.changes.get(stage, {}),
                **files,
            }
            config = folder.with_suffix(".config.json")
            config.write_text(json.dumps(values))
            self.say(f"seed {self.seed}: {name or stage}")
            command = [
                sys.executable,
                "-m",
                "training.rlhf",
                stage,
                "--config",
                str(config),
                "--out",
                str(folder),
            ]
            command += ["--resume"] if (folder / "config.json").exists() else []
            ended = subprocess.run(
                command,
                cwd=BASE_DIR,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                check=False,
                capture_output=True,
                text=True,
            )
            if ended.returncode:
                raise RuntimeError(f"seed {self.seed}, {name or stage}: {ended.stderr.strip()[-500:]}")
        best = self._result(name or stage).get("best_checkpoint", "")
        if best is None:
            raise RuntimeError(f"seed {self.seed}, {name or stage}: no checkpoint within the KL budget")
        return str(folder / best) if best else str(folder)

    def _result(self, name: str) -> dict[str, Any]:
        path = self.folder / name / "result.json"
        return json.loads(path.read_bytes()) if path.exists() else {}

    def _metric_at_best(self, stage: str, metric: str) -> float:
        """A metric of the evaluation that chose the checkpoint."""
        step = self._result(stage)["best"]["step"]
        return next(
            row["data"][metric]
            for row in _rows(self.folder / stage / "events.jsonl")
            if row["type"] == "metrics" and row["step"] == step and metric in row["data"]
        )

    def _write(self, name: str, rows: Iterable[dict]) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)


def _asked(asked: Sequence[SamplePrompt]) -> Iterable[dict]:
    return ({"messages": list(prompt.messages), "prompt_id": prompt.key} for prompt in asked)


def _rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
