"""Reliability of people and strengths of completions, from everybody's pairwise judgments over many tasks.

1. Reliability. Each pair of completions has a better one, unknown to us; person p names it with probability
   r_p. Fitted by EM (the one-coin model of A. P. Dawid & A. M. Skene, 1979) over all pairs of all tasks, with
   the prior Beta(8, 2) on each r. Ties say nothing here.
2. Strengths, task by task: Bradley–Terry seen through these reliabilities (X. Chen et al., Pairwise ranking
   aggregation in a crowdsourced setting, 2013):

       P(p puts i before j) = r_p·σ(s_i - s_j) + (1 - r_p)·σ(s_j - s_i)

   by EM with a standard normal prior on strengths, so that a completion that always wins has a finite one. A
   tie is half a judgment each way; a completion that a person could not rank is in none of their pairs.

Why not all in one fit: with two or three judgments a pair, strengths bend to whatever was said, and a person
who tosses coins looks as reliable as the others. Nothing depends on order or names of people, tasks or
completions.
"""

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

RELIABLE, UNRELIABLE = 8.0, 2.0  # Beta prior; its mode, 7/8, is where the fit starts
SAME = 1e-6  # strengths closer than this are a tie
ROUNDS, SETTLED = 1000, 1e-10


class CrowdConsensus(NamedTuple):
    """Per task `ranks` (1 = best, equal = tie, None where nobody could rank it) and `strengths`; and the
    `reliability` of each person: near 1 says what others say, 1/2 tosses a coin, below it says the opposite.
    """

    ranks: list[list[int | None]]
    strengths: list[list[float | None]]
    reliability: dict[Hashable, float]


class _Said(NamedTuple):
    """Every judgment of a pair, i < j."""

    pair: np.ndarray  # number of the pair, over all tasks
    person: np.ndarray
    sign: np.ndarray  # 1: i before j, -1: j before i, 0: a tie


def crowd_consensus(
    tasks: Sequence[Mapping[Hashable, Sequence[float | None]]],
    *,
    reliability: Mapping[Hashable, float] | None = None,
) -> CrowdConsensus:
    """`tasks`: for each, the rankings by person. `reliability`: known already, by person; else estimated.

    Raises ValueError where a task's rankings differ in length or it has none.
    """
    sizes = [_size(task) for task in tasks]
    known = dict(reliability) if reliability is not None else estimate_reliability(tasks)
    strengths = [_strengths(task, size, known) for task, size in zip(tasks, sizes, strict=True)]
    return CrowdConsensus([_ranks(each) for each in strengths], strengths, known)


def _size(task) -> int:
    lengths = {len(ranking) for ranking in task.values()}
    if len(lengths) != 1:
        raise ValueError("a task needs rankings, all over one set of completions")
    return lengths.pop()


# --- 1. Reliability ---------------------------------------------------------------------------------------
def estimate_reliability(tasks: Sequence[Mapping[Hashable, Sequence[float | None]]]) -> dict[Hashable, float]:
    """How probably each person names the better of two completions, judged by all others."""
    people = list(dict.fromkeys(person for task in tasks for person in task))
    said = _decided(tasks, {person: number for number, person in enumerate(people)})
    reliable = np.full(len(people), (RELIABLE - 1) / (RELIABLE + UNRELIABLE - 2))
    pairs = int(said.pair.max()) + 1 if len(said.pair) else 0
    counted = np.bincount(said.person, minlength=len(people))
    for _ in range(ROUNDS):
        odds = np.log(reliable / (1 - reliable))
        evidence = np.bincount(said.pair, said.sign * odds[said.person], minlength=pairs)
        true = _sigmoid(said.sign * evidence[said.pair])  # that what was said is so
        right = np.bincount(said.person, true, minlength=len(people))
        moved = (right + RELIABLE - 1) / (counted + RELIABLE + UNRELIABLE - 2)
        change, reliable = _largest(moved - reliable), moved
        if change < SETTLED:
            break
    return dict(zip(people, reliable.tolist(), strict=True))


def _decided(tasks, number) -> _Said:
    entries, start = [], 0
    for task in tasks:
        size = _size(task)
        for person, ranking in task.items():
            for place, (i, j) in enumerate(combinations(range(size), 2)):
                first, second = ranking[i], ranking[j]
                if first is not None and second is not None and first != second:
                    entries.append((start + place, number[person], 1 if first < second else -1))
        start += size * (size - 1) // 2
    return _Said(*np.array(entries, dtype=int).reshape(-1, 3).T)


# --- 2. Strengths -----------------------------------------------------------------------------------------
def _strengths(task, size, reliability) -> list[float | None]:
    winner, loser, able, weight = _directions(task, size, reliability)
    strengths = np.zeros(size)
    for _ in range(ROUNDS):
        agrees = _sigmoid(strengths[winner] - strengths[loser])
        meant = weight * able * agrees / (able * agrees + (1 - able) * (1 - agrees))
        wins = np.zeros((size, size))  # wins[i, j]: weight of "i before j", as it was meant
        np.add.at(wins, (winner, loser), meant)
        np.add.at(wins, (loser, winner), weight - meant)
        moved = _most_probable(wins, strengths)
        change, strengths = _largest(moved - strengths), moved
        if change < SETTLED:
            break
    ranked = [any(ranking[i] is not None for ranking in task.values()) for i in range(size)]
    return [value if is_ranked else None for value, is_ranked in zip(strengths.tolist(), ranked, strict=True)]


def _directions(task, size, reliability):
    """(winner, loser, reliability, weight) arrays; a tie is an entry of one half each way."""
    entries = []
    for person, ranking in task.items():
        for i, j in combinations(range(size), 2):
            first, second = ranking[i], ranking[j]
            if first is None or second is None:
                continue
            weight = 0.5 if first == second else 1.0
            if first <= second:
                entries.append((i, j, reliability[person], weight))
            if second <= first:
                entries.append((j, i, reliability[person], weight))
    columns = np.array(entries, dtype=float).reshape(-1, 4).T
    return columns[0].astype(int), columns[1].astype(int), columns[2], columns[3]


def _most_probable(wins, strengths):
    """The maximum of a strictly concave function, by Newton's method."""
    both = wins + wins.T
    for _ in range(100):
        chance = _sigmoid(strengths[:, None] - strengths[None, :])
        gradient = (wins - both * chance).sum(axis=1) - strengths
        curve = both * chance * chance.T
        step = np.linalg.solve(np.diag(curve.sum(axis=1) + 1) - curve, gradient)
        # A full step can overshoot far from the maximum; a bounded one cannot, and ends as Newton's.
        strengths = strengths + step / max(1.0, _largest(step))
        if _largest(step) < SETTLED / 10:
            break
    return strengths


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))


def _largest(values) -> float:
    return float(np.abs(values).max()) if len(values) else 0.0


def _ranks(strengths: list[float | None]) -> list[int | None]:
    order = sorted((-value, i) for i, value in enumerate(strengths) if value is not None)
    ranks: list[int | None] = [None] * len(strengths)
    rank, last = 0, None
    for value, i in order:
        if last is None or value - last > SAME:
            rank += 1
        ranks[i], last = rank, value
    return ranks
