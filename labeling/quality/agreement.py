"""How much people agree, on weak orders and on ratings, with bootstrap intervals over tasks.

`tasks` is one list per task, holding one ranking (see the package) per person; tasks with one person say
nothing and are passed over. Values are None where the measure is undefined, never a number that looks like
one.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from itertools import combinations
from typing import NamedTuple

import numpy as np

from .intervals import Interval, bootstrap_interval

Ranking = Sequence[float | None]
Tasks = Sequence[Sequence[Ranking]]


class Estimate(NamedTuple):
    """A measure, its confidence interval (None without one) and how much (`size`) it rests on."""

    value: float | None
    interval: Interval | None
    size: int


class TieRule(StrEnum):
    """What it counts when one person ties a pair that the other decides. Two ties always agree."""

    HALF = "half"  # half an agreement: a coin would decide the tie
    DISAGREE = "disagree"  # a full disagreement
    SKIP = "skip"  # pairs that either person ties are left out, also those that both tie


def pairwise_agreement(
    tasks: Tasks,
    *,
    ties: TieRule = TieRule.HALF,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """How probably a judgment of a pair of completions is that of somebody else who judged the same pair.

    Each judgment weighs the same, as in Krippendorff's alpha: a pair that m people judged weighs m, not the
    m (m - 1) / 2 pairs of people that they make. Pairs that one of the two could not rank are left out.
    `size` is the number of comparisons (pair of people, pair of completions).
    """
    sums = np.array([_agreement_sums(rankings, ties) for rankings in tasks], dtype=float).reshape(-1, 3)
    sums = sums[sums[:, 1] > 0]  # (tasks, 3): agreements and comparisons weighted, comparisons
    found = _ratio_estimate(sums[:, :2], confidence, resamples, seed)
    return found._replace(size=round(sums[:, 2].sum()))


def _agreement_sums(rankings, ties):
    agreed = compared = size = 0.0
    for signs in _signs_by_pair(rankings):
        given = [sign for sign in signs if sign is not None and (sign or ties is not TieRule.SKIP)]
        for ours, theirs in combinations(given, 2):
            is_half = ties is TieRule.HALF and ours != theirs and not (ours and theirs)
            agreed += ((ours == theirs) + is_half / 2) / (len(given) - 1)
            compared += 1 / (len(given) - 1)
            size += 1
    return agreed, compared, size


def _signs_by_pair(rankings: Sequence[Ranking]) -> Iterator[list[int | None]]:
    """For each pair of completions of a task, what everybody says of it (see `_sign`)."""
    size = len(rankings[0]) if rankings else 0
    if any(len(ranking) != size for ranking in rankings):
        raise ValueError("the rankings are not of one task: they differ in their number of completions")
    for i, j in combinations(range(size), 2):
        yield [_sign(ranking, i, j) for ranking in rankings]


def _shared_signs(first: Ranking, second: Ranking) -> Iterator[tuple[int, int]]:
    """What each of the two says (see `_sign`) about every pair that both ranked."""
    if len(first) != len(second):
        raise ValueError(f"rankings of {len(first)} and {len(second)} completions are not of one task")
    for i, j in combinations(range(len(first)), 2):
        ours, theirs = _sign(first, i, j), _sign(second, i, j)
        if ours is not None and theirs is not None:
            yield ours, theirs


def _sign(ranking: Ranking, i: int, j: int) -> int | None:
    """-1 where completion i is better than j, 1 where worse, 0 for a tie, None where one is unrankable."""
    first, second = ranking[i], ranking[j]
    return None if first is None or second is None else (first > second) - (first < second)


def kendall_tau_b(first: Ranking, second: Ranking) -> float | None:
    """Kendall's tau-b of two weak orders over the completions that both ranked (M. G. Kendall, 1945).

    None where it is undefined: fewer than two shared completions, or one person tied them all.
    """
    concordance = first_decided = second_decided = 0
    for ours, theirs in _shared_signs(first, second):
        concordance += ours * theirs
        first_decided += ours != 0
        second_decided += theirs != 0
    if not first_decided or not second_decided:
        return None
    return concordance / math.sqrt(first_decided * second_decided)


def mean_kendall_tau_b(
    tasks: Tasks, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """Mean tau-b over all pairs of people of all tasks; undefined ones are left out. `size`: those pairs."""
    sums = []
    for rankings in tasks:
        taus = [kendall_tau_b(first, second) for first, second in combinations(rankings, 2)]
        defined = [tau for tau in taus if tau is not None]
        if defined:
            sums.append((sum(defined), len(defined)))
    return _ratio_estimate(np.array(sums, dtype=float).reshape(-1, 2), confidence, resamples, seed)


def _ratio_estimate(sums, confidence, resamples, seed):
    """Sum over sum, resampled by task. sums: (tasks, 2)."""
    if not len(sums):
        return Estimate(None, None, 0)
    totals = sums.sum(axis=0)

    def ratio(weights):
        numerator, denominator = weights @ sums
        return numerator / denominator

    interval = bootstrap_interval(len(sums), ratio, confidence=confidence, resamples=resamples, seed=seed)
    return Estimate(float(totals[0] / totals[1]), interval, int(totals[1]))


def krippendorff_alpha(
    units: Sequence[Sequence[float | None]],
    *,
    level: str = "nominal",
    clusters: Sequence[int] | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Krippendorff's alpha for any number of raters and missing values.

    `units`: for each thing rated the ratings it got, None for missing. `level`: nominal, ordinal or interval.
    `clusters`: a number for each unit; units of one cluster are drawn together by the bootstrap. None: each
    alone.
    `size`: units with two ratings or more. The value is None with fewer than two distinct ratings.
    K. Krippendorff, Content Analysis (2004), chapter 11; equal to the krippendorff package.
    """
    distance = _distance_for(level)
    ratings = [[value for value in unit if value is not None] for unit in units]
    kept = [index for index, unit in enumerate(ratings) if len(unit) >= 2]
    values = sorted({value for index in kept for value in ratings[index]})
    if len(values) < 2:
        return Estimate(None, None, len(kept))
    column = {value: number for number, value in enumerate(values)}
    counts = np.zeros((len(kept), len(values)))  # (units, values)
    for row, index in enumerate(kept):
        for rating in ratings[index]:
            counts[row, column[rating]] += 1
    scale = np.array(values, dtype=float)
    _, group = np.unique(
        [clusters[index] for index in kept] if clusters is not None else range(len(kept)), return_inverse=True
    )

    def alpha(weights):
        return _alpha(counts, weights[group], scale, distance)

    value = _alpha(counts, np.ones(len(kept)), scale, distance)
    interval = bootstrap_interval(
        int(group.max()) + 1, alpha, confidence=confidence, resamples=resamples, seed=seed
    )
    return Estimate(value, interval, len(kept))


def _alpha(counts, weights, scale, distance) -> float | None:
    """counts: (units, values) how often each was given; weights: (units,) how often each unit counts."""
    share = weights / (counts.sum(axis=1) - 1)  # (units,)
    weighted = counts * share[:, None]
    coincidence = counts.T @ weighted - np.diag(weighted.sum(axis=0))  # (values, values)
    marginal = coincidence.sum(axis=0)  # (values,)
    apart = distance(scale, marginal)  # (values, values)
    total = marginal.sum()
    expected = marginal @ apart @ marginal
    if expected <= 0:
        return None
    return float(1 - (total - 1) * (coincidence * apart).sum() / expected)


def _distance_for(level) -> Callable:
    try:
        return {"nominal": _nominal, "ordinal": _ordinal, "interval": _interval}[level]
    except KeyError:
        raise ValueError(f"unknown level {level!r}; it is nominal, ordinal or interval") from None


def _nominal(scale, marginal):
    return 1.0 - np.eye(len(scale))


def _interval(scale, marginal):
    return (scale[:, None] - scale[None, :]) ** 2


def _ordinal(scale, marginal):
    """Squared number of ratings between two values, half of each end counted."""
    middle = np.cumsum(marginal) - marginal / 2
    return (middle[:, None] - middle[None, :]) ** 2


def ranking_alpha(
    tasks: Tasks, *, level: str = "nominal", confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """Krippendorff's alpha of the pairwise judgments (first better, tie, second better) in rankings.

    Each pair is entered both ways round, which makes the value independent of how completions are numbered;
    the expected agreement is then that of raters without any preference for a place. Resampled by task.
    """
    units, clusters = [], []
    for number, rankings in enumerate(tasks):
        for signs in _signs_by_pair(rankings):
            units += [signs, [None if sign is None else -sign for sign in signs]]
            clusters += [number, number]
    return krippendorff_alpha(
        units, level=level, clusters=clusters, confidence=confidence, resamples=resamples, seed=seed
    )
