"""How accurate a reward model can be on people's choices, given how much people agree with one another.

Take a pair of completions and let a share q of people prefer the one that more of them prefer. Two people
drawn by chance agree on it with q² + (1 - q)²; a model that always names the preferred one agrees with one
person's label with q. Over pairs with different q we see only the mean agreement A. With x = 2q - 1:

    A = E[(1 + x²) / 2]        best accuracy = E[(1 + x) / 2]

and since E[x²] <= E[x] <= sqrt(E[x²]), the best accuracy lies between A (pairs on which all agree, and pairs
on which people toss a coin) and (1 + sqrt(2A - 1)) / 2 (all pairs equally hard). Both ends are reached.
"""

import math
from typing import NamedTuple

from .intervals import Interval


class Ceiling(NamedTuple):
    """Best expected accuracy against one person's labels: no more than `high`, at least `low`."""

    low: float
    high: float


def accuracy_ceiling(agreement: float) -> Ceiling:
    """From the agreement on pairs that both people decided (ties skipped).

    Below one half people agree less than by chance, which only noise brings about: the ceiling is then 1/2.
    """
    if not 0 <= agreement <= 1:
        raise ValueError(f"an agreement lies between 0 and 1, not {agreement}")
    excess = max(0.0, 2 * agreement - 1)
    return Ceiling(low=max(agreement, 0.5), high=(1 + math.sqrt(excess)) / 2)


def ceiling_interval(agreement: Interval) -> Interval:
    """The lowest and the highest ceiling that the agreement's confidence interval allows."""
    return Interval(accuracy_ceiling(agreement.low).low, accuracy_ceiling(agreement.high).high)
