"""Plackett–Luce: how much better each completion of a task is than the others, and how sure that is.

A person names the best of what there is, then the best of the rest, and so on; completion i is named out of
the set A with probability α_i / Σ α_j over j in A (R. D. Luce, 1959; R. L. Plackett, 1975). For two
completions this is Bradley–Terry. A completion that a person could not rank is not among what they chose
from.

Ties: a tie stands for every order of its members alike: the logarithm of its probability is the mean over
those orders. For two completions that is the half win each way that is usual for Bradley–Terry (H. Turner &
D. Firth, Bradley-Terry models in R, 2012): a tie holds two strengths together, which the logarithm of the
mean (P. D. Allison & N. A. Christakis, Logit models for sets of ranked items, 1994) would not. The model of
Davidson and Luce, with a parameter for ties, was tried and left (docs/decisions/0025): with two or three
people and a prior it can put a completion below one that everybody put it above. This one cannot: where
everybody says so, exchanging two strengths that contradict them makes what was said more probable.

Reliability: person p's strengths are multiplied by an adherence a_p ≥ 0 (K. Raman & T. Joachims, Methods for
ordinal peer grading, 2014): at 0 they choose blindly, at 1 as the prior expects. It is not fitted here, for
the reason that crowd.py gives; `adherence_of` turns a reliability found over many tasks into one.

Fit: the most probable strengths log α under the prior N(0, 1) on each, without which one that always wins has
no finite strength. The logarithm is strictly concave, so there is one maximum; damped Newton steps go up to a
gradient below 1e-10. Nothing looks at the number of a completion or at the order of people.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from math import comb, log
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from .consensus import _as_arrays, _preferences, _support
from .crowd import RELIABLE, UNRELIABLE, _ranks
from .kemeny import MOST_COMPLETIONS

SETTLED, STEPS = 1e-10, 200
USUAL = (RELIABLE - 1) / (RELIABLE + UNRELIABLE - 2)  # the reliability whose adherence is 1: 7/8


class PlackettLuce(NamedTuple):
    """`ranks`: 1 = best, equal = strengths on a par, None = unrankable. `strengths`: log α, mean 0. `errors`:
    the standard error of each, from the curvature at the maximum. `better[i][j]`: how probably i is the
    better of the two, 1/2 where nothing speaks for either; None beside an unrankable one and itself.
    `steps`: Newton steps taken. `support`: as in Consensus."""

    ranks: list[int | None]
    strengths: list[float | None]
    errors: list[float | None]
    better: list[list[float | None]]
    steps: int
    support: float | None


def adherence_of(reliability: float) -> float:
    """Of a person who names the better of two completions with this probability: their log odds in units of
    the usual ones. Who does no better than a coin adds nothing: 0."""
    if reliability <= 0.5:
        return 0.0
    able = min(reliability, 1 - 1e-9)
    return log(able / (1 - able)) / log(USUAL / (1 - USUAL))


def plackett_luce(
    rankings: Sequence[Sequence[float | None]],
    *,
    weights: Sequence[float] | None = None,
    adherence: Sequence[float] | None = None,
) -> PlackettLuce:
    """Fit one task's rankings, each a list of ranks over the same completions, at most nine.

    weights: how often each ranking counts, 1 by default. adherence: of each ranking's person, 1 by default.
    A completion that people of more than half the weight could not rank is unrankable. Raises ValueError as
    schulze_consensus does, for more completions, and for a negative or infinite adherence.
    """
    table, weight = _as_arrays(rankings, weights)
    size = table.shape[1]
    if size > MOST_COMPLETIONS:
        raise ValueError(f"at most {MOST_COMPLETIONS} completions can be compared")
    able = np.ones(len(rankings)) if adherence is None else np.array(adherence, dtype=float)
    if able.shape != (len(rankings),) or not np.isfinite(able).all() or (able < 0).any():
        raise ValueError("one adherence of zero or more is needed for each ranking")
    missing = (np.isnan(table) * weight[:, None]).sum(axis=0)
    kept = np.flatnonzero(missing <= weight.sum() / 2)
    said = _choices(table[:, kept], weight, able)
    strengths, covariance, steps = _fit(said)
    return _read(strengths, covariance, kept, steps, _preferences(table, weight))


class _Choices(NamedTuple):
    """Of all people: `named` (K,), how often each completion was, times adherence; and each set that was
    chosen from, a row each: `members` (sets, K) of 0 and 1, `counts` and `adherence` (sets,)."""

    named: np.ndarray
    members: np.ndarray
    counts: np.ndarray
    adherence: np.ndarray


def _choices(table: np.ndarray, weight: np.ndarray, adherence: np.ndarray) -> _Choices:
    size = table.shape[1]
    named = (~np.isnan(table) * (weight * adherence)[:, None]).sum(axis=0)
    counts: dict[tuple[float, tuple[int, ...]], float] = defaultdict(float)
    for row, times, able in zip(table, weight, adherence, strict=True):
        for share, chosen_from in _sets(row):
            counts[float(able), chosen_from] += float(times) * share
    members = np.zeros((len(counts), size))
    for place, (_, chosen_from) in enumerate(counts):
        members[place, list(chosen_from)] = 1
    able_of = np.array([able for able, _ in counts], dtype=float)
    return _Choices(named, members, np.array(list(counts.values()), dtype=float), able_of)


def _sets(row: np.ndarray) -> Iterable[tuple[float, tuple[int, ...]]]:
    """(share, set) that one ranking chose from. Of a tie of k, each m of them are what is left of it in one
    of C(k, m) orders."""
    for rank in np.unique(row[~np.isnan(row)]):
        tied = np.flatnonzero(row == rank).tolist()
        worse = np.flatnonzero(row > rank).tolist()
        for m in range(1, len(tied) + 1):
            for left in combinations(tied, m):
                yield 1 / comb(len(tied), m), tuple(sorted([*left, *worse]))


def _fit(said: _Choices) -> tuple[np.ndarray, np.ndarray, int]:
    """(strengths, their covariance, steps): Newton's method, halving steps that climb too little."""
    at = np.zeros(len(said.named))
    value, gradient, curve = _posterior(at, said)
    steps = 0
    while np.abs(gradient).max(initial=0.0) > SETTLED and steps < STEPS:
        steps += 1
        step = np.linalg.solve(curve, gradient)
        climb, scale = float(gradient @ step), 1.0
        moved = _posterior(at + step, said)
        # Within rounding of the top no climb can be seen; the full step is right there.
        while climb > 1e-12 and moved[0] < value + scale * climb / 4:
            scale /= 2
            moved = _posterior(at + scale * step, said)
        at = at + scale * step
        value, gradient, curve = moved
    return at, np.linalg.inv(curve), steps


def _posterior(at: np.ndarray, said: _Choices) -> tuple[float, np.ndarray, np.ndarray]:
    """The logarithm of the posterior less a constant, its gradient (K,), and minus its curvature (K, K)."""
    scores = said.adherence[:, None] * at  # (sets, K)
    top = np.where(said.members > 0, scores, -np.inf).max(axis=1, initial=-np.inf)
    worth = np.where(said.members > 0, np.exp(np.minimum(scores - top[:, None], 0.0)), 0.0)
    total = worth.sum(axis=1)
    chance = worth / total[:, None]
    value = said.named @ at - said.counts @ (top + np.log(total)) - at @ at / 2
    pull = said.counts * said.adherence
    gradient = said.named - pull @ chance - at
    spread = pull * said.adherence
    curve = np.diag(1 + spread @ chance) - (chance * spread[:, None]).T @ chance
    return float(value), gradient, curve


def _read(strengths, covariance, kept, steps, preferred) -> PlackettLuce:
    """The fit by completion."""
    size = len(preferred)
    centred: list[float | None] = [None] * size
    errors: list[float | None] = [None] * size
    better: list[list[float | None]] = [[None] * size for _ in range(size)]
    for place, i in enumerate(kept):
        centred[i] = float(strengths[place] - strengths.mean())
        errors[i] = float(covariance[place, place] ** 0.5)
        for other, j in enumerate(kept):
            if i != j:
                spread = covariance[place, place] + covariance[other, other] - 2 * covariance[place, other]
                apart = float(strengths[place] - strengths[other])
                better[i][j] = NormalDist().cdf(apart / float(spread) ** 0.5)
    ranks = _ranks(centred)
    return PlackettLuce(ranks, centred, errors, better, steps, _support(ranks, preferred))
