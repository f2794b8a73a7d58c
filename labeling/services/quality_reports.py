"""The quality report of a project: computed in the background, stored whole, shown with its time.

Anybody may compute it at any time; the row's fence decides who stores. It is a cache of what the judgments
say, so nothing is lost when a worker dies: the next sweep takes it up.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q
from django.utils import timezone

from annotate.doorbell import ring
from annotate.quoted_rows import plain_cause
from labeling import quality_rows
from labeling.models import AuditEvent, Project, QualityReport, Submission, TaskAgreement
from labeling.quality.agreement_report import (
    Comparisons,
    TaskRow,
    by_cut,
    by_task,
    disagreements,
    headline,
)
from labeling.quality.meters_report import meters_report
from labeling.quality.ratings_by_cut import add_ratings
from labeling.quality.ratings_report import ratings_report

from .activity import record_event
from .figures import decisions_of, store_figures

log = structlog.get_logger(__name__)

LAYOUT = 4  # raise it when the body's shape or a definition changes: every report is then computed anew
LOST_AFTER = timedelta(minutes=15)  # a claim older than this belongs to a worker that died
LEAST_PAUSE = timedelta(minutes=1)
REST = 10  # it is computed at most a tenth of the time
SETTLED_AFTER = timedelta(
    seconds=30
)  # an older audit event can have no younger brother that is not yet visible
DAILY = timedelta(days=1)
BATCH = 2_000
AT_ONCE = 2_000  # submissions up to which whoever asks waits for the report


@dataclass(frozen=True)
class _Found:
    """What one computation says."""

    body: dict[str, Any]
    tasks: dict[int, TaskRow]


def request_report(*, project: Project, acting_user) -> QualityReport:
    """Have the report computed anew: at once where the project is small, else by a worker, soon."""
    with transaction.atomic():
        report, _ = QualityReport.objects.get_or_create(project=project)
        QualityReport.objects.filter(pk=report.pk).update(requested_at=timezone.now())
        record_event(action="quality.requested", actor=acting_user, obj=report, project=project)
    if project.submissions.count() <= AT_ONCE:
        refresh_report(project=project)
    else:
        ring("labeling.tasks.refresh_quality", project.pk)
    report.refresh_from_db()
    return report


def refresh_report(*, project: Project) -> QualityReport | None:
    """Compute and store the report. None where somebody else is computing it, or was faster.

    1. claim 2. read and compute, outside any transaction 3. store if the claim is still ours.
    """
    report, _ = QualityReport.objects.get_or_create(project=project)
    fence = _claim(report)
    if fence is None:
        return None
    started, as_of = time.monotonic(), timezone.now()
    cursor = _settled_event(project, as_of)
    try:
        found = _compute(project)
        return _store(report, fence, found, as_of, cursor, time.monotonic() - started)
    except Exception as error:
        mine = QualityReport.objects.filter(pk=report.pk, fence=fence)
        mine.update(
            claimed_at=None,
            error=f"{type(error).__name__}: {plain_cause(error)}"[:300],
            next_at=as_of + DAILY / 24,
        )
        raise


def _claim(report: QualityReport) -> int | None:
    """This worker's fence, or None where somebody else computes. Number of changed rows decides."""
    now = timezone.now()
    fence = report.fence + 1
    free = Q(claimed_at=None) | Q(claimed_at__lt=now - LOST_AFTER)
    claimed = QualityReport.objects.filter(free, pk=report.pk, fence=report.fence).update(
        claimed_at=now, fence=fence
    )
    return fence if claimed == 1 else None


def _settled_event(project: Project, now: datetime) -> int:
    """The newest audit event before which none is still uncommitted."""
    settled = project.audit_events.filter(created_at__lt=now - SETTLED_AFTER).order_by()
    return settled.aggregate(last=Max("id"))["last"] or 0


def _compute(project: Project) -> _Found:
    ranked, demonstrated = quality_rows.rankings_of(project), quality_rows.demonstrations_of(project)
    # What a test says is of the person: it counts in the meters and nowhere else.
    rankings = [each for each in ranked if not each.is_test]
    demonstrations = [each for each in demonstrated if not each.is_test]
    comparisons = Comparisons(rankings)
    tasks = by_task(comparisons)
    vocabulary = quality_rows.vocabulary(project)
    by = by_cut(comparisons)
    add_ratings(by, comparisons, vocabulary)
    body = {
        "counts": {
            "rankings": len(rankings),
            "demonstrations": len(demonstrations),
            "people": len({each.person for each in rankings} | {each.person for each in demonstrations}),
        },
        "agreement": headline(comparisons),
        "ratings": ratings_report(rankings, demonstrations, vocabulary),
        "by": by,
        "disagreements": disagreements(comparisons, tasks),
        "meters": meters_report(ranked, demonstrated),
        "decisions": decisions_of(project, timezone.now()),
    }
    return _Found(body, tasks)


@transaction.atomic
def _store(
    report: QualityReport, fence: int, found: _Found, as_of: datetime, cursor: int, seconds: float
) -> QualityReport | None:
    pause = max(LEAST_PAUSE, timedelta(seconds=seconds * REST))
    mine = QualityReport.objects.filter(pk=report.pk, fence=fence)
    stored = mine.update(
        body=found.body,
        layout=LAYOUT,
        as_of=as_of,
        cursor=cursor,
        seconds=seconds,
        next_at=timezone.now() + pause,
        claimed_at=None,
        error="",
    )
    if stored != 1:
        return None
    # Asked for while it was being computed: it is asked for still.
    mine.filter(requested_at__lt=as_of).update(requested_at=None)
    _store_tasks(report.project_id, found.tasks)
    store_figures(project=report.project, body=found.body, as_of=as_of)
    report.refresh_from_db()
    return report


def _store_tasks(project_id: int, tasks: dict[int, TaskRow]) -> None:
    """Only rows that changed are written."""
    fields = ("people", "comparisons", "value", "flags")
    stored = {
        row[0]: row[1:] for row in TaskAgreement.objects.filter(project=project_id).values_list("pk", *fields)
    }
    wanted = {
        task: (row.people, row.comparisons, row.value, _between_bars(row.flags))
        for task, row in tasks.items()
    }
    gone = [task for task in stored if task not in wanted]
    for start in range(0, len(gone), BATCH):
        TaskAgreement.objects.filter(pk__in=gone[start : start + BATCH]).delete()
    changed = [
        TaskAgreement(task_id=task, project_id=project_id, **dict(zip(fields, row, strict=True)))
        for task, row in wanted.items()
        if stored.get(task) != row
    ]
    TaskAgreement.objects.bulk_create(
        changed,
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["task"],
        update_fields=fields,
    )


def _between_bars(flags: Sequence[str]) -> str:
    return f"|{'|'.join(flags)}|" if flags else ""


def due_reports() -> list[Project]:
    """Projects whose report is asked for, missing, or behind their judgments. Two queries."""
    now = timezone.now()
    news = AuditEvent.objects.filter(
        project=OuterRef("project"), pk__gt=OuterRef("cursor"), object_type="submission"
    )
    rested = Q(next_at=None) | Q(next_at__lte=now)
    behind = rested & (Q(Exists(news)) | Q(as_of__lt=now - DAILY) | ~Q(layout=LAYOUT))
    free = Q(claimed_at=None) | Q(claimed_at__lt=now - LOST_AFTER)
    due = QualityReport.objects.filter(free, Q(requested_at__isnull=False) | behind)
    rows = due.filter(project__archived_at=None).select_related("project")
    judged = Submission.objects.filter(project=OuterRef("pk"), task__isnull=False)
    missing = Project.objects.active().filter(Exists(judged), quality_report=None)
    return [*(report.project for report in rows), *missing]


def refresh_due() -> int:
    """Compute what is due; how many reports were stored. One that breaks keeps no other waiting."""
    done = 0
    for project in due_reports():
        try:
            done += refresh_report(project=project) is not None
        except Exception:  # noqa: BLE001 - logged, and the row says so to leads
            log.exception("quality_report_failed", project=project.pk)
    return done
