"""Read side: acceptance and agreement over time, as the overview and the quality page draw them.

One point is no curve: where there are not two, a page says in words what there is (`Trend.only`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from .acceptance import share_of
from .models import Figure, QualityReport
from .quality_rows import EPOCH

DAY = 86_400


@dataclass(frozen=True)
class Point:
    """A day, or the first day of a week or month, and what was measured then."""

    day: date
    value: float
    size: int  # reviewed work, or comparisons
    low: float | None = None
    high: float | None = None
    part: int | None = None  # of the size, where the value is a plain share: what was accepted


@dataclass(frozen=True)
class Trend:
    """Points of one measure, oldest first."""

    name: str
    points: list[Point] = field(default_factory=list)

    @property
    def is_curve(self) -> bool:
        return len(self.points) > 1

    @property
    def only(self) -> Point | None:
        """The one point there is."""
        return self.points[0] if len(self.points) == 1 else None

    @property
    def chart(self) -> dict[str, Any]:
        """As {% chart %} takes it. Only days with a value: a line goes on over those without."""
        series: dict[str, Any] = {"name": self.name, "values": [point.value for point in self.points]}
        if any(point.low is not None for point in self.points):
            series["low"] = [point.low for point in self.points]
            series["high"] = [point.high for point in self.points]
        return {"x": [(point.day - EPOCH).days * DAY for point in self.points], "series": [series]}


def acceptance(figure: Figure | None) -> Trend:
    """Acceptance of what was reviewed each day of the last weeks, as worked out in the background."""
    rows = figure.decisions_by_day if figure is not None else []
    points = [
        Point(EPOCH + timedelta(days=day), share, reviewed, part=accepted)
        for day, reviewed, accepted in rows
        if (share := share_of(accepted, reviewed)) is not None
    ]
    return Trend("accepted", points)


def agreement(report: QualityReport) -> Trend:
    """Pairwise agreement on rankings over time, with its 95 % interval, of the stored report."""
    rows = report.body.get("by", {}).get("time", [])
    points = [
        Point(
            EPOCH + timedelta(days=row["key"]),
            row["agreement"]["value"],
            row["agreement"]["size"],
            row["agreement"]["low"],
            row["agreement"]["high"],
        )
        for row in rows
        if row["agreement"]["value"] is not None
    ]
    return Trend("pairwise agreement", points)
