"""When a backlog will be done, from what was done a day so far."""

from collections.abc import Sequence
from math import exp, sqrt
from typing import NamedTuple

FEWEST_DAYS = 3  # of history, below which nothing is foretold
Z_80 = 1.2815515655446004  # the 90th percentile of the normal distribution: 80 % lie between both ends


class Forecast(NamedTuple):
    """Days until the backlog is done, and the interval in which eight of ten such backlogs end."""

    days: float
    low: float
    high: float
    a_day: float


def days_to_finish(backlog: float, done_a_day: Sequence[float]) -> Forecast | None:
    """`done_a_day`: one number a calendar day, idle ones included, oldest first. None if they say too little.

    The expected time is B / m: backlog over mean. Work arrives day by day as a renewal process, so the time
    to reach B varies by B s^2 / m^3; the mean itself is known only from n days, which adds
    (B / m^2)^2 s^2 / n.
    The interval is taken on the logarithm of the time, which keeps it above zero.
    """
    n = len(done_a_day)
    if n < FEWEST_DAYS or sum(done_a_day) <= 0:
        return None
    mean = sum(done_a_day) / n
    if backlog <= 0:
        return Forecast(0.0, 0.0, 0.0, mean)
    variance = sum((done - mean) ** 2 for done in done_a_day) / (n - 1)
    days = backlog / mean
    spread = sqrt(backlog * variance / mean**3 + (backlog / mean**2) ** 2 * variance / n)
    factor = exp(Z_80 * spread / days)
    return Forecast(days, days / factor, days * factor, mean)
