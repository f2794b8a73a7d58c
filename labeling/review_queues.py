"""Read side of the review room: the queue by reason, sorted and narrowed, and what comes after a piece.

All of it is answered from partial indexes over what waits; a test pins the number of queries, and
docs/decisions/0012 has the figures at 100,000 submissions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, When
from django.db.models.functions import Now
from django.db.models.lookups import Exact, GreaterThan, IsNull

from annotate.accounts.models import User
from annotate.forms import whole_number
from annotate.words import _

from . import queues, task_reports
from .models import (
    Appeal,
    GoldResult,
    Project,
    Prompt,
    Review,
    ReviewReason,
    Submission,
    SubmissionStatus,
    Task,
    TaskKind,
)
from .unmended import unmended

# Values of "reason" that are queues of their own: no status says so.
MODEL_DISAGREES, APPEALED = ReviewReason.MODEL_DISAGREES, ReviewReason.APPEALED
GOLD_UNSCORED, NOT_MENDED = ReviewReason.GOLD_UNSCORED, ReviewReason.NOT_MENDED
# For tabs and lists; the reasons' own words are on the pieces.
SHORT_REASONS = {
    ReviewReason.APPEALED: _("Appeals"),
    ReviewReason.SAMPLED: _("Sampled"),
    ReviewReason.LOW_AGREEMENT: _("Low agreement"),
    ReviewReason.FLAGGED: _("Flagged"),
    ReviewReason.NEW_PERSON: _("New person"),
    ReviewReason.MODEL_DISAGREES: _("Model disagrees"),
    ReviewReason.RESUBMITTED: _("Resubmitted"),
    ReviewReason.NOT_MENDED: _("Nobody mends it"),
    ReviewReason.LATE: _("Late"),
    ReviewReason.REOPENED: _("Reopened"),
    ReviewReason.GOLD_UNSCORED: _("Gold, not yet scored"),
    ReviewReason.GOLD_MISSED: _("Gold missed"),
}
# Reasons that other rooms bring in get a tab by their own words.
SHORT_REASONS |= {reason: reason.label for reason in ReviewReason if reason not in SHORT_REASONS}


@dataclass(frozen=True)
class Sort:
    """One order of the queue: a column (nulls last) and then age, forwards or backwards."""

    label: str
    column: str = ""
    is_newest_first: bool = False

    @property
    def order(self) -> list:
        age = "-pk" if self.is_newest_first else "pk"
        return [self.expression.asc(nulls_last=True), age] if self.column else [age]

    @property
    def expression(self) -> Any:
        return F(self.column)

    def value_of(self, submission: Submission) -> Any:
        return getattr(submission, self.column)

    def after(self, submission: Submission) -> Q:
        """Everything that this order puts behind a submission."""
        later = Q(pk__lt=submission.pk) if self.is_newest_first else Q(pk__gt=submission.pk)
        if not self.column:
            return later
        value = self.value_of(submission)
        if value is None:
            return Q(IsNull(self.expression, True)) & later
        same = Q(Exact(self.expression, value)) & later
        return same | Q(GreaterThan(self.expression, value)) | Q(IsNull(self.expression, True))


class ByPerson(Sort):
    """Last comes what waits for a score: the list hides whose it is, and its place may not tell."""

    @property
    def expression(self) -> Any:
        return Case(When(review_reason=GOLD_UNSCORED, then=None), default=F(self.column))

    def value_of(self, submission: Submission) -> Any:
        return None if submission.review_reason == GOLD_UNSCORED else super().value_of(submission)


SORTS = {
    "oldest": Sort(_("Oldest first")),
    "newest": Sort(_("Newest first"), is_newest_first=True),
    "agreement": Sort(_("Lowest agreement first"), "agreement"),
    # People in the order they came, tasks in the order they were made: those of a batch are together, and so
    # are the answers to one task. By name the whole list would be sorted before its first page.
    "person": ByPerson(_("By person"), "annotator_id"),
    "batch": Sort(_("By batch and task"), "task_id"),
}


def sorts(*, project: Project, reason: str, chosen: str) -> dict[str, Sort]:
    """The orders of a list: none by person where nobody's name is told. Where no name is hidden, that order
    is walked in an index (a query, if it is the chosen one).
    """
    if reason == GOLD_UNSCORED:
        return {name: sort for name, sort in SORTS.items() if name != "person"}
    if (
        chosen != "person"
        or project.submissions.awaiting_review().filter(review_reason=GOLD_UNSCORED).exists()
    ):
        return SORTS
    return SORTS | {"person": Sort(SORTS["person"].label, SORTS["person"].column)}


def waiting(*, project: Project, reviewer, reason: str = "") -> QuerySet[Submission]:
    """What waits for this reviewer for a reason, or for any; oldest first.

    “Model disagrees” is apart: most of it counts already, and waits for nothing but a look. So is “Gold, not
    yet scored”: it holds screening too, which needs no decision. And so is what nobody mends: it is returned
    still, and its author may come back to it.
    """
    if reason == NOT_MENDED:
        return unmended(project).exclude(annotator=reviewer).order_by("pk")
    if reason == GOLD_UNSCORED:
        wanted = task_reports.unscored(project, reviewer).order_by().values("submission")
        return project.submissions.filter(pk__in=wanted).order_by("pk")
    if reason == MODEL_DISAGREES:
        shown = project.submissions.filter(conflict_open=True).exclude(annotator=reviewer)
        return shown.exclude(queues.own_fix(reviewer)).order_by("pk")
    rows = queues.review_queue(project=project, reviewer=reviewer)
    return rows.filter(review_reason=reason) if reason else rows


def counts_by_reason(*, project: Project, reviewer) -> dict[str, int]:
    """{reason: how many wait}, with "" for all that wait for a decision (five queries)."""
    rows = waiting(project=project, reviewer=reviewer).order_by().values_list("review_reason")
    counts: dict[str, int] = dict(rows.annotate(n=Count("id")))
    counts[""] = sum(counts.values())
    counts[MODEL_DISAGREES] = waiting(project=project, reviewer=reviewer, reason=MODEL_DISAGREES).count()
    counts[GOLD_UNSCORED] = task_reports.unscored(project, reviewer).order_by().count()
    counts[NOT_MENDED] = waiting(project=project, reviewer=reviewer, reason=NOT_MENDED).count()
    counts[APPEALED] = Appeal.objects.open().filter(project=project).exclude(author=reviewer).count()
    return counts


def search(rows: QuerySet[Submission], text: str, *, project: Project) -> QuerySet[Submission]:
    """By prompt or person. Each is looked up once, rather than beside every row; but what awaits a score is
    not found by its person (of_person).
    """
    people = User.objects.filter(Q(display_name__icontains=text) | Q(username__icontains=text))
    prompts = Prompt.objects.filter(project=project, preview__icontains=text)
    by_person = Q(annotator__in=people.values("pk")) & ~Q(pk__in=_awaiting_score(project))
    return rows.filter(by_person | Q(prompt__in=prompts.values("pk")))


def _awaiting_score(project: Project) -> QuerySet:
    """Keys of the submissions that a lead still has to score."""
    return task_reports.unscored(project).order_by().values("submission")


def of_batch(rows: QuerySet[Submission], batch: int) -> QuerySet[Submission]:
    """By its tasks, which an index on what waits looks up: a join would start at all that waits."""
    return rows.filter(task__in=Task.objects.filter(batch=batch).values("pk"))


def of_person(rows: QuerySet[Submission], person: int) -> QuerySet[Submission]:
    """What awaits a score is left out: the list hides whose it is, and the filter may not tell."""
    awaiting = GoldResult.objects.filter(task_reports.WANTS_SCORE, submission=OuterRef("pk"))
    return rows.filter(~Exists(awaiting), annotator=person)


NARROWING: dict[str, Callable[[QuerySet, str], QuerySet]] = {
    "kind": lambda rows, value: rows.filter(kind=value) if value in TaskKind.values else rows,
    "batch": lambda rows, value: of_batch(rows, number) if (number := whole_number(value)) else rows,
    "person": lambda rows, value: of_person(rows, number) if (number := whole_number(value)) else rows,
}
KEPT = ("reason", *NARROWING, "q", "sort")  # of the address, from piece to piece


def next_after(
    *, project: Project, reviewer, chosen: Mapping[str, str], after: Submission | None = None
) -> int | None:
    """The piece that follows in the order and within the filters of the list; those passed over come round
    again. None where nothing is left.
    """
    reason = chosen.get("reason", "")
    rows = waiting(project=project, reviewer=reviewer, reason=reason if reason in ReviewReason.values else "")
    for name, apply in NARROWING.items():
        if value := chosen.get(name, "").replace("\x00", "").strip():
            rows = apply(rows, value)
    if text := chosen.get("q", "").replace("\x00", "").strip():
        rows = search(rows, text, project=project)
    offered = sorts(project=project, reason=reason, chosen=chosen.get("sort", ""))
    sort = offered.get(chosen.get("sort", ""), offered["oldest"])
    ids = rows.order_by(*sort.order).values_list("pk", flat=True)
    if after is None:
        return ids.first()
    following = ids.filter(sort.after(after)).exclude(pk=after.pk).first()
    return following if following is not None else ids.exclude(pk=after.pk).first()


def last_decision(*, project: Project, reviewer, minutes: int) -> Review | None:
    """This reviewer's last decision here if it is fresh enough to be taken back, with its submission."""
    recent = Review.objects.filter(
        reviewer=reviewer,
        submission__project=project,
        created_at__gte=Now() - timedelta(minutes=minutes),
    ).exclude(queue_reason=APPEALED)
    review = recent.select_related("submission__prompt").order_by("-pk").first()
    return review if review is not None and review.reopened_at is None else None


def own_waiting(*, project: Project, person) -> int:
    """How many of a person's own pieces wait for somebody else's decision."""
    rows = project.submissions.filter(status=SubmissionStatus.AWAITING_REVIEW, annotator=person)
    return rows.count()
