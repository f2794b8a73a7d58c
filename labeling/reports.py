"""Read side for leads: how far the work is, what waits for a decision, who did what. Numbers only; no
writes.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import ngettext

from annotate.words import _

from . import queues
from .models import (
    Appeal,
    Assignment,
    AssignmentStatus,
    Batch,
    Project,
    QualityReport,
    SubmissionStatus,
    TaskKind,
)
from .task_reports import skipped_tasks, unscored
from .unmended import unmended


@dataclass(frozen=True)
class KindProgress:
    """How far the work of one task kind is, in slots (one person's judgment of one task)."""

    kind: str
    label: str
    slots: int
    open: int
    in_work: int
    submitted: int
    awaiting_review: int
    returned: int
    accepted: int
    rejected: int

    @property
    def fraction(self) -> float:
        return self.submitted / self.slots if self.slots else 0.0


def progress_by_kind(project: Project) -> list[KindProgress]:
    """One entry per task kind, also for kinds without any task. Two queries."""
    slots = (
        Assignment.objects.filter(project=project)
        .live()
        .values("kind")
        .annotate(
            slots=Count("id"),
            open=Count("id", filter=Q(status=AssignmentStatus.OPEN)),
            in_work=Count("id", filter=Q(status=AssignmentStatus.LEASED)),
            returned=Count("id", filter=Q(status=AssignmentStatus.RETURNED)),
            submitted=Count("id", filter=Q(status=AssignmentStatus.SUBMITTED)),
        )
    )
    decisions = (
        project.submissions.filter(import_record=None)
        .values("kind")
        .annotate(
            awaiting_review=Count("id", filter=Q(status=SubmissionStatus.AWAITING_REVIEW)),
            accepted=Count("id", filter=Q(status=SubmissionStatus.ACCEPTED)),
            rejected=Count("id", filter=Q(status=SubmissionStatus.REJECTED)),
        )
    )
    by_kind: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in [*slots.order_by(), *decisions.order_by()]:
        by_kind[row.pop("kind")].update(row)
    names = [name for name in KindProgress.__dataclass_fields__ if name not in ("kind", "label")]
    return [
        KindProgress(kind=kind, label=label, **{name: by_kind[kind][name] for name in names})
        for kind, label in TaskKind.choices
    ]


def with_progress(batches: QuerySet[Batch]) -> QuerySet[Batch]:
    """Batches with slot_count, submitted_count and in_work_count, in the same query; counted for those only
    that are read.
    """
    slots = Assignment.objects.filter(batch=OuterRef("pk")).order_by()

    def count(rows: QuerySet[Assignment]) -> Coalesce:
        # Rows, not keys: keys are not in the index on (batch, status).
        counted = rows.values("batch").annotate(n=Count("*")).values("n")
        return Coalesce(Subquery(counted, output_field=IntegerField()), 0)

    return batches.annotate(
        slot_count=count(slots.live()),
        submitted_count=count(slots.filter(status=AssignmentStatus.SUBMITTED)),
        in_work_count=count(slots.filter(status__in=[AssignmentStatus.LEASED, AssignmentStatus.RETURNED])),
    )


def stored_agreement(project: Project, measure: str = "pairwise_agreement") -> dict[str, Any]:
    """A headline measure of the stored quality report: {"value", "low", "high", "size", "as_of"}, value and
    times None before there is one. One query.

    measure: "pairwise_agreement" (a tie of one person is half), or one of its other rules, as the report
    names them.
    """
    found = QualityReport.objects.filter(project=project).values_list(f"body__agreement__{measure}", "as_of")
    estimate, as_of = found.first() or (None, None)
    return {"value": None, "low": None, "high": None, "size": 0, **(estimate or {}), "as_of": as_of}


def waiting_decisions(project: Project, user) -> list[dict[str, Any]]:
    """What needs a lead now, most pressing first: [{"count", "text", "route", "query"}]."""
    drafts = sum(1 for guideline in project.guidelines.all() if _has_unpublished_draft(guideline))
    review, appeals, late, skipped, gold = (
        project.submissions.reviewable_by(user).count(),
        Appeal.objects.open().filter(project=project).exclude(author=user).count(),
        queues.late_drafts(project=project).order_by().count(),
        skipped_tasks(project).order_by().count(),
        unscored(project).order_by().count(),
    )
    candidates: list[tuple[int, str, str]] = [
        (
            review,
            ngettext("submission awaits review", "submissions await review", review),
            "labeling:review_queue",
        ),
        (
            appeals,
            ngettext("appeal waits for an answer", "appeals wait for an answer", appeals),
            "labeling:appeals",
        ),
        _left_returned(project, user),
        (
            late,
            ngettext(
                "submission came after its slot was taken",
                "submissions came after their slot was taken",
                late,
            ),
            "labeling:review_queue",
        ),
        (
            skipped,
            ngettext("skipped task waits for a decision", "skipped tasks wait for a decision", skipped),
            "labeling:tasks_skipped",
        ),
        (
            gold,
            ngettext(
                "gold or screening answer waits for a score",
                "gold or screening answers wait for a score",
                gold,
            ),
            "labeling:gold",
        ),
        (
            drafts,
            ngettext(
                "guideline draft is not published yet", "guideline drafts are not published yet", drafts
            ),
            "labeling:guidelines",
        ),
    ]
    return [_decision(*each) for each in candidates if each[0]]


def _left_returned(project: Project, user) -> tuple[int, str, str]:
    left = unmended(project).exclude(annotator=user).count()
    text = ngettext(
        "returned submission is mended by nobody", "returned submissions are mended by nobody", left
    )
    return left, text, "labeling:review_queue?reason=not_mended"


def _decision(count: int, text: str, address: str) -> dict[str, Any]:
    route, mark, query = address.partition("?")
    return {"count": count, "text": text, "route": route, "query": mark + query}


def _has_unpublished_draft(guideline) -> bool:
    current = guideline.current
    return bool(guideline.draft_markdown.strip()) and (
        current is None or current.markdown != guideline.draft_markdown.strip()
    )


def first_steps(project: Project) -> list[dict[str, Any]]:
    """What a new project still needs before people can work: [{"done", "text", "route", "action"}]."""
    published = project.guidelines.filter(versions__isnull=False).exists()
    return [
        {
            "done": published,
            "text": _("Publish a guideline, so that people know what good work is"),
            "route": "labeling:guidelines",
        },
        {
            "done": project.prompts.written().exists(),
            "text": _("Import prompts"),
            "route": "labeling:prompts",
        },
        {"done": project.batches.exists(), "text": _("Make a batch of tasks"), "route": "labeling:batches"},
        {
            "done": project.memberships.exclude(role="admin").exists(),
            "text": _("Invite annotators and a lead"),
            "route": "labeling:people",
        },
    ]
