"""Read side of the ledger: whose time, on which days, for what, and what it is paid.

Days are each person's own (their time zone when the work ended). Sums come from LedgerDay; the entries behind
them from LedgerEntry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet, Sum
from django.utils import timezone

from annotate.accounts.models import User

from .models import REVIEW_WORK, LedgerDay, LedgerEntry, Project, Rate, work_label
from .pay import DayOfWork, Line, PayRate, RateBook, totals


def today_of(user, now: datetime | None = None) -> date:
    """The calendar day it is where the person lives."""
    return (now or timezone.now()).astimezone(ZoneInfo(user.timezone)).date()


def active_seconds_today(*, user, project: Project | None = None) -> int:
    """Active seconds of the person's day so far, in one project or in all of them. One query, for caps."""
    days = LedgerDay.objects.filter(user=user, day=today_of(user))
    if project is not None:
        days = days.filter(project=project)
    return days.aggregate(total=Sum("seconds"))["total"] or 0


def today_and_week(*, user, project: Project) -> dict[str, int]:
    """{"seconds", "pieces", "week_seconds"}: today, and since Monday, where the person lives."""
    today = today_of(user)
    monday = today - timedelta(days=today.weekday())
    found = {"seconds": 0, "pieces": 0, "week_seconds": 0}
    rows = LedgerDay.objects.filter(project=project, user=user, day__gte=monday)
    for day, work, seconds, pieces in rows.values_list("day", "work", "seconds", "pieces"):
        found["week_seconds"] += seconds
        if day == today:
            found["seconds"] += seconds
            found["pieces"] += pieces if work != REVIEW_WORK else 0
    return found


def all_seconds(*, user, project: Project) -> int:
    """All active seconds of the person in the project."""
    days = LedgerDay.objects.filter(project=project, user=user)
    return days.aggregate(total=Sum("seconds"))["total"] or 0


def rate_book(project: Project) -> RateBook:
    rows = Rate.objects.filter(project=project).order_by("valid_from", "pk")
    fields = ("work", "user_id", "unit", "amount", "currency", "valid_from")
    return RateBook(PayRate(*row) for row in rows.values_list(*fields))


@dataclass(frozen=True)
class Period:
    """Whole days, both ends included."""

    first: date
    last: date

    @classmethod
    def month_of(cls, day: date) -> Period:
        first = day.replace(day=1)
        following = (first + timedelta(days=32)).replace(day=1)
        return cls(first, following - timedelta(days=1))

    @property
    def before(self) -> Period:
        """As long a period that ends where this one begins: the month before for a month."""
        if self == Period.month_of(self.first):
            return Period.month_of(self.first - timedelta(days=1))
        days = (self.last - self.first).days + 1
        return Period(self.first - timedelta(days=days), self.first - timedelta(days=1))

    @property
    def after(self) -> Period:
        if self == Period.month_of(self.first):
            return Period.month_of(self.last + timedelta(days=1))
        days = (self.last - self.first).days + 1
        return Period(self.last + timedelta(days=1), self.last + timedelta(days=days))


def days_of_work(
    *, project: Project, period: Period, user_id: int | None = None, work: str = ""
) -> list[DayOfWork]:
    """A row per person, day and kind of work that has time or pieces, newest day first. One query."""
    rows = LedgerDay.objects.filter(project=project, day__range=(period.first, period.last))
    if user_id is not None:
        rows = rows.filter(user=user_id)
    if work:
        rows = rows.filter(work=work)
    sums = (
        rows.order_by("-day", "user_id", "work")
        .values_list("user_id", "day", "work")
        .annotate(total_seconds=Sum("seconds"), total_pieces=Sum("pieces"))
    )
    return [DayOfWork(*row) for row in sums if row[3] or row[4]]


def day_lines(*, project: Project, period: Period, user_id: int | None = None, work: str = "") -> list[Line]:
    """The same with its price. Two queries."""
    book = rate_book(project)
    return [
        book.price(day) for day in days_of_work(project=project, period=period, user_id=user_id, work=work)
    ]


@dataclass
class PayRow:
    """What one person did of one kind at one rate in a period; `amount` is the sum of its days."""

    user: User
    work: str
    rate: PayRate | None
    days: int = 0
    seconds: int = 0
    pieces: int = 0
    amount: Decimal | None = None

    @property
    def work_label(self) -> str:
        return work_label(self.work)

    @property
    def hours(self) -> Decimal:
        """To four places: a figure for reading; amounts come from the seconds."""
        return (Decimal(self.seconds) / 3600).quantize(Decimal("0.0001"))


@dataclass
class Payroll:
    period: Period
    rows: list[PayRow]
    totals: dict[str, Decimal]  # by currency
    seconds: int
    pieces: int

    @property
    def unpriced(self) -> list[PayRow]:
        return [row for row in self.rows if row.rate is None]


def payroll(*, project: Project, period: Period, user_id: int | None = None, work: str = "") -> Payroll:
    """A row per person, kind of work and rate, by name. Three queries, whatever the number of people."""
    lines = day_lines(project=project, period=period, user_id=user_id, work=work)
    return _payroll(period, lines)


def _payroll(period: Period, lines: Iterable[Line]) -> Payroll:
    lines = list(lines)
    users = User.objects.in_bulk({line.work.user_id for line in lines})
    rows: dict[Any, PayRow] = {}
    for line in lines:
        key = (line.work.user_id, line.work.work, line.rate)
        row = rows.setdefault(key, PayRow(users[line.work.user_id], line.work.work, line.rate))
        row.days += 1
        row.seconds += line.work.seconds
        row.pieces += line.work.pieces
        if line.amount is not None:
            row.amount = (row.amount or Decimal(0)) + line.amount
    ordered = sorted(
        rows.values(),
        key=lambda row: (
            row.user.name.casefold(), row.user.pk, row.work, row.rate.valid_from if row.rate else date.min,
        ),
    )  # fmt: skip
    return Payroll(
        period=period,
        rows=ordered,
        totals=totals(lines),
        seconds=sum(line.work.seconds for line in lines),
        pieces=sum(line.work.pieces for line in lines),
    )


def entries(*, project: Project, user_id: int | None = None) -> QuerySet[LedgerEntry]:
    """The entries behind the sums, newest first."""
    rows = LedgerEntry.objects.filter(project=project).select_related("user", "created_by", "submission")
    if user_id is not None:
        rows = rows.filter(user=user_id)
    return rows.order_by("-id")


def as_period(first: date | None, last: date | None, today: date) -> Period:
    """The period somebody asked for; a month where nothing or half of it was said, and never backwards."""
    if first is None and last is None:
        return Period.month_of(today)
    if first is None or last is None:
        return Period.month_of(first or last or today)
    return Period(min(first, last), max(first, last))
