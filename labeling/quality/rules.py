"""What a task's rankings add up to by each rule, where rules differ, and where majorities go in a circle."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from .consensus import _as_arrays, _preferences, _support, schulze_consensus
from .crowd import _ranks, crowd_consensus
from .kemeny import kemeny_consensus
from .plackett_luce import USUAL, adherence_of, plackett_luce

# What each is called where a project chooses one.
RULES = (
    ("schulze", "Schulze"),
    ("kemeny", "Kemeny"),
    ("plackett_luce", "Plackett–Luce"),
    ("bradley_terry", "Bradley–Terry"),
)


class Opinion(NamedTuple):
    """One rule's order. `ranks`: 1 = best, equal = tie, None = unrankable. `support`: share of the people's
    decided pairs that it decides as they did. `optima`: of Kemeny, how many orders are equally good.
    `surest_of`: of Plackett–Luce, for each step down the order how probably the completions on its two sides
    really are in that order, the least sure pair of them; empty for other rules. `strengths`: of the last
    two rules.
    """

    rule: str
    ranks: list[int | None]
    support: float | None
    optima: int | None = None
    surest_of: tuple[float, ...] = ()
    strengths: tuple[float | None, ...] = ()


class Tally(NamedTuple):
    """What people said of completions `first` and `second`: how many put the one before, tied them, put it
    after. `better`: Plackett–Luce's probability that `first` is the better one, None where one is unrankable.
    `is_disputed`: the rules do not all put them alike."""

    first: int
    second: int
    before: int
    tied: int
    after: int
    better: float | None
    is_disputed: bool


class Weighing(NamedTuple):
    """`cycles`: sets of completions, each before another by a majority, that come back to where they began;
    no order agrees with all of these majorities."""

    opinions: dict[str, Opinion]
    pairs: list[Tally]
    cycles: list[list[int]]


def weigh(
    rankings: Sequence[Sequence[float | None]], *, reliability: Sequence[float | None] | None = None
) -> Weighing:
    """All rules over one task's rankings, each a list of ranks over the same completions, at most nine.

    reliability: of each ranking's person, as crowd.estimate_reliability finds it; None where it is not known.
    Schulze and Kemeny count all people alike. Raises ValueError as the rules do.
    """
    known = [USUAL if r is None else r for r in (reliability or [None] * len(rankings))]
    schulze = schulze_consensus(rankings)
    kemeny = kemeny_consensus(rankings)
    luce = plackett_luce(rankings, adherence=[adherence_of(each) for each in known])
    crowd = crowd_consensus([dict(enumerate(rankings))], reliability=dict(enumerate(known))).strengths[0]
    # What most people cannot rank has no place by this rule either, though the few who could say something.
    terry = [None if rank is None else s for rank, s in zip(schulze.ranks, crowd, strict=True)]
    terry_ranks = _ranks(terry)
    opinions = {
        "schulze": Opinion("schulze", schulze.ranks, schulze.support),
        "kemeny": Opinion("kemeny", kemeny.ranks, kemeny.support, optima=kemeny.optima),
        "plackett_luce": Opinion(
            "plackett_luce",
            luce.ranks,
            luce.support,
            surest_of=_steps(luce.ranks, luce.better),
            strengths=tuple(luce.strengths),
        ),
        "bradley_terry": Opinion(
            "bradley_terry",
            terry_ranks,
            _support(terry_ranks, _preferences(*_as_arrays(rankings, None))),
            strengths=tuple(terry),
        ),
    }
    orders = [opinion.ranks for opinion in opinions.values()]
    pairs = [
        _tally(rankings, i, j, luce.better[i][j], orders) for i, j in combinations(range(len(luce.ranks)), 2)
    ]
    return Weighing(opinions, pairs, majority_cycles(rankings))


def majority_cycles(rankings: Sequence[Sequence[float | None]]) -> list[list[int]]:
    """Sets of completions that beat each other in a circle: the strongly connected parts, of more than one,
    of "more people put i before j than the other way round". In the order of their least member."""
    before = _preferences(*_as_arrays(rankings, None))
    reaches = before > before.T
    for via in range(len(reaches)):
        reaches = reaches | (reaches[:, via, None] & reaches[None, via, :])
    mutual = reaches & reaches.T
    cycles = {tuple(j for j in range(len(mutual)) if mutual[i, j]) for i in range(len(mutual))}
    return [list(cycle) for cycle in sorted(cycles) if cycle]


def _steps(ranks: Sequence[int | None], better: Sequence[Sequence[float | None]]) -> tuple[float, ...]:
    last = max((rank for rank in ranks if rank is not None), default=0)
    levels = [[i for i, rank in enumerate(ranks) if rank == level] for level in range(1, last + 1)]
    return tuple(
        min(better[i][j] or 0.0 for i in upper for j in lower)
        for upper, lower in zip(levels, levels[1:], strict=False)
    )


def _tally(rankings, i: int, j: int, better: float | None, orders) -> Tally:
    said = [sign for ranking in rankings if (sign := _sign(ranking, i, j)) is not None]
    is_disputed = len({_sign(order, i, j) for order in orders}) > 1
    return Tally(i, j, said.count(-1), said.count(0), said.count(1), better, is_disputed)


def _sign(ranks: Sequence[float | None], i: int, j: int) -> int | None:
    """-1: i before j, 0: a tie, 1: after; None where one of them is not ranked."""
    first, second = ranks[i], ranks[j]
    if first is None or second is None:
        return None
    return (first > second) - (first < second)
