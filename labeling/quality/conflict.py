"""Where one ranking stands against others: its agreement with the rest of its task, and the pair on which a
reward model is surest of the opposite."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .agreement import pairwise_agreement

Ranks = Sequence[float | None]


def agreement_with_others(rankings: Sequence[Ranks]) -> list[float | None]:
    """For each ranking of one task: the share of pairs it orders as the others do, each other person weighing
    the pairs both ranked; a tie of one counts half (TieRule.HALF). None where there is nothing to compare.
    """
    shares: list[float | None] = []
    for index, mine in enumerate(rankings):
        pairs = [[mine, other] for place, other in enumerate(rankings) if place != index]
        shares.append(pairwise_agreement(pairs, resamples=1).value if pairs else None)
    return shares


def strongest_conflict(ranks: Ranks, scores: Sequence[float | None]) -> float | None:
    """How sure the scorer is, at most, that a pair which the person decided is the other way round.

    sigmoid(score of the worse - score of the better), the Bradley-Terry model that reward models are trained
    with: 0.5 is no opinion, less agrees with the person. None where no decided pair has two scores.
    """
    differences = [
        scores[worse] - scores[better]  # type: ignore[operator]  # both are numbers, by the condition below
        for better, first in enumerate(ranks)
        for worse, second in enumerate(ranks)
        if first is not None
        and second is not None
        and first < second
        and scores[better] is not None
        and scores[worse] is not None
    ]
    return sigmoid(max(differences)) if differences else None


def sigmoid(x: float) -> float:
    """Without overflow for large differences of either sign."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
