"""What one seed of the sample project's loop came to, as numbers. Pure: texts, rankings and scores in.

Everything is on held-out prompts. How far the reward model is behind people is of the very same comparisons;
the win-rate is blind, by people who labelled nothing that was learnt from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, permutations
from typing import Any

import numpy as np

from labeling.quality.agreement import TieRule, pairwise_agreement
from labeling.quality.intervals import bootstrap_interval
from labeling.sample_project import SimulatedAnnotator, guideline_score
from labeling.sample_project.scoreboard import distinct_n
from labeling.sample_project.scoring import words

from .learning_loop import Answered, Outcome

RULES = {"half": TieRule.HALF, "untied": TieRule.SKIP}


def figures(outcome: Outcome) -> dict[str, Any]:
    """Plain JSON. Shares are 0 to 1; intervals are 95 % bootstraps over prompts."""
    sft, ppo = outcome.answers["sft"], outcome.answers["ppo"]
    ranks = [
        [person.rank(row.prompt, row.texts).ranks for person in outcome.people] for row in outcome.judged
    ]
    found: dict[str, Any] = {
        f"agreement_{name}": _as_dict(pairwise_agreement(ranks, ties=rule)) for name, rule in RULES.items()
    }
    for name, rule in RULES.items():
        found[f"accuracy_{name}"] = accuracy(outcome.scores, ranks, rule)
        found[f"behind_{name}"] = behind(outcome.scores, ranks, rule)
    found["person_untied"] = person_accuracy(ranks)
    found["blind_win_rate"] = win_rate(sft, ppo, lambda row, pair: _votes(outcome.jury, row, pair))
    found["guideline_win_rate"] = win_rate(sft, ppo, _by_guideline)
    found["models"] = {name: describe(rows) for name, rows in outcome.answers.items()}
    measured = outcome.results["ppo"]["metrics"]
    found["kl"] = outcome.kl
    found["reward_before"] = measured["validation_reward_before"]
    found["reward_after"] = outcome.results["ppo"]["best"]["value"]
    found["sft_loss"] = outcome.results["sft"]["best"]["value"]
    return found


def accuracy(scores: list[list[float]], ranks: list[list[list[int]]], rule: TieRule) -> dict[str, Any]:
    """How often the model's order of a pair is a person's: scores (prompts, K), ranks (prompts, people, K).

    A pair that the person ties counts half, or not at all with TieRule.SKIP; so does one that the model ties.
    """
    sums = []
    for row, people in zip(scores, ranks, strict=True):
        model = [-score for score in row]  # ranks count from the best down
        right = pairs = 0.0
        for person in people:
            found = pairwise_agreement([[model, person]], ties=rule, resamples=0)
            right += (found.value or 0.0) * found.size
            pairs += found.size
        sums.append((right, pairs))
    return _share(sums)


def behind(scores: list[list[float]], ranks: list[list[list[int]]], rule: TieRule) -> dict[str, Any]:
    """People's agreement less what it is when the model takes the place of one of the two, each in turn.

    Both are of the same comparisons (two people, one pair), so the interval is of the difference: a prompt
    on which people disagree is hard for both. Each person's word on a pair weighs the same, as in people's
    agreement. `accuracy` is not of the same ones where ties are left out: a pair that one person alone
    decides counts there. There a model has to decide what a person may tie: see `person_accuracy`.
    """
    sums, size = [], 0
    for row, people in zip(scores, ranks, strict=True):
        model = _signs([-score for score in row])
        signs = [_signs(person) for person in people]
        judging = [(sign != 0) | (rule is not TieRule.SKIP) for sign in signs]
        weights = 1 / np.maximum(np.sum(judging, axis=0) - 1, 1)  # (pairs,)
        lost = compared = 0.0
        for (ours, mine), (theirs, other) in combinations(zip(signs, judging, strict=True), 2):
            counts = mine & other
            by_model = (_alike(model, ours) + _alike(model, theirs)) / 2
            lost += ((_alike(ours, theirs) - by_model) * weights)[counts].sum()
            compared += weights[counts].sum()
            size += int(counts.sum())
        sums.append((lost, compared))
    return _share(sums) | {"size": size}


def person_accuracy(ranks: list[list[list[int]]]) -> dict[str, Any]:
    """`accuracy` without ties, of each person in the model's place: a coin where that person ties."""
    sums = []
    for people in ranks:
        signs = [_signs(person) for person in people]
        told = [_alike(model, person)[person != 0] for model, person in permutations(signs, 2)]
        sums.append((float(sum(each.sum() for each in told)), float(sum(map(len, told)))))
    return _share(sums)


def _signs(ranks: Sequence[float]) -> np.ndarray:
    """(pairs,) -1 where the first of a pair is better, 1 where the second is, 0 for a tie."""
    return np.array([(first > second) - (first < second) for first, second in combinations(ranks, 2)])


def _alike(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """(pairs,) 1 where both say the same, 0 where the reverse, half where only one ties."""
    return 1 - np.abs(ours - theirs) / 2


Judge = Callable[[Answered, tuple[str, str]], tuple[float, float]]


def win_rate(ours: list[Answered], theirs: list[Answered], judge: Judge) -> dict[str, Any]:
    """How often the second model's answer is put before the first's to the same prompt; a tie is half."""
    sums = []
    for first, second in zip(ours, theirs, strict=True):
        told = [judge(first, pair) for pair in zip(first.texts, second.texts, strict=True)]
        sums.append((sum(wins for wins, _ in told), sum(total for _, total in told)))
    return _share(sums)


def _votes(jury: Sequence[SimulatedAnnotator], row: Answered, pair: tuple[str, str]) -> tuple[float, float]:
    ranks = [person.rank(row.prompt, pair).ranks for person in jury]
    return sum(_win(-first, -second) for first, second in ranks), len(ranks)


def _by_guideline(row: Answered, pair: tuple[str, str]) -> tuple[float, float]:
    first, second = (guideline_score(row.prompt.messages, text).total for text in pair)
    return _win(first, second), 1


def _win(first: float, second: float) -> float:
    return 0.5 if first == second else float(second > first)


def describe(rows: list[Answered]) -> dict[str, float]:
    """How good and how varied a model's answers are; `different` is the mean share of different answers among
    those to one prompt."""
    texts = [text for row in rows for text in row.texts]
    scores = [guideline_score(row.prompt.messages, text) for row in rows for text in row.texts]
    return {
        "guideline_score": sum(score.total for score in scores) / len(scores),
        "answers_right": sum(score.rules["answers"] for score in scores) / len(scores),
        "distinct_1": distinct_n(texts, 1),
        "distinct_2": distinct_n(texts, 2),
        "different": sum(len(set(row.texts)) / len(row.texts) for row in rows) / len(rows),
        "words": sum(len(words(text)) for text in texts) / len(texts),
    }


def _share(sums: list[tuple[float, float]]) -> dict[str, Any]:
    """sums: (right, total) of each prompt."""
    table = np.array(sums)  # (prompts, 2)

    def ratio(weights: np.ndarray) -> float | None:
        right, total = weights @ table
        return right / total if total else None

    right, total = table.sum(axis=0)
    interval = bootstrap_interval(len(table), ratio)
    low, high = interval or (None, None)
    value = float(right / total) if total else None
    return {"value": value, "low": low, "high": high, "size": int(total)}


def _as_dict(found: Any) -> dict[str, Any]:
    low, high = found.interval or (None, None)
    return {"value": found.value, "low": low, "high": high, "size": found.size}
