"""Read side of the project's overview: throughput, backlog and when it ends, acceptance, agreement, cost.

Counts come from indexes, time and cost from the ledger's day sums, agreement from the figures worked out
in the background: the page's cost does not grow with the texts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Case, Count, F, IntegerField, Min, Sum, Value, When
from django.utils import timezone
from django.utils.translation import gettext

from .acceptance import AS_IT_WAS, FIXED, Acceptance
from .models import (
    Assignment,
    AssignmentStatus,
    Batch,
    BatchStatus,
    Figure,
    LedgerDay,
    Project,
    SubmissionStatus,
    TaskKind,
)
from .pay import exact_amount, rounded
from .quality import Forecast, days_to_finish
from .timesheet import rate_book

HISTORY_DAYS = 14  # that the expected end is worked out from
CHART_DAYS = 30
LONGEST_FORECAST = 3650  # days; what would take longer has no date
LEFT = (AssignmentStatus.OPEN, AssignmentStatus.LEASED, AssignmentStatus.RETURNED)
Money = dict[str, Decimal]  # by currency


@dataclass
class Progress:
    """How far a batch, or all batches of a kind, is: slots, decisions, cost, and what is to come."""

    slots: dict[str, int] = field(default_factory=dict)  # by status
    cost: Money = field(default_factory=dict)
    cost_at_end: Money = field(default_factory=dict)
    forecast: Forecast | None = None
    figure: Figure | None = None
    review: Acceptance = field(default_factory=Acceptance)

    @property
    def total(self) -> int:
        return sum(n for status, n in self.slots.items() if status != AssignmentStatus.VOID)

    @property
    def submitted(self) -> int:
        return self.slots.get(AssignmentStatus.SUBMITTED, 0)

    @property
    def in_work(self) -> int:
        return self.slots.get(AssignmentStatus.LEASED, 0) + self.slots.get(AssignmentStatus.RETURNED, 0)

    @property
    def left(self) -> int:
        return sum(self.slots.get(status, 0) for status in LEFT)

    @property
    def acceptance(self) -> float | None:
        return self.review.share

    def _day(self, days: float | None) -> date | None:
        if days is None or days > LONGEST_FORECAST:
            return None
        return (timezone.now() + timedelta(days=days)).date()

    @property
    def ends_on(self) -> date | None:
        return self._day(self.forecast.days if self.forecast else None)

    @property
    def ends_between(self) -> tuple[date | None, date | None]:
        if self.forecast is None:
            return None, None
        return self._day(self.forecast.low), self._day(self.forecast.high)


@dataclass
class BatchProgress(Progress):
    batch: Batch = field(default_factory=Batch)


@dataclass
class KindProgress(Progress):
    kind: str = ""
    label: str = ""
    accepted: int = 0  # counts, reviewed or not
    awaiting_review: int = 0


@dataclass
class Dashboard:
    kinds: list[KindProgress]
    batches: list[BatchProgress]  # that are not closed, in the order they are handed out
    cost: Money
    cost_at_end: Money
    figure: Figure | None
    unpriced_seconds: int


def dashboard(project: Project) -> Dashboard:
    """All numbers of the overview. Ten queries, whatever there is in the project."""
    batches = list(project.batches.order_by("-priority", "pk"))
    slots: dict[int, dict[str, int]] = defaultdict(dict)
    # By batch: this walks the index on (batch, status) alone.
    counted = Assignment.objects.filter(batch__in=[batch.pk for batch in batches]).order_by()
    for batch, status, n in counted.values_list("batch", "status").annotate(n=Count("*")):
        slots[batch][status] = n
    decisions = _decisions(project)
    figures = {figure.batch_id: figure for figure in Figure.objects.filter(project=project, user=None)}
    history = _done_a_day(project)
    spent = _costs(project, "batch")
    board = Dashboard([], [], {}, {}, figures.get(None), spent.unpriced_seconds)
    board.kinds = [_kind(kind, label, batches, slots, decisions, history) for kind, label in TaskKind.choices]
    board.batches = list(_batches(batches, slots, figures, history))
    _add_costs(board, batches, spent)
    return board


def _decisions(project: Project) -> dict[str, dict[tuple[str, str], int]]:
    """By kind of task: how many submissions of people are of a state, and of what their review says."""
    found: dict[str, dict[tuple[str, str], int]] = defaultdict(lambda: defaultdict(int))
    # All, in the order of an index, less what was imported: a condition on the person would sort them all.
    submissions = project.submissions.order_by()
    for rows, sign in ((submissions, 1), (submissions.filter(annotator=None), -1)):
        for kind, status, n in rows.values_list("kind", "status").annotate(n=Count("pk")):
            found[kind][status, ""] += sign * n
    # What was reviewed among what counts, apart: so that no more than that is sorted.
    reviewed = submissions.filter(AS_IT_WAS | FIXED, annotator__isnull=False)
    for kind, verdict, n in reviewed.values_list("kind", "verdict").annotate(n=Count("pk")):
        found[kind][SubmissionStatus.ACCEPTED, verdict] += n
        found[kind][SubmissionStatus.ACCEPTED, ""] -= n
    return found


def _kind(kind, label, batches, slots, decisions, history) -> KindProgress:
    row = KindProgress(kind=kind, label=label)
    for batch in batches:
        if batch.kind == kind:
            for status, n in slots[batch.pk].items():
                row.slots[status] = row.slots.get(status, 0) + n
    open_left = sum(
        slots[batch.pk].get(status, 0)
        for batch in batches
        if batch.kind == kind and batch.status != BatchStatus.CLOSED
        for status in LEFT
    )
    for (status, verdict), n in decisions[kind].items():
        row.review.add(status, verdict, n)
        row.accepted += n if status == SubmissionStatus.ACCEPTED else 0
        row.awaiting_review += n if status == SubmissionStatus.AWAITING_REVIEW else 0
    row.forecast = days_to_finish(open_left, history[kind])
    return row


def _batches(batches, slots, figures, history) -> Iterable[BatchProgress]:
    """Batches of a kind are worked off one after the other: each ends when it and those before are done."""
    before: dict[str, int] = defaultdict(int)
    for batch in batches:
        if batch.status == BatchStatus.CLOSED:
            continue
        row = BatchProgress(batch=batch, slots=slots[batch.pk], figure=figures.get(batch.pk))
        if row.figure is not None:
            row.review = Acceptance.of_figure(row.figure)
        if batch.status == BatchStatus.OPEN:
            before[batch.kind] += row.left
            row.forecast = days_to_finish(before[batch.kind] if row.left else 0, history[batch.kind])
        yield row


def _done_a_day(project: Project) -> dict[str, list[int]]:
    """Pieces of each kind on the last whole days, idle ones included, from the first day of work on."""
    today = timezone.now().date()
    first = today - timedelta(days=HISTORY_DAYS)
    days = LedgerDay.objects.filter(project=project).order_by()
    done: dict[str, dict[date, int]] = defaultdict(dict)
    for work, day, pieces in (
        days.filter(day__gte=first, day__lt=today).values_list("work", "day").annotate(n=Sum("pieces"))
    ):
        done[work][day] = pieces
    begun = days.aggregate(first=Min("day"))["first"] or today
    start = max(first, begun)
    calendar = [start + timedelta(days=offset) for offset in range((today - start).days)]
    return defaultdict(
        list, {work: [counts.get(day, 0) for day in calendar] for work, counts in done.items()}
    )


# --- Cost ---------------------------------------------------------------------------------------------------
@dataclass
class Costs:
    """Exact sums (not rounded day by day as pay is: they may differ from a payroll by cents)."""

    money: dict[tuple, Money]
    pieces: dict[tuple, int]
    seconds: dict[tuple, int]
    unpriced_seconds: int = 0


def _costs(project: Project, *by: str, since: date | None = None) -> Costs:
    """What work cost, by these columns of LedgerDay and the kind of work. Two queries.

    Rows are summed up as far as the rates allow: by period between two changes of a rate, and by person only
    where somebody has a rate of their own.
    """
    book = rate_book(project)
    changes = book.changes
    period = Case(
        *(When(day__gte=day, then=Value(n)) for n, day in reversed(list(enumerate(changes)))),
        default=Value(-1),
        output_field=IntegerField(),
    )
    person = Case(
        When(user__in=book.own_rates, then=F("user")), default=Value(0), output_field=IntegerField()
    )
    days = LedgerDay.objects.filter(project=project)
    if since is not None:
        days = days.filter(day__gte=since)
    rows = (
        days.order_by()
        .annotate(period=period, person=person)
        .values_list(*by, "work", "period", "person")
        .annotate(total_seconds=Sum("seconds"), total_pieces=Sum("pieces"))
    )
    costs = Costs(defaultdict(dict), defaultdict(int), defaultdict(int))
    for *group, work, number, who, seconds, pieces in rows:
        key = (*group, work)
        costs.pieces[key] += pieces
        costs.seconds[key] += seconds
        rate = book.rate_for(who or None, work, changes[number]) if number >= 0 else None
        if rate is None:
            costs.unpriced_seconds += seconds
            continue
        add(costs.money[key], {rate.currency: exact_amount(rate, seconds, pieces)})
    return costs


def add(to: Money, money: Money) -> None:
    for currency, amount in money.items():
        to[currency] = to.get(currency, Decimal(0)) + amount


def _rounded(money: Money) -> Money:
    return {currency: rounded(amount, currency) for currency, amount in sorted(money.items())}


def _add_costs(board: Dashboard, batches: list[Batch], spent: Costs) -> None:
    """Cost so far, and at the end: what is left costs as much a piece as its kind did, review included."""
    kind_of = {batch.pk: batch.kind for batch in batches}
    by_batch: dict[Any, Money] = defaultdict(dict)
    by_kind: dict[Any, Money] = defaultdict(dict)
    pieces: dict[str, int] = defaultdict(int)
    for (batch, work), money in spent.money.items():
        kind = kind_of.get(batch, work)
        add(by_batch[batch], money)
        add(by_kind[kind], money)
        add(board.cost, money)
    for (_, work), n in spent.pieces.items():
        pieces[work] += n
    for kind_row in board.kinds:
        kind_row.cost = by_kind[kind_row.kind]
    add(board.cost_at_end, board.cost)
    kind_rows = {row.kind: row for row in board.kinds}
    for row in kind_rows.values():
        row.cost_at_end = dict(row.cost)
    for batch_row in board.batches:
        kind, batch_row.cost = batch_row.batch.kind, by_batch[batch_row.batch.pk]
        rest: Money = {}
        if pieces[kind]:
            rest = {
                currency: amount * batch_row.left / pieces[kind] for currency, amount in by_kind[kind].items()
            }
        batch_row.cost_at_end = dict(batch_row.cost)
        for total in (batch_row.cost_at_end, kind_rows[kind].cost_at_end, board.cost_at_end):
            add(total, rest)
    every: list[Progress | Dashboard] = [*board.kinds, *board.batches, board]
    for each in every:
        each.cost, each.cost_at_end = _rounded(each.cost), _rounded(each.cost_at_end)


# --- Charts -------------------------------------------------------------------------------------------------
def charts(project: Project) -> dict[str, dict[str, Any]]:
    """Chart data of the last weeks: pieces a day by kind, active hours a day, cost a day by currency."""
    today = timezone.now().date()
    first = today - timedelta(days=CHART_DAYS - 1)
    calendar = [first + timedelta(days=offset) for offset in range(CHART_DAYS)]
    costs = _costs(project, "day", since=first)
    hours: dict[date, float] = defaultdict(float)
    for (day, _), seconds in costs.seconds.items():
        hours[day] += seconds / 3600
    by_day: dict[date, Money] = defaultdict(dict)
    for (day, _), money in costs.money.items():
        add(by_day[day], money)
    currencies = sorted({currency for money in by_day.values() for currency in money})
    x = [int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) for day in calendar]
    return {
        "throughput": {
            "x": x,
            "series": [
                {"name": str(kind.many), "values": [costs.pieces.get((day, kind), 0) for day in calendar]}
                for kind in TaskKind
            ],
        },
        "hours": {
            "x": x,
            "series": [
                {"name": gettext("Active hours"), "values": [round(hours[day], 2) for day in calendar]}
            ],
        },
        "cost": {
            "x": x,
            "series": [
                {"name": currency, "values": [float(by_day[day].get(currency, 0)) for day in calendar]}
                for currency in currencies
            ],
        },
    }
