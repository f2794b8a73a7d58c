"""How good a reward model is, and where: accuracy by margin, length, category and annotator, calibration, and
what human agreement allows. Pure arithmetic on score differences; loads no torch.

Every accuracy is over pairs that a person did not tie, an equal score counting half. Pairs of one prompt are
not independent, so intervals resample prompts; where that is impossible (few prompts, or all right or all
wrong) Wilson's interval with prompts as trials stands in.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from training.rlhf.data import Ranking, pair_margins, untied_pairs

RESAMPLES, FEWEST_PROMPTS = 1000, 10
CONFIDENCE = 0.95
BINS = 10  # of the confidence in the chosen one, from a half to one
MOST_GROUPS = 50  # categories or annotators listed; the rest are gathered
# Upper ends of the groups of a margin: what one boundary says, and more where several lie between.
MARGIN_GROUPS = ((1 / 6, "negligible"), (1 / 2, "slight"), (5 / 6, "clear"), (7 / 6, "significant"))
# The preferred one's length against the other's, as a share of the longer one.
LENGTH_GROUPS = (
    (-0.5, "much shorter"),
    (-0.1, "shorter"),
    (0.1, "about as long"),
    (0.5, "longer"),
    (math.inf, "much longer"),
)


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """Two completions that a person told apart, and what the model says."""

    prompt: Hashable
    difference: float  # score of the preferred one minus that of the other
    better_length: int  # tokens
    worse_length: int
    margin: float | None = None
    category: str = ""
    annotator: str = ""

    @property
    def correct(self) -> float:
        return 0.5 if self.difference == 0 else float(self.difference > 0)

    @property
    def confidence(self) -> float:
        """The probability that the model gives to its own choice: sigmoid(|difference|)."""
        return 1.0 / (1.0 + math.exp(-min(abs(self.difference), 700.0)))


def judged_pairs(
    row: Ranking, kept: Sequence[int], scores: Sequence[float], lengths: Sequence[int]
) -> list[JudgedPair]:
    """The pairs of one ranking. `kept`: which completions of the row have `scores` and `lengths` (tokens)."""
    ranks = [row.ranks[index] for index in kept]
    better, worse = untied_pairs(ranks)
    margins = pair_margins(ranks, row.margins, better, worse)
    key = prompt_key(row)
    return [
        JudgedPair(
            key,
            float(scores[above] - scores[below]),
            lengths[above],
            lengths[below],
            margin,
            row.category,
            row.annotator,
        )
        for above, below, margin in zip(better, worse, margins, strict=True)
    ]


def prompt_key(row: Ranking) -> str:
    return json.dumps(row.prompt, sort_keys=True, ensure_ascii=False)


def report(pairs: Sequence[JudgedPair], rows: Iterable[Ranking]) -> dict[str, Any]:
    """Everything, as JSON. `pairs` are the model's, `rows` what people said (also where it was tied)."""
    agreement = people_agreement(rows)
    return {
        "overall": _row("all", pairs),
        "by": {
            "margin": grouped(pairs, margin_group, [name for _, name in MARGIN_GROUPS]),
            "length": grouped(pairs, length_group, [name for _, name in LENGTH_GROUPS]),
            "category": grouped(pairs, lambda pair: pair.category),
            "annotator": grouped(pairs, lambda pair: pair.annotator),
        },
        "calibration": calibration(pairs),
        "people": agreement,
        "ceiling": ceiling(agreement["accuracy"]) if agreement["pairs"] else None,
    }


def grouped(
    pairs: Iterable[JudgedPair], group_of: Callable[[JudgedPair], str], order: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """A row for each group, in `order` and then by number of pairs; empty where there is nothing to tell
    apart."""
    found: dict[str, list[JudgedPair]] = {}
    for pair in pairs:
        found.setdefault(group_of(pair), []).append(pair)
    if set(found) <= {""}:
        return []
    place = {name: index for index, name in enumerate(order)}
    names = sorted(found, key=lambda name: (place.get(name, len(order)), -len(found[name]), name))
    rows = [_row(name, found[name]) for name in names[:MOST_GROUPS]]
    if rest := [pair for name in names[MOST_GROUPS:] for pair in found[name]]:
        rows.append(_row(f"{len(names) - MOST_GROUPS} others", rest))
    return rows


def margin_group(pair: JudgedPair) -> str:
    if pair.margin is None:
        return ""
    return next((name for top, name in MARGIN_GROUPS if pair.margin < top), "more than significant")


def length_group(pair: JudgedPair) -> str:
    gap = pair.better_length - pair.worse_length
    share = gap / max(pair.better_length, pair.worse_length, 1)
    return next(name for top, name in LENGTH_GROUPS if share <= top)


def _row(key: str, pairs: Sequence[JudgedPair]) -> dict[str, Any]:
    by_prompt: dict[Hashable, list[float]] = {}
    for pair in pairs:
        entry = by_prompt.setdefault(pair.prompt, [0.0, 0.0])
        entry[0] += pair.correct
        entry[1] += 1
    return {"key": key, **share_of(list(by_prompt.values()))}


def share_of(by_prompt: Sequence[Sequence[float]]) -> dict[str, Any]:
    """{"pairs", "prompts", "accuracy", "low", "high", "method"} of (right, pairs) for each prompt."""
    table = np.array(by_prompt, dtype=float).reshape(-1, 2)
    right, total = table.sum(axis=0).tolist()
    facts = {"pairs": int(total), "prompts": len(table)}
    if not total:
        return facts | {"accuracy": None, "low": None, "high": None, "method": ""}
    share = right / total
    if len(table) < FEWEST_PROMPTS or right in (0.0, total):
        method, (low, high) = "wilson", wilson(share * len(table), len(table))
    else:
        method, (low, high) = "bootstrap", _resampled(table)
    return facts | {"accuracy": share, "low": low, "high": high, "method": method}


def _resampled(table: np.ndarray) -> tuple[float, float]:
    """Percentile bootstrap over prompts; the same rows give the same interval. table: (prompts, 2)."""
    chance = np.random.default_rng(0)
    count = len(table)
    shares = np.empty(RESAMPLES)
    for draw in range(RESAMPLES):
        right, total = table[chance.integers(count, size=count)].sum(axis=0)
        shares[draw] = right / total
    low, high = np.quantile(shares, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def wilson(successes: float, trials: float) -> tuple[float, float]:
    """Wilson's score interval of a share (E. B. Wilson, 1927)."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share = successes / trials
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def calibration(pairs: Sequence[JudgedPair]) -> dict[str, Any]:
    """How often the model is right where it is so and so sure, and the expected calibration error: the mean
    gap between the two, weighted by pairs (Naeini et al. 2015). A sigmoid of the difference is what the
    pairwise loss fits; bins halve [1/2, 1] into ten, the last one closed."""
    bins: list[dict[str, Any]] = []
    error = 0.0
    for index in range(BINS):
        inside = [pair for pair in pairs if min(int((pair.confidence - 0.5) * 2 * BINS), BINS - 1) == index]
        row: dict[str, Any] = {
            "low": 0.5 + index / (2 * BINS), "high": 0.5 + (index + 1) / (2 * BINS), "pairs": len(inside),
            "confidence": None, "accuracy": None, "accuracy_low": None, "accuracy_high": None,
        }  # fmt: skip
        if inside:
            right = sum(pair.correct for pair in inside)
            sure = math.fsum(pair.confidence for pair in inside) / len(inside)
            bounds = wilson(right, len(inside))
            row |= {"confidence": sure, "accuracy": right / len(inside)}
            row |= {"accuracy_low": bounds[0], "accuracy_high": bounds[1]}
            error += len(inside) / len(pairs) * abs(sure - right / len(inside))
        bins.append(row)
    return {"bins": bins, "expected_error": error if pairs else None}


def people_agreement(rows: Iterable[Ranking]) -> dict[str, Any]:
    """How often two people who both told a pair of completions apart prefer the same one.

    Judgments of one prompt's same two texts are set against each other, once for each two people; a person
    is not set against themselves. Each judgment weighs the same, as in the model's accuracy, which the
    ceiling bounds: what m people told apart weighs m, not their m (m - 1) / 2 pairs. Accuracy here is
    agreement; `pairs` counts comparisons; the interval is over prompts.
    """
    votes: dict[str, dict[tuple[str, str], list[tuple[str, bool]]]] = {}
    for number, row in enumerate(rows):
        who = row.annotator or f"row {number}"
        better, worse = untied_pairs(row.ranks)
        mine = votes.setdefault(prompt_key(row), {})
        for above, below in zip(better, worse, strict=True):
            one, other = row.completions[above], row.completions[below]
            if one != other:
                mine.setdefault((min(one, other), max(one, other)), []).append((who, one < other))
    table, compared = [], 0
    for pairs in votes.values():
        agreed = judgments = 0.0
        for judged in pairs.values():
            found = [
                first[1] == second[1]
                for first, second in itertools.combinations(judged, 2)
                if first[0] != second[0]
            ]
            people = len({who for who, _ in judged})
            if found:
                agreed += people * sum(found) / len(found)
                judgments += people
                compared += len(found)
        if judgments:
            table.append([agreed, judgments])
    return share_of(table) | {"pairs": compared}


def ceiling(agreement: float) -> dict[str, float]:
    """Bounds of the accuracy that the best model could have against one person's choices.

    Where a share q prefers the more popular one, two people agree with q² + (1 - q)², and a model that names
    it is right with q. With x = 2q - 1: agreement A = E[(1 + x²)/2], best = E[(1 + x)/2], and E[x²] <= E[x]
    <= sqrt(E[x²]): at least A, at most (1 + sqrt(2A - 1)) / 2. Below one half, one half.
    """
    return {"low": max(agreement, 0.5), "high": (1 + math.sqrt(max(0.0, 2 * agreement - 1))) / 2}
