"""Cohen's kappa of two raters and Fleiss' kappa of many, with bootstrap intervals.

J. Cohen, A coefficient of agreement for nominal scales (1960); weighted (1968). J. L. Fleiss, Measuring
nominal scale agreement among many raters (1971).
"""

from collections.abc import Hashable, Sequence

import numpy as np

from .agreement import Estimate
from .tallies import cohen_reader, estimates, fleiss_rows, read_fleiss, sum_by


def cohen_kappa(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    *,
    weights: str | None = None,
    clusters: Sequence[int] | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Two people's ratings of the same things; where either is None the thing is left out.

    `weights`: None (nominal), "linear" or "quadratic" over the ratings' sorted order. `clusters`: a number
    for each thing; those of one cluster are drawn together. `size`: the things both rated. None where both
    gave one and the same rating throughout.
    """
    if len(first) != len(second):
        raise ValueError("two people's ratings differ in number")
    both = [i for i in range(len(first)) if first[i] is not None and second[i] is not None]
    values = sorted({first[i] for i in both} | {second[i] for i in both})  # type: ignore[type-var]
    place = {value: number for number, value in enumerate(values)}
    rows = np.zeros((len(both), len(values) ** 2))
    for row, i in enumerate(both):
        rows[row, place[first[i]] * len(values) + place[second[i]]] = 1
    rows = _by_cluster(rows, clusters, both)
    read = cohen_reader(len(values), weights)
    [found] = estimates(rows, [(read, len(both))], confidence=confidence, resamples=resamples, seed=seed)
    return found


def fleiss_kappa(
    units: Sequence[Sequence[Hashable]],
    *,
    clusters: Sequence[int] | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """For each thing rated the ratings it got, None for missing; who gave them does not matter.

    With equally many ratings of each thing this is Fleiss' kappa. Otherwise every thing weighs the same: the
    agreement within it and its share of each category enter the means once. `size`: things with two ratings
    or more. None where only one category was used.
    """
    ratings = [[value for value in unit if value is not None] for unit in units]
    kept = [index for index, unit in enumerate(ratings) if len(unit) >= 2]
    values = sorted({value for index in kept for value in ratings[index]})  # type: ignore[type-var]
    place = {value: number for number, value in enumerate(values)}
    counts = np.zeros((len(kept), len(values)))
    for row, index in enumerate(kept):
        for value in ratings[index]:
            counts[row, place[value]] += 1
    rows = _by_cluster(fleiss_rows(counts), clusters, kept)
    if len(values) < 2:
        return Estimate(None, None, len(kept))
    [found] = estimates(
        rows, [(read_fleiss, len(kept))], confidence=confidence, resamples=resamples, seed=seed
    )
    return found


def _by_cluster(rows: np.ndarray, clusters: Sequence[int] | None, kept: list[int]) -> np.ndarray:
    if clusters is None:
        return rows
    return sum_by(rows, np.array([clusters[index] for index in kept], dtype=int))
