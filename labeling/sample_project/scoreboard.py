"""Which model answers better? Guideline scores and blind win-rates over the same prompts, with intervals.

All intervals are 95 % percentile bootstraps over prompts (models are resampled together, so that a hard
prompt is hard for both sides). A win counts 1, a tie 1/2: a model against itself has exactly 50 %.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labeling.sample_project.answers import messages_of
from labeling.sample_project.prompts import Message, SamplePrompt
from labeling.sample_project.scoring import WEIGHTS, guideline_score, words

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float

    def as_percent(self) -> str:
        return f"{100 * self.value:.0f} % ({100 * self.low:.0f} to {100 * self.high:.0f})"

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class ModelRow:
    """One model. `rules` is the share of answers that keep each rule; `distinct_2` the share of bigrams
    that differ.
    """

    name: str
    score: Estimate
    rules: dict[str, float]
    distinct_2: float
    mean_words: float
    unique_answers: float


@dataclass(frozen=True)
class Scoreboard:
    """`win_rates[(a, b)]` is how often a's answer scores above b's, ties counted half."""

    prompts: int
    rows: list[ModelRow]
    win_rates: dict[tuple[str, str], Estimate] = field(default_factory=dict)

    def row(self, name: str) -> ModelRow:
        return next(row for row in self.rows if row.name == name)

    def as_dict(self) -> dict:
        """Plain JSON types, for files and pages."""
        estimate = lambda e: {"value": e.value, "low": e.low, "high": e.high}  # noqa: E731
        return {
            "prompts": self.prompts,
            "models": [
                {
                    "name": row.name,
                    "guideline_score": estimate(row.score),
                    "rules": row.rules,
                    "distinct_2": row.distinct_2,
                    "mean_words": row.mean_words,
                    "unique_answers": row.unique_answers,
                }
                for row in self.rows
            ],
            "win_rates": [{"model": a, "against": b, **estimate(e)} for (a, b), e in self.win_rates.items()],
        }

    def as_text(self) -> str:
        """A table for a terminal."""
        head = f"{'model':<10} {'guideline score':<22} {'answers':>8} {'distinct-2':>10} {'words':>6}"
        lines = [f"On {self.prompts} held-out prompts (95 % intervals over prompts)", head]
        for row in self.rows:
            lines.append(
                f"{row.name:<10} {row.score!s:<22} {row.rules['answers']:>8.0%} "
                f"{row.distinct_2:>10.2f} {row.mean_words:>6.1f}"
            )
        for (a, b), rate in self.win_rates.items():
            lines.append(f"{a} beats {b}: {rate.as_percent()}, ties half")
        return "\n".join(lines)


def bootstrap_mean(values: Sequence[float], seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Mean of `values` with a 95 % percentile bootstrap interval. Raises ValueError for no values."""
    if not values:
        raise ValueError("There are no values to average.")
    rng = random.Random(f"bootstrap {seed}")
    count = len(values)
    means = sorted(sum(rng.choices(values, k=count)) / count for _ in range(resamples))
    return Estimate(sum(values) / count, means[int(0.025 * resamples)], means[int(0.975 * resamples) - 1])


def distinct_n(texts: Sequence[str], n: int = 2) -> float:
    """Number of different n-grams over number of n-grams (Li et al., 1510.03055); 0 where there are none."""
    grams = [gram for text in texts for gram in zip(*(words(text)[i:] for i in range(n)), strict=False)]
    return len(set(grams)) / len(grams) if grams else 0.0


def win_rate(scores: Sequence[float], others: Sequence[float], seed: int = 0) -> Estimate:
    """Share of prompts on which `scores` is above `others`, ties half, prompt by prompt."""
    outcomes = [1.0 if a > b else 0.0 if a < b else 0.5 for a, b in zip(scores, others, strict=True)]
    return bootstrap_mean(outcomes, seed)


def evaluate_models(
    prompts: Sequence[SamplePrompt | Sequence[Message]], answers: Mapping[str, Sequence[str]], seed: int = 0
) -> Scoreboard:
    """Score every model's answers to the same prompts and compare each model with those listed before it.

    `answers` maps a model's name to one text per prompt, in the prompts' order. Raises ValueError where a
    model has more or fewer answers than there are prompts, or there are no prompts.
    """
    if not prompts:
        raise ValueError("There are no prompts to evaluate on.")
    totals: dict[str, list[float]] = {}
    rows = []
    for name, texts in answers.items():
        if len(texts) != len(prompts):
            raise ValueError(f"{name} has {len(texts)} answers for {len(prompts)} prompts.")
        scores = [
            guideline_score(messages_of(prompt), text) for prompt, text in zip(prompts, texts, strict=True)
        ]
        totals[name] = [score.total for score in scores]
        rows.append(
            ModelRow(
                name=name,
                score=bootstrap_mean(totals[name], seed),
                rules={rule: sum(score.rules[rule] for score in scores) / len(scores) for rule in WEIGHTS},
                distinct_2=distinct_n(texts),
                mean_words=sum(len(words(text)) for text in texts) / len(texts),
                unique_answers=len(set(texts)) / len(texts),
            )
        )
    names = list(answers)
    win_rates = {
        (later, earlier): win_rate(totals[later], totals[earlier], seed)
        for i, later in enumerate(names)
        for earlier in reversed(names[:i])
    }
    return Scoreboard(prompts=len(prompts), rows=rows, win_rates=win_rates)
