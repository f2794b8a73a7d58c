"""Meters of a person's leanings: does the place on the screen, or the length, win? Evidence, never a verdict.

Every interval is Wilson's over decided pairs as if they were independent. Pairs of one ranking are not
quite: read it as a meter's width, not as a test.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from .intervals import Interval, wilson_interval


class Judgment(NamedTuple):
    """`ranks`: as in the package. `shown`: completion indices in the order seen, first to last. `lengths`:
    of the texts, in any one unit. Each has one entry per completion."""

    ranks: Sequence[float | None]
    shown: Sequence[int]
    lengths: Sequence[int]


class Rate(NamedTuple):
    """Wins out of so many pairs. Without a leaning the value is 0.5; None where there were no pairs."""

    value: float | None
    interval: Interval
    wins: float
    pairs: int


def position_bias(judgments: Iterable[Judgment]) -> Rate:
    """How often, of two completions a person told apart, the one shown earlier won."""
    wins = pairs = 0
    for judgment in judgments:
        place = _places(judgment)
        for better, worse in _decided_pairs(judgment):
            pairs += 1
            wins += place[better] < place[worse]
    return _rate(wins, pairs)


def position_win_rates(judgments: Iterable[Judgment]) -> list[Rate]:
    """For each place on the screen, first to last, how often the completion there won its pairs; ties count
    half."""
    wins: dict[int, float] = {}
    pairs: dict[int, int] = {}
    for judgment in judgments:
        place = _places(judgment)
        for i, j in combinations(range(len(judgment.ranks)), 2):
            first, second = judgment.ranks[i], judgment.ranks[j]
            if first is None or second is None:
                continue
            for index, won in ((i, first < second), (j, second < first)):
                pairs[place[index]] = pairs.get(place[index], 0) + 1
                wins[place[index]] = wins.get(place[index], 0.0) + (0.5 if first == second else won)
    last = max(pairs, default=-1)
    return [_rate(wins.get(position, 0.0), pairs.get(position, 0)) for position in range(last + 1)]


def length_bias(judgments: Iterable[Judgment]) -> Rate:
    """How often, of two completions of different length that a person told apart, the longer one won."""
    wins = pairs = 0
    for judgment in judgments:
        _places(judgment)
        for better, worse in _decided_pairs(judgment):
            if judgment.lengths[better] != judgment.lengths[worse]:
                pairs += 1
                wins += judgment.lengths[better] > judgment.lengths[worse]
    return _rate(wins, pairs)


def _places(judgment) -> dict[int, int]:
    size = len(judgment.ranks)
    if sorted(judgment.shown) != list(range(size)) or len(judgment.lengths) != size:
        raise ValueError("a judgment needs one rank, one place and one length for each completion")
    return {index: position for position, index in enumerate(judgment.shown)}


def _decided_pairs(judgment) -> Iterator[tuple[int, int]]:
    """(better, worse) for each pair that is ranked and no tie."""
    ranks = judgment.ranks
    for i, j in combinations(range(len(ranks)), 2):
        if ranks[i] is not None and ranks[j] is not None and ranks[i] != ranks[j]:
            yield (i, j) if ranks[i] < ranks[j] else (j, i)


def _rate(wins, pairs):
    return Rate(wins / pairs if pairs else None, wilson_interval(wins, pairs), float(wins), pairs)
