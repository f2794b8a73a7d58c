"""What any two people said about the completions of a task both ranked, as rows of counts (see tallies).

One row for each task and pair of people: how often the one said "better, tie, worse" where the other said
"better, tie, worse", entered both ways round (i against j and j against i), so that how completions happen to
be numbered plays no part. Beside these nine numbers stand tau-b, and the same nine weighted so that each
judgment of a pair of completions weighs the same, as in Krippendorff's alpha: m people make m (m - 1) / 2
pairs of people, and one task that ten share would outweigh ten that two share.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import sqrt

import numpy as np

from .tallies import Read, alpha_reader, cohen_reader, divide

Signs = tuple[int | None, ...]
# Columns of a row.
CONFUSION, TAU_SUM, TAU_COUNT, WEIGHTED = 0, 9, 10, 11
DECIDED = 20  # agreed, disagreed: of pairs that both decided, each decision weighing the same
WIDTH = 22
SCALE = (-1, 0, 1)


@dataclass(frozen=True, slots=True)
class PeoplePair:
    """Whose row it is: indices of two records that belong to one task."""

    task: int
    first: int
    second: int


@cache
def _index_pairs(size: int) -> tuple[tuple[int, int], ...]:
    return tuple(combinations(range(size), 2))


def signs_of(ranks: Sequence[float | None]) -> Signs:
    """For each pair i < j: -1 where i is better, 1 where worse, 0 for a tie, None where one is unranked."""
    found: list[int | None] = []
    for i, j in _index_pairs(len(ranks)):
        first, second = ranks[i], ranks[j]
        if first is None or second is None:
            found.append(None)
        else:
            found.append((first > second) - (first < second))
    return tuple(found)


def pair_people(
    tasks: Sequence[Sequence[int]], signs: Sequence[Signs]
) -> tuple[list[PeoplePair], np.ndarray]:
    """`tasks`: for each, the indices of its records; `signs`: by record. Returns whose rows, and the rows."""
    who: list[PeoplePair] = []
    rows: list[list[float]] = []
    for task, records in enumerate(tasks):
        if len(records) < 2:
            continue
        own = [signs[record] for record in records]
        weights = _weights(own, lambda sign: sign is not None), _weights(own, bool)
        for first, second in combinations(records, 2):
            who.append(PeoplePair(task, first, second))
            rows.append(_row(signs[first], signs[second], weights))
    return who, np.array(rows, dtype=float).reshape(-1, WIDTH)


def _weights(signs: Sequence[Signs], counts: Callable[[int | None], bool]) -> list[float]:
    """For each pair of completions 1 / (people whose sign counts - 1), as alpha weighs pairs of people."""
    people = [sum(map(counts, column)) for column in zip(*signs, strict=True)]
    return [1 / (count - 1) if count > 1 else 0.0 for count in people]


def _row(ours: Signs, theirs: Signs, weights: tuple[list[float], list[float]]) -> list[float]:
    row = [0.0] * WIDTH
    concordance = first_decided = second_decided = 0
    for a, b, weight, decided in zip(ours, theirs, *weights, strict=True):
        if a is None or b is None:
            continue
        here, there = 3 * (a + 1) + b + 1, 3 * (1 - a) + 1 - b
        row[here] += 1
        row[there] += 1
        row[WEIGHTED + here] += weight
        row[WEIGHTED + there] += weight
        if a and b:
            row[DECIDED + (a != b)] += decided
        concordance += a * b
        first_decided += a != 0
        second_decided += b != 0
    if first_decided and second_decided:
        row[TAU_SUM] = concordance / sqrt(first_decided * second_decided)
        row[TAU_COUNT] = 1
    return row


# --- Measures ---------------------------------------------------------------------------------------------
def _table(sums: np.ndarray, first_column: int = CONFUSION) -> np.ndarray:
    return sums[:, first_column : first_column + 9].reshape(-1, 3, 3)


def read_agreement(sums: np.ndarray) -> np.ndarray:
    """Pairwise agreement; a tie of one person only is half an agreement (TieRule.HALF)."""
    return _agreement(_table(sums, WEIGHTED))


def read_paired_agreement(sums: np.ndarray) -> np.ndarray:
    """The same of two people: each pair of completions weighs the same, whoever else ranked it."""
    return _agreement(_table(sums))


def _agreement(table: np.ndarray) -> np.ndarray:
    same = np.trace(table, axis1=1, axis2=2)
    half = table[:, 1, 0] + table[:, 1, 2] + table[:, 0, 1] + table[:, 2, 1]
    return divide(same + half / 2, table.sum(axis=(1, 2)))


def read_strict_agreement(sums: np.ndarray) -> np.ndarray:
    """Pairwise agreement; a tie of one person only is a disagreement (TieRule.DISAGREE)."""
    table = _table(sums, WEIGHTED)
    return divide(np.trace(table, axis1=1, axis2=2), table.sum(axis=(1, 2)))


def read_decided_agreement(sums: np.ndarray) -> np.ndarray:
    """Pairwise agreement on pairs that both decided (TieRule.SKIP)."""
    return divide(sums[:, DECIDED], sums[:, DECIDED] + sums[:, DECIDED + 1])


def read_tau(sums: np.ndarray) -> np.ndarray:
    """Mean tau-b over pairs of people."""
    return divide(sums[:, TAU_SUM], sums[:, TAU_COUNT])


def read_alpha(sums: np.ndarray) -> np.ndarray:
    """Krippendorff's nominal alpha of the pairwise judgments; pairs of people enter both ways."""
    return _alpha(_symmetric(_table(sums, WEIGHTED)))


def read_paired_alpha(sums: np.ndarray) -> np.ndarray:
    """Alpha where only some pairs of people are looked at: each weighs the same."""
    return _alpha(_symmetric(_table(sums)))


def _symmetric(table: np.ndarray) -> np.ndarray:
    return (table + table.transpose(0, 2, 1)).reshape(-1, 9)


_alpha: Read = alpha_reader("nominal", SCALE)
read_kappa: Read = cohen_reader(3)  # of two people's pairwise judgments, both ways round


def comparisons(rows: np.ndarray) -> int:
    """How many (pair of people, pair of completions) the rows hold; each stands in them twice."""
    return round(float(rows[:, CONFUSION:TAU_SUM].sum()) / 2)


def decided_comparisons(rows: np.ndarray) -> int:
    table = _table(rows.sum(axis=0)[None])[0]
    return round(float(table[0, 0] + table[2, 2] + table[0, 2] + table[2, 0]) / 2)


# --- How sure the one was ---------------------------------------------------------------------------------
MARGINS = ("significantly", "clearly", "slightly", "negligibly")


def margin_of_pairs(ranks: Sequence[float | None], margins: Sequence[str]) -> tuple[int | None, ...]:
    """For each pair i < j that is decided: the strongest margin at a boundary between the two, as an index
    into MARGINS; None for ties, unranked, and where no margin was asked for. Ranks count 1, 2, 3 …"""
    found: list[int | None] = []
    for i, j in _index_pairs(len(ranks)):
        first, second = ranks[i], ranks[j]
        if first is None or second is None or first == second:
            found.append(None)
            continue
        between = margins[int(min(first, second)) - 1 : int(max(first, second)) - 1]
        known = [MARGINS.index(each) for each in between if each in MARGINS]
        found.append(min(known) if known else None)
    return tuple(found)


def margin_rows(
    who: Sequence[PeoplePair], signs: Sequence[Signs], margins: Sequence[tuple[int | None, ...]]
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """By margin: the tasks, and rows of (agreement, comparisons) of what one person decided at that margin
    with what the other said about it, and the comparisons unweighted. The other's tie is half an agreement.
    Each decision weighs the same, however many others there are to hold it against."""
    others = _others(who, signs)
    found: dict[int, dict[int, list[float]]] = {}
    for pair in who:
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            pairs = zip(margins[one], signs[one], signs[other], others[pair.task], strict=True)
            for margin, ours, theirs, count in pairs:
                if margin is None or theirs is None:
                    continue
                row = found.setdefault(margin, {}).setdefault(pair.task, [0.0, 0.0, 0.0])
                row[0] += (1 if ours == theirs else 0.5 if theirs == 0 else 0) / count
                row[1] += 1 / count
                row[2] += 1
    return {
        margin: (np.array(sorted(tasks)), np.array([tasks[task] for task in sorted(tasks)]))
        for margin, tasks in sorted(found.items())
    }


def _others(who: Sequence[PeoplePair], signs: Sequence[Signs]) -> dict[int, list[int]]:
    """By task, for each pair of completions: how many others each of those who ranked it has."""
    people: dict[int, set[int]] = {}
    for pair in who:
        people.setdefault(pair.task, set()).update((pair.first, pair.second))
    return {
        task: [
            sum(sign is not None for sign in column) - 1
            for column in zip(*(signs[each] for each in own), strict=True)
        ]
        for task, own in people.items()
    }
