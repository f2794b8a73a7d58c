"""Held against a known answer: how much of an order and of flags is right. Pure, no Django."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

Tiers = Sequence[Sequence[int]]


@dataclass(frozen=True)
class OrderAgreement:
    """`right` of `pairs`; a pair that one of the two ties counts half."""

    right: float
    pairs: int

    @property
    def share(self) -> float | None:
        return self.right / self.pairs if self.pairs else None


def order_agreement(answer: Tiers, known: Tiers) -> OrderAgreement:
    """Over the pairs that the known answer orders or ties: 1 where the answer puts them alike, ½ where one of
    the two ties them, 0 where they are the other way round, or where the answer leaves one out (marked as one
    that cannot be ranked, though it can).

    >>> order_agreement([[1], [2], [3]], [[1], [3], [2]])
    OrderAgreement(right=2.0, pairs=3)
    """
    mine, theirs = _places(answer), _places(known)
    right, pairs = 0.0, 0
    for one, other in combinations(sorted(theirs), 2):
        pairs += 1
        if one not in mine or other not in mine:
            continue
        difference, expected = _sign(mine[one] - mine[other]), _sign(theirs[one] - theirs[other])
        if difference == expected:
            right += 1
        elif difference == 0 or expected == 0:
            right += 0.5
    return OrderAgreement(right, pairs)


def flag_agreement(given: Mapping[str, Iterable[str]], known: Mapping[str, Iterable[str]]) -> float:
    """Dice's coefficient of the (completion, flag) marks: twice the shared ones over all of both, 1 where
    neither set any. Unlike plain agreement it is not lifted by the many marks that nobody sets.
    """
    mine, theirs = _marks(given), _marks(known)
    if not mine and not theirs:
        return 1.0
    return 2 * len(mine & theirs) / (len(mine) + len(theirs))


def _places(tiers: Tiers) -> dict[int, int]:
    return {item: place for place, tier in enumerate(tiers) for item in tier}


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _marks(flags: Mapping[str, Iterable[str]]) -> set[tuple[str, str]]:
    return {(str(item), flag) for item, keys in flags.items() for flag in keys}
