"""Read side for leads about tasks: who has them and why, what was skipped, how gold goes. No writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, Count, Exists, F, OuterRef, Q, QuerySet

from . import handout_reasons
from .models import (
    Assignment,
    AssignmentStatus,
    GoldResult,
    Membership,
    MembershipStatus,
    Project,
    Skip,
    SkipReason,
    Submission,
    Task,
    TaskKind,
    TaskPurpose,
    TaskStatus,
)


@dataclass(frozen=True)
class SlotRow:
    """One slot of a task as a lead sees it."""

    assignment: Assignment
    why: str

    @property
    def person(self):
        return self.assignment.annotator or self.assignment.reserved_for

    @property
    def can_be_taken_back(self) -> bool:
        has_person = self.person is not None
        return has_person and self.assignment.status in (
            AssignmentStatus.OPEN,
            AssignmentStatus.LEASED,
            AssignmentStatus.RETURNED,
        )


def slots_of(task: Task) -> list[SlotRow]:
    """The task's slots in order, those that are void last (one query)."""
    rows = task.assignments.select_related("annotator", "reserved_for", "submission").order_by("slot")
    slots = [SlotRow(each, handout_reasons.explain_to_lead(each)) for each in rows]
    return sorted(slots, key=lambda slot: slot.assignment.status == AssignmentStatus.VOID)


def candidates(task: Task) -> QuerySet[Membership]:
    """Members to whom the task can be given."""
    had = Assignment.objects.filter(
        Q(annotator=OuterRef("user")) | Q(reserved_for=OuterRef("user")), task=task
    )
    passed = Skip.objects.filter(task=task, user=OuterRef("user")).exclude(reason=SkipReason.WITHDRAWN)
    wrote = task.task_completions.filter(completion__author=OuterRef("user"))
    active = Membership.objects.filter(
        project=task.project_id, status=MembershipStatus.ACTIVE, user__is_active=True
    )
    return (
        active.filter(~Exists(had), ~Exists(passed), ~Exists(wrote))
        .select_related("user")
        .order_by("user__display_name", "user__username")
    )


def skipped_tasks(project: Project) -> QuerySet[Task]:
    """Open tasks whose skips wait for a lead: parked ones first, then those skipped as unclear or broken."""
    undecided = Skip.objects.filter(task=OuterRef("pk"), reason__in=SkipReason.for_leads()).filter(
        Q(task__skips_settled_at=None) | Q(created_at__gt=F("task__skips_settled_at"))
    )
    rows = project.tasks.filter(status=TaskStatus.OPEN).filter(Q(parked_at__isnull=False) | Exists(undecided))
    return (
        rows.select_related("prompt", "batch")
        .annotate(skip_count=Count("skips", distinct=True))
        .order_by(F("parked_at").asc(nulls_last=True), "pk")
    )


def waits_for_decision(task: Task) -> bool:
    """Whether the skips of this task wait for a lead."""
    return skipped_tasks(task.project).filter(pk=task.pk).exists()


def known_tasks(project: Project) -> QuerySet[Task]:
    """Tasks with a known answer, with how people did on them: results, passed, missed, mean agreement."""
    results = Q(submissions__gold_result__isnull=False)
    return (
        project.tasks.filter(gold_answer__isnull=False)
        .select_related("prompt", "gold_answer", "batch")
        .annotate(
            result_count=Count("submissions", filter=results),
            passed_count=Count("submissions", filter=Q(submissions__gold_result__passed=True)),
            missed_count=Count("submissions", filter=Q(submissions__gold_result__passed=False)),
            mean_agreement=Avg("submissions__gold_result__agreement"),
        )
    )


# A result of a demonstration that a lead still has to score: gold with a least score, and all screening.
WANTS_SCORE = Q(score=None, submission__kind=TaskKind.DEMONSTRATION) & (
    Q(submission__task__purpose=TaskPurpose.SCREENING)
    | Q(submission__task__gold_answer__minimum_score__isnull=False)
)


def unscored(project: Project, user=None) -> QuerySet[GoldResult]:
    """Gold and screening demonstrations that wait for a lead's score, oldest first; not the user's own."""
    rows = GoldResult.objects.filter(WANTS_SCORE, submission__project=project)
    if user is not None:
        rows = rows.exclude(submission__annotator=user)
    return rows.select_related("submission__annotator", "submission__prompt", "submission__task").order_by(
        "pk"
    )


def awaits_score(submission: Submission) -> bool:
    """Whether a lead still has to score it (one query)."""
    return GoldResult.objects.filter(WANTS_SCORE, submission=submission).exists()


def gold_by_person(project: Project, users: Sequence[int]) -> dict[int, tuple[int, int]]:
    """{user id: (passed, decided)} over gold passed or missed; who has none is left out (one query)."""
    rows = (
        GoldResult.objects.filter(
            submission__project=project,
            submission__annotator__in=users,
            submission__task__purpose=TaskPurpose.GOLD,
            passed__isnull=False,
        )
        .order_by()
        .values_list("submission__annotator")
        .annotate(passes=Count("pk", filter=Q(passed=True)), seen=Count("pk"))
    )
    return {user: (passes, seen) for user, passes, seen in rows}


def gold_figures(project: Project, user) -> dict[str, Any]:
    """How one person does on gold, and agrees with themselves on repeats (two queries).

    {"done", "passes", "misses", "mean_agreement", "mean_flags", "repeats", "self_agreement"}; shares are None
    without a result.
    """
    mine = GoldResult.objects.filter(submission__project=project, submission__annotator=user)
    gold = mine.filter(submission__task__purpose=TaskPurpose.GOLD).aggregate(
        done=Count("pk"),
        passes=Count("pk", filter=Q(passed=True)),
        misses=Count("pk", filter=Q(passed=False)),
        mean_agreement=Avg("agreement"),
        mean_flags=Avg("flag_agreement"),
    )
    repeats = mine.filter(submission__task__purpose=TaskPurpose.REPEAT).aggregate(
        repeats=Count("pk"), self_agreement=Avg("agreement")
    )
    return {**gold, **repeats}


def skips_by_reason(project: Project, user) -> list[dict[str, Any]]:
    """How often one person passed on a task, by reason, most often first; what leads took back left out."""
    rows = (
        Skip.objects.filter(task__project=project, user=user)
        .exclude(reason=SkipReason.WITHDRAWN)
        .order_by()
        .values("reason")
        .annotate(count=Count("pk"))
        .order_by("-count", "reason")
    )
    return [{"label": SkipReason(row["reason"]).label, **row} for row in rows]


def tasks_with_counts(*, project: Project) -> QuerySet[Task]:
    """The project's tasks with submission_count and skip_count."""
    return with_counts(project.tasks.all()).order_by("id")


def with_counts(tasks: QuerySet[Task]) -> QuerySet[Task]:
    return tasks.annotate(
        submission_count=Count("submissions", distinct=True), skip_count=Count("skips", distinct=True)
    )
