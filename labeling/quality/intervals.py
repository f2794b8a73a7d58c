"""Confidence intervals: Wilson's for shares, the percentile bootstrap for everything else."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    low: float
    high: float


def wilson_interval(successes: float, total: float, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a share (E. B. Wilson, 1927). Successes may be halves, where ties count
    half.

    (0, 1) for no trials: nothing is known. Raises ValueError unless 0 <= successes <= total.
    """
    if not 0 <= successes <= total:
        raise ValueError(f"{successes} successes of {total} trials")
    if total == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    # At shares of 0 and 1 the bound is exactly that; rounding would leave 1e-17.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == total else min(1.0, centre + half)
    return Interval(low, high)


def bootstrap_interval(
    count: int,
    statistic: Callable[[np.ndarray], float | None],
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval | None:
    """Percentile bootstrap over `count` independent units.

    `statistic(weights)` gets how often each unit was drawn, (count,) integers that sum to `count`, and
    returns None where it is undefined; such draws are left out. None when all are, or when there are no
    units.
    The same seed gives the same interval.
    """
    if count == 0:
        return None
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        weights = np.bincount(rng.integers(count, size=count), minlength=count)
        value = statistic(weights)
        if value is not None:
            values.append(value)
    return percentile_interval(values, confidence)


def percentile_interval(values: Sequence[float], confidence: float) -> Interval | None:
    if not values:
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))
