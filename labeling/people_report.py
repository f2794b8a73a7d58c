"""Read side of the people page: what each member did, how fast, how well; every number for a page at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple

from django.db.models import (
    Count,
    Exists,
    ExpressionWrapper,
    F,
    FloatField,
    OrderBy,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
)  # fmt: skip
from django.db.models.functions import Cast, NullIf

from annotate.words import _

from . import task_reports
from .acceptance import AS_IT_WAS, REVIEWED, Acceptance
from .models import (
    REVIEW_WORK,
    Figure,
    LedgerDay,
    Membership,
    Project,
    Skip,
    SkipReason,
    Submission,
    Task,
    TaskKind,
)
from .timesheet import today_of

TREND_DAYS = 14


class GoldFigure(NamedTuple):
    """How somebody did on gold: of the answers held against what is known, or scored by a lead."""

    passed: int
    seen: int


@dataclass
class PersonFigures:
    """One row of the people page."""

    member: Membership
    pieces: dict[str, int] = field(default_factory=dict)  # by kind of task
    by_status: dict[str, int] = field(default_factory=dict)
    review: Acceptance = field(default_factory=Acceptance)
    seconds: int = 0  # of labeling
    review_seconds: int = 0
    reviews: int = 0
    today_seconds: int = 0
    week_seconds: int = 0
    trend: list[int] = field(default_factory=list)  # pieces a day, oldest first
    skips: dict[str, int] = field(default_factory=dict)  # by reason
    figure: Figure | None = None
    gold: GoldFigure | None = None

    @property
    def piece_count(self) -> int:
        return sum(self.pieces.values())

    @property
    def acceptance(self) -> float | None:
        return self.review.share

    @property
    def pace(self) -> float | None:
        """Pieces an active hour of labeling."""
        return self.piece_count * 3600 / self.seconds if self.seconds > 0 else None

    @property
    def skip_count(self) -> int:
        return sum(self.skips.values())

    @property
    def skip_reasons(self) -> list[tuple[str, str, int]]:
        """(reason, its words, how often), the most frequent first."""
        counted = sorted(self.skips.items(), key=lambda each: (-each[1], each[0]))
        return [(reason, SkipReason(reason).label, count) for reason, count in counted]


def members_of(project: Project) -> QuerySet[Membership]:
    return project.memberships.select_related("user")


def search_members(rows: QuerySet[Membership], text: str) -> QuerySet[Membership]:
    names = ("display_name", "username", "email", "pseudonym", "first_name", "last_name")
    found = Q()
    for name in names:
        found |= Q(**{f"user__{name}__icontains": text})
    return rows.filter(found)


def narrow_activity(rows: QuerySet[Membership], value: str) -> QuerySet[Membership]:
    """ "worked": has an entry in the last week; "idle": has none."""
    recent = LedgerDay.objects.filter(
        project=OuterRef("project"), user=OuterRef("user"), day__gt=date.today() - timedelta(days=7)
    )
    return rows.filter(Exists(recent) if value == "worked" else ~Exists(recent))


def sort_orders(project: Project) -> dict[str, tuple[str, Any]]:
    """Orders of the people page. Each is worked out only when it is asked for."""
    days = LedgerDay.objects.filter(project=project, user=OuterRef("user")).order_by()
    labeling = days.exclude(work=REVIEW_WORK)
    week = days.filter(day__gt=date.today() - timedelta(days=7))
    submissions = Submission.objects.filter(project=project, annotator=OuterRef("user")).order_by()
    reviewed = submissions.filter(REVIEWED)
    accepted = Count("pk", filter=AS_IT_WAS)
    figure = Figure.objects.filter(project=project, user=OuterRef("user"))
    name = ("user__display_name", "user__username")
    return {
        "name": (_("Name"), name),
        "role": (_("Role"), ("status", "role", *name)),
        "pieces": (_("Most pieces"), _most(_one(submissions, Count("pk"), group="annotator"))),
        "acceptance": (
            _("Highest acceptance"),
            _most(_one(reviewed, _ratio(accepted, Count("pk")), group="annotator")),
        ),
        "acceptance_low": (
            _("Lowest acceptance"),
            _least(_one(reviewed, _ratio(accepted, Count("pk")), group="annotator")),
        ),
        "pace": (_("Fastest"), _most(_one(labeling, _ratio(Sum("pieces"), Sum("seconds"))))),
        "agreement": (_("Highest agreement"), _most(Subquery(figure.values("agreement")[:1]))),
        "agreement_low": (_("Lowest agreement"), _least(Subquery(figure.values("agreement")[:1]))),
        "time": (_("Most active time"), _most(_one(days, Sum("seconds")))),
        "week": (_("Most time in seven days"), _most(_one(week, Sum("seconds")))),
        "last": (_("Last work"), (F("last_active_at").desc(nulls_last=True), "pk")),
    }


def _one(rows: QuerySet, measure: Any, group: str = "user") -> Subquery:
    return Subquery(rows.values(group).annotate(measure=measure).values("measure"))


def _ratio(part: Any, whole: Any) -> ExpressionWrapper:
    return ExpressionWrapper(
        Cast(part, FloatField()) / NullIf(Cast(whole, FloatField()), 0.0), output_field=FloatField()
    )


def _most(measure: Any) -> tuple[Any, str]:
    return (OrderBy(measure, descending=True, nulls_last=True), "pk")


def _least(measure: Any) -> tuple[Any, str]:
    return (OrderBy(measure, nulls_last=True), "pk")


def figures_of(project: Project, members: Sequence[Membership]) -> list[PersonFigures]:
    """The figures of these members, in their order. Six queries."""
    rows = {member.user_id: PersonFigures(member) for member in members}
    ids = list(rows)
    counts = (
        Submission.objects.filter(project=project, annotator__in=ids)
        .order_by()
        .values_list("annotator", "kind", "status", "verdict")
        .annotate(n=Count("pk"))
    )
    for user, kind, status, verdict, n in counts:
        row = rows[user]
        row.pieces[kind] = row.pieces.get(kind, 0) + n
        row.by_status[status] = row.by_status.get(status, 0) + n
        row.review.add(status, verdict, n)
    _add_time(project, rows)
    # From the people to their skips: a join would start at all tasks of the project.
    here = Exists(Task.objects.filter(pk=OuterRef("task"), project=project))
    skips = Skip.objects.filter(here, user__in=ids).order_by()
    for user, reason, n in skips.values_list("user", "reason").annotate(n=Count("pk")):
        rows[user].skips[reason] = n
    for figure in Figure.objects.filter(project=project, user__in=ids):
        rows[figure.user_id].figure = figure  # type: ignore[index]
    for user, (passed, seen) in task_reports.gold_by_person(project, ids).items():
        rows[user].gold = GoldFigure(passed, seen)
    return list(rows.values())


def _add_time(project: Project, rows: dict[int, PersonFigures]) -> None:
    days = LedgerDay.objects.filter(project=project, user__in=list(rows)).order_by()
    sums = days.values_list("user", "work").annotate(seconds_sum=Sum("seconds"), pieces_sum=Sum("pieces"))
    for user, work, seconds, pieces in sums:
        if work == REVIEW_WORK:
            rows[user].review_seconds, rows[user].reviews = seconds, pieces
        else:
            rows[user].seconds += seconds
    today = {user: today_of(row.member.user) for user, row in rows.items()}
    pieces_on: dict[tuple[int, date], int] = defaultdict(int)
    oldest = min(today.values(), default=date.today()) - timedelta(days=TREND_DAYS)
    recent = days.filter(day__gte=oldest).values_list("user", "day", "work", "seconds", "pieces")
    for user, day, work, seconds, pieces in recent:
        monday = today[user] - timedelta(days=today[user].weekday())
        rows[user].today_seconds += seconds if day == today[user] else 0
        rows[user].week_seconds += seconds if day >= monday else 0
        pieces_on[user, day] += pieces if work != REVIEW_WORK else 0
    for user, row in rows.items():
        calendar = (today[user] - timedelta(days=ago) for ago in reversed(range(TREND_DAYS)))
        row.trend = [pieces_on[user, day] for day in calendar]


def kinds() -> list[tuple[str, str]]:
    return list(TaskKind.choices)
