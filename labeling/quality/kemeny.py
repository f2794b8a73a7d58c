"""Kemeny's consensus, exact: the weak order that disagrees least with what people said.

Distance of two weak orders (J. G. Kemeny, 1959; halved): a pair counts 1 where one puts it the other
way round, 1/2 where exactly one of them ties it. People's ties, and completions they could not rank, are
respected: an unranked pair says nothing. Where several orders are optimal the answer takes none of them by
accident of numbering: completions stand in the order of their mean position over all optimal orders, and tie
where these are equal. So renaming completions renames the result and changes nothing else.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from math import lcm
from typing import NamedTuple

from .consensus import _as_arrays, _preferences, _support

MOST_COMPLETIONS = 9


class KemenyConsensus(NamedTuple):
    """`ranks`: 1 = best, equal = tie, None = unrankable. `distance`: of an optimal order to all people.
    `optima`: how many orders reach it. `support`: as in Consensus."""

    ranks: list[int | None]
    distance: float
    optima: int
    support: float | None


def kemeny_consensus(
    rankings: Sequence[Sequence[float | None]],
    *,
    weights: Sequence[float] | None = None,
    allow_ties: bool = True,
) -> KemenyConsensus:
    """The consensus of one task's rankings, over at most nine completions. Exact whole-number arithmetic.

    A completion that people of more than half the weight could not rank is unrankable. allow_ties: the
    optimum is sought among weak orders (a tie wins where more people tie a pair than the two sides are
    apart), else among strict ones; the answer can tie either way, where optimal orders are on a par.
    Raises ValueError as schulze_consensus does, and for more completions.
    """
    table, weight = _as_arrays(rankings, weights)
    exact = [Fraction(float(each)) for each in weight]
    scale = lcm(*(each.denominator for each in exact))
    whole = [int(each * scale) for each in exact]
    size = table.shape[1]
    ranked = table == table  # not NaN
    candidates = [
        i
        for i in range(size)
        if 2 * sum(w for w, is_ranked in zip(whole, ranked[:, i], strict=True) if not is_ranked) <= sum(whole)
    ]
    if len(candidates) > MOST_COMPLETIONS:
        raise ValueError(f"an exact consensus takes at most {MOST_COMPLETIONS} completions")
    before = [[_votes(table, whole, i, j) for j in candidates] for i in candidates]
    tied = [[_tied(table, whole, i, j) for j in candidates] for i in candidates]
    cost, optima, positions = _search(before, tied, allow_ties)
    ranks: list[int | None] = [None] * size
    levels = sorted(set(positions))
    for candidate, position in zip(candidates, positions, strict=True):
        ranks[candidate] = levels.index(position) + 1
    return KemenyConsensus(ranks, cost / 2 / scale, optima, _support(ranks, _preferences(table, weight)))


def _votes(table, whole, i, j) -> int:
    return sum(w for w, row in zip(whole, table, strict=True) if row[i] < row[j])


def _tied(table, whole, i, j) -> int:
    return sum(w for w, row in zip(whole, table, strict=True) if row[i] == row[j])


def _search(before, tied, allow_ties) -> tuple[int, int, list[int]]:
    """(twice the least distance, number of optimal orders, for each completion the sum of its doubled
    positions over them). Dynamic programming over sets of completions not yet placed: some block goes first.
    """
    size = len(before)
    # Twice the cost of placing i above j, or of tying them.
    above = [[2 * before[j][i] + tied[i][j] for j in range(size)] for i in range(size)]
    level = [[before[i][j] + before[j][i] for j in range(size)] for i in range(size)]

    @cache
    def block_cost(block: int, rest: int) -> int:
        members, later = _members(block), _members(rest)
        inside = sum(level[i][j] for i in members for j in members if i < j)
        return inside + sum(above[i][j] for i in members for j in later)

    @cache
    def best(left: int) -> tuple[int, int, tuple[int, ...]]:
        if not left:
            return 0, 1, (0,) * size
        least, count, sums = -1, 0, [0] * size
        for block in _blocks(left, allow_ties):
            rest = left & ~block
            cost, ways, inner = best(rest)
            cost += block_cost(block, rest)
            if least < 0 or cost < least:
                least, count, sums = cost, 0, [0] * size
            if cost == least:
                count += ways
                length = block.bit_count()
                for i in range(size):
                    if block >> i & 1:
                        sums[i] += ways * (length - 1)  # the middle of places 0 … length - 1, doubled
                    elif rest >> i & 1:
                        sums[i] += inner[i] + 2 * length * ways
        return least, count, tuple(sums)

    cost, count, sums = best((1 << size) - 1)
    return cost, count, list(sums)


def _members(block: int) -> list[int]:
    return [i for i in range(MOST_COMPLETIONS) if block >> i & 1]


def _blocks(left: int, allow_ties: bool):
    """Every non-empty subset of `left`, or its single members."""
    if not allow_ties:
        yield from (1 << i for i in _members(left))
        return
    block = left
    while block:
        yield block
        block = (block - 1) & left
