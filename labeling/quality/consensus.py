"""One weak order out of several people's: Schulze's method, with ties and unrankable completions.

Condorcet, monotonic and clone-proof (M. Schulze, 2011, https://doi.org/10.1007/s00355-010-0475-4). Nothing
in it looks at the number of a completion, so renaming completions renames the result and changes nothing
else.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Consensus(NamedTuple):
    """`ranks`: 1 = best, equal = tie, None = unrankable. `support`: share of the people's decided pairs
    that the consensus decides the same way; ties of the consensus count half; None where nobody decided
    any."""

    ranks: list[int | None]
    support: float | None


def schulze_consensus(
    rankings: Sequence[Sequence[float | None]], *, weights: Sequence[float] | None = None
) -> Consensus:
    """The consensus of one task's rankings, each a list of ranks over the same completions.

    A person's tie adds to neither side; one who could not rank a completion says nothing about its pairs. A
    completion that people of more than half the weight could not rank is unrankable. `weights`: of the
    people, 1 each by default.
    Schulze's order is partial: completions that nothing left beats share a rank, level by level from the top.
    Raises ValueError for no ranking, different lengths, or negative weights.
    """
    table, weight = _as_arrays(rankings, weights)
    is_ranked = ~np.isnan(table)  # (people, completions)
    missing = ((~is_ranked) * weight[:, None]).sum(axis=0)
    candidates = np.flatnonzero(missing <= weight.sum() / 2)
    preferred = _preferences(table, weight)  # (completions, completions)
    beats = _schulze_order(preferred[np.ix_(candidates, candidates)])
    ranks: list[int | None] = [None] * table.shape[1]
    for level, members in enumerate(_levels(beats), start=1):
        for member in members:
            ranks[candidates[member]] = level
    return Consensus(ranks, _support(ranks, preferred))


def _as_arrays(rankings, weights):
    if not rankings or len({len(ranking) for ranking in rankings}) != 1:
        raise ValueError("a consensus needs rankings over one set of completions")
    table = np.array([[np.nan if r is None else r for r in ranking] for ranking in rankings], dtype=float)
    weight = np.ones(len(rankings)) if weights is None else np.array(weights, dtype=float)
    if weight.shape != (len(rankings),) or (weight < 0).any():
        raise ValueError("one weight of zero or more is needed for each ranking")
    return table, weight


def _preferences(table, weight):
    """preferred[i, j]: weight of the people who put i before j. NaN compares false, so unranked pairs add
    nothing."""
    before = table[:, :, None] < table[:, None, :]  # (people, completions, completions)
    return (before * weight[:, None, None]).sum(axis=0)


def _schulze_order(preferred):
    """beats[i, j]: the strongest path from i to j is stronger than that from j to i. Strength: winning
    votes."""
    strength = np.where(preferred > preferred.T, preferred, 0.0)
    for via in range(len(strength)):
        strength = np.maximum(strength, np.minimum(strength[:, via, None], strength[None, via, :]))
    np.fill_diagonal(strength, 0.0)
    return strength > strength.T


def _levels(beats):
    """Completions that no remaining one beats, taken off level by level."""
    remaining = list(range(len(beats)))
    while remaining:
        level = [i for i in remaining if not any(beats[j, i] for j in remaining)]
        yield level
        remaining = [i for i in remaining if i not in level]


def _support(ranks, preferred):
    agreed = decided = 0.0
    for i, first in enumerate(ranks):
        for j, second in enumerate(ranks):
            if i == j or first is None or second is None:
                continue
            decided += preferred[i, j]
            if first < second:
                agreed += preferred[i, j]
            elif first == second:
                agreed += preferred[i, j] / 2
    return agreed / decided if decided else None
