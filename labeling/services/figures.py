"""The numbers of the quality report that lists sort by and other pages show, as rows beside it.

They are not computed here: `rows_of` takes them out of the report's body, and they are written in the
transaction that stores it. So the overview, the people page, a batch's page, the quality page, the API and
every CSV say the same number, of the same time.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count
from django.db.models.functions import TruncDate

from labeling import acceptance
from labeling.models import Figure, Project, Submission
from labeling.quality_rows import EPOCH

DECISION_DAYS = 30  # that acceptance is drawn over
# Fields of a batch's Figure, which are those of labeling.acceptance.Acceptance.
OUTCOMES = {
    "accepted": acceptance.AS_IT_WAS,
    "fixed": acceptance.FIXED,
    "returned": acceptance.RETURNED,
    "rejected": acceptance.REJECTED,
    "unreviewed": acceptance.NOT_REVIEWED,
}


def decisions_of(project: Project, now: datetime) -> dict[str, list[list[int]]]:
    """{"by_day": [[day since 1970, reviewed, accepted]] of the last weeks, "by_batch": [[batch, …]]} with
    numbers in the order of `OUTCOMES`; all as labeling.acceptance has it."""
    work = Submission.objects.filter(project=project, task__isnull=False).order_by()
    outcomes = {f"n_{name}": Count("pk", filter=which) for name, which in OUTCOMES.items()}
    by_batch = work.values_list("task__batch_id").annotate(**outcomes)
    first = (now - timedelta(days=DECISION_DAYS - 1)).replace(hour=0, minute=0, second=0, microsecond=0)
    # Work counts on the day of its last decision, as what it is now.
    by_day = (
        work.filter(acceptance.REVIEWED, decided_at__gte=first)
        .annotate(day=TruncDate("decided_at", tzinfo=UTC))
        .order_by("day")
        .values_list("day")
        .annotate(n=Count("pk"), stood=Count("pk", filter=acceptance.AS_IT_WAS))
    )
    return {
        "by_day": [[(day - EPOCH).days, n, part] for day, n, part in by_day],
        "by_batch": [list(row) for row in by_batch],
    }


def rows_of(body: dict[str, Any]) -> dict[tuple[int | None, int | None], dict[str, Any]]:
    """{(batch or None, person or None): fields of its Figure}; (None, None) is the project's own."""
    rows: dict[tuple[int | None, int | None], dict[str, Any]] = defaultdict(dict)
    rows[None, None] = _agreement(body["agreement"]["pairwise_agreement"])
    rows[None, None]["decisions_by_day"] = body["decisions"]["by_day"]
    for row in body["by"]["batch"]:
        rows[row["key"], None] |= _agreement(row["agreement"])
    for batch, *numbers in body["decisions"]["by_batch"]:
        rows[batch, None] |= dict(zip(OUTCOMES, numbers, strict=True))
    for row in body["by"]["person"]:
        rows[None, row["key"]] |= _agreement(row["agreement"])
    for row in body["meters"]["people"]:
        rows[None, row["person"]] |= _position(row["position"])
    return rows


def store_figures(*, project: Project, body: dict[str, Any], as_of: datetime) -> None:
    """In place of what was there; inside the transaction that stores the report. Worked out of rows that are
    audited: no audit row of their own."""
    Figure.objects.filter(project=project).delete()
    Figure.objects.bulk_create(
        Figure(project=project, batch_id=batch, user_id=person, computed_at=as_of, **values)
        for (batch, person), values in rows_of(body).items()
    )


def _agreement(estimate: dict[str, Any]) -> dict[str, Any]:
    return {
        "agreement": estimate["value"],
        "agreement_low": estimate["low"],
        "agreement_high": estimate["high"],
        "agreement_pairs": estimate["size"],
    }


def _position(rate: dict[str, Any]) -> dict[str, Any]:
    return {
        "position": rate["value"],
        "position_low": rate["low"],
        "position_high": rate["high"],
        "position_pairs": rate["size"],
    }
