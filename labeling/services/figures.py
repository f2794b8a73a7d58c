"""Quality figures that are too dear for a page: agreement and position bias, worked out in the background.

Pages say of when they are. A project's are worked out anew some minutes after something happened in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, OuterRef, Q, Subquery
from django.db.models.functions import TruncDate
from django.utils import timezone

from labeling.models import Figure, Project, Ranking, Review, Submission, SubmissionStatus
from labeling.quality import Judgment, pairwise_agreement, position_bias

NEWEST_RANKINGS = 20_000  # of a project, that agreement and bias are worked out on
DECISION_DAYS = 30  # that acceptance is drawn over
EPOCH = date(1970, 1, 1)
PAUSE = timedelta(minutes=5)  # a large project takes seconds: not oftener than that
RESAMPLES = 200
Orders = dict[int, dict[int, dict[int, int]]]  # task -> person -> completion -> rank


def stale_projects() -> list[Project]:
    """Projects in which something happened since their figures were worked out, a while ago."""
    return [project for project, seen in _candidates() if _is_stale(project, seen)]


def _candidates() -> Iterable[tuple[Project, datetime | None]]:
    seen = Figure.objects.filter(project=OuterRef("pk"), batch=None, user=None).values("computed_at")
    projects = Project.objects.active().annotate(seen=Subquery(seen), last=Max("memberships__last_active_at"))
    waited = Q(seen=None) | Q(seen__lt=timezone.now() - PAUSE)
    for project in projects.filter(waited, last__isnull=False):
        yield project, project.seen


def _is_stale(project: Project, seen: datetime | None) -> bool:
    if seen is None or project.last > seen:  # type: ignore[attr-defined]
        return True
    return Review.objects.filter(created_at__gt=seen, submission__project=project).exists()


def refresh_figures(*, project: Project) -> None:
    """Work out and store the figures of the project, its batches and its people. Reads first, outside the
    transaction that stores them."""
    now = timezone.now()
    orders, judgments, batch_of = _rankings(project)
    rows: dict[tuple[int | None, int | None], dict[str, Any]] = defaultdict(dict)
    rows[None, None] |= _agreement([list(people.values()) for people in orders.values()])
    by_batch: dict[int, list[list[dict[int, int]]]] = defaultdict(list)
    by_person: dict[int, list[list[dict[int, int]]]] = defaultdict(list)
    for task, people in orders.items():
        by_batch[batch_of[task]].append(list(people.values()))
        for person, order in people.items():
            by_person[person] += [[order, other] for who, other in people.items() if who != person]
    for batch, tasks in by_batch.items():
        rows[batch, None] |= _agreement(tasks)
    for person, tasks in by_person.items():
        rows[None, person] |= _agreement(tasks)
    for person, shown in judgments.items():
        rows[None, person] |= _position(shown)
    for batch, decided, accepted in _decisions(project):
        rows[batch, None] |= {"decided": decided, "accepted": accepted}
    rows[None, None]["decisions_by_day"] = _decisions_by_day(project, now)
    _store(project, rows, now)


def _rankings(project: Project) -> tuple[Orders, dict[int, list[Judgment]], dict[int, int]]:
    """What people said of the newest tasks: orders by task and person; what each saw; the tasks' batches."""
    rows = (
        Ranking.objects.filter(
            is_current=True, submission__project=project, submission__task__isnull=False
        )
        .exclude(submission__status=SubmissionStatus.REJECTED)
        .order_by("-pk")
        .values_list(
            "submission__task_id", "submission__annotator_id", "submission__task__batch_id", "tiers",
            "presented_order",
        )[:NEWEST_RANKINGS]
    )  # fmt: skip
    orders: Orders = defaultdict(dict)
    judgments: dict[int, list[Judgment]] = defaultdict(list)
    batch_of: dict[int, int] = {}
    for task, person, batch, tiers, shown in rows:
        order = {completion: rank for rank, tier in enumerate(tiers, start=1) for completion in tier}
        orders[task][person] = order
        batch_of[task] = batch
        if shown and set(order) <= set(shown):
            # Shown first is place 0: the order shown is the order of the lists.
            ranks = [order.get(completion) for completion in shown]
            judgments[person].append(Judgment(ranks, range(len(shown)), [0] * len(shown)))
    return orders, judgments, batch_of


def _agreement(tasks: list[list[dict[int, int]]]) -> dict[str, Any]:
    aligned = []
    for orders in tasks:
        if len(orders) > 1:
            completions = sorted(set().union(*orders))
            aligned.append([[order.get(completion) for completion in completions] for order in orders])
    found = pairwise_agreement(aligned, resamples=RESAMPLES)
    low, high = found.interval or (None, None)
    return {
        "agreement": found.value,
        "agreement_low": low,
        "agreement_high": high,
        "agreement_pairs": found.size,
    }


def _position(judgments: list[Judgment]) -> dict[str, Any]:
    found = position_bias(judgments)
    return {
        "position": found.value,
        "position_low": found.interval.low if found.pairs else None,
        "position_high": found.interval.high if found.pairs else None,
        "position_pairs": found.pairs,
    }


def _decisions(project: Project) -> Iterable[tuple[int, int, int]]:
    """(batch, decided, accepted) of every batch with submissions."""
    accepted = Q(status=SubmissionStatus.ACCEPTED)
    return (
        Submission.objects.filter(project=project, task__isnull=False)
        .exclude(status=SubmissionStatus.AWAITING_REVIEW)
        .order_by()
        .values_list("task__batch_id")
        .annotate(decided=Count("pk"), accepted=Count("pk", filter=accepted))
    )


def _decisions_by_day(project: Project, now: datetime) -> list[list[int]]:
    """Of the last weeks. Work counts on the day of its last decision, as what it is now."""
    first = (now - timedelta(days=DECISION_DAYS - 1)).replace(hour=0, minute=0, second=0, microsecond=0)
    accepted = Q(status=SubmissionStatus.ACCEPTED)
    rows = (
        Submission.objects.filter(project=project, task__isnull=False, decided_at__gte=first)
        .exclude(status=SubmissionStatus.AWAITING_REVIEW)
        .annotate(day=TruncDate("decided_at", tzinfo=UTC))
        .order_by("day")
        .values_list("day")
        .annotate(decided=Count("pk"), accepted=Count("pk", filter=accepted))
    )
    return [[(day - EPOCH).days, decided, accepted] for day, decided, accepted in rows]


@transaction.atomic
def _store(project: Project, rows: dict[tuple[int | None, int | None], dict[str, Any]], now) -> None:
    """In place of what was there. Worked out of rows that are audited: no audit row of their own."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    Figure.objects.filter(project=project).delete()
    Figure.objects.bulk_create(
        Figure(project=project, batch_id=batch, user_id=person, computed_at=now, **values)
        for (batch, person), values in rows.items()
    )
