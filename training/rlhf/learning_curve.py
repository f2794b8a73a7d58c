"""Whether more data would help: a curve through runs on 25, 50 and 100 % of the same rows. Loads no torch.

Held-out accuracy and loss move about evenly with every doubling of the data (Learning to summarize, section
4.3: 1.1 % accuracy a doubling), so the curve is a + b·ln(rows), by least squares. With two or three points
this is a rule of thumb, not a forecast: what the next thousand examples bring if the trend goes on, and no
more than there is to gain: a loss ends at zero, an accuracy at one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

MORE = 1000
# Below this many points of accuracy, or this share of the loss, more of the same data is hardly worth it.
WORTH = 0.01


class Curve(NamedTuple):
    """value ≈ start + slope · ln(rows)"""

    start: float
    slope: float

    def at(self, rows: float) -> float:
        return self.start + self.slope * math.log(rows)


class Outlook(NamedTuple):
    """`gain`: what MORE rows are expected to bring, positive for better (of a loss: as a share of it)."""

    curve: Curve
    rows: int
    gain: float
    is_enough: bool  # below WORTH
    is_far: bool  # MORE is more than all rows that were learnt from: a direction, hardly a number


def fit(points: Sequence[tuple[int, float]]) -> Curve | None:
    """Through (rows, value) of at least two different numbers of rows, else None."""
    logs = [math.log(rows) for rows, _ in points]
    if len(set(logs)) < 2:
        return None
    mean_x = math.fsum(logs) / len(points)
    mean_y = math.fsum(value for _, value in points) / len(points)
    spread = math.fsum((x - mean_x) ** 2 for x in logs)
    covered = math.fsum((x - mean_x) * (value - mean_y) for x, (_, value) in zip(logs, points, strict=True))
    slope = covered / spread
    return Curve(mean_y - slope * mean_x, slope)


def outlook(points: Sequence[tuple[int, float]], *, is_loss: bool) -> Outlook | None:
    """What MORE rows on top of the most there are would bring."""
    curve = fit(points)
    if curve is None:
        return None
    rows = max(rows for rows, _ in points)
    now, then = (bounded(curve.at(count), is_loss=is_loss) for count in (rows, rows + MORE))
    gain = then - now if not is_loss else (now - then) / now if now else 0.0
    return Outlook(curve, rows, gain, gain < WORTH, rows < MORE)


def bounded(value: float, *, is_loss: bool) -> float:
    """What the line says, as far as there can be such a loss or accuracy."""
    return max(value, 0.0) if is_loss else min(max(value, 0.0), 1.0)
