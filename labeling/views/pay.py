"""Hours and pay: one's own, everybody's for leads, rates, corrections."""

from __future__ import annotations

import uuid
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse

from annotate.accounts.models import User
from annotate.accounts.requests import SignedInRequest
from annotate.errors import DomainError
from annotate.forms import add_domain_error
from annotate.streaming import stream_file
from annotate.words import _
from labeling import list_columns, timesheet
from labeling.access import project_route
from labeling.list_pages import answer_list, csv_lines
from labeling.listing import Filter, Listing
from labeling.models import Activity, LedgerEntry, Project, Rate, work_choices
from labeling.pay import Line, totals
from labeling.pay_forms import CorrectionForm, PeriodForm, RateForm
from labeling.permissions import Action, can
from labeling.services import pay as service

from .people import find_member

ROWS_A_PAGE = 50


@project_route(Action.VIEW_OWN_WORK)
def my_time(request: SignedInRequest, *, project, membership) -> HttpResponseBase:
    """One's own hours and pieces, day by day, and the pay where the project shows it."""
    period = _period(request)
    lines = timesheet.day_lines(project=project, period=period, user_id=request.user.pk)
    shows_pay = project.settings.show_pay
    if request.GET.get("format") == "csv":
        return _days_csv(request, project, lines, shows_pay)
    context = _days_context(request.user, period, lines) | {
        "shows_pay": shows_pay,
        "today": timesheet.today_and_week(user=request.user, project=project),
        "corrections": _corrections(project, request.user, period),
    }
    return render(request, "labeling/my_time.html", context)


@project_route(Action.VIEW_PAY)
def payroll(request: SignedInRequest, *, project, membership) -> HttpResponseBase:
    """Everybody's hours, pieces and pay in a period: on the page and, line for line, as CSV."""
    form = PeriodForm(request.GET)
    period, work = _period(request), form.asked("work") or ""
    work = work if work in dict(work_choices()) else ""
    person = form.asked("person")
    roll = timesheet.payroll(project=project, period=period, user_id=person, work=work)
    if request.GET.get("format") == "csv":
        columns = list_columns.payroll(period.first, period.last)
        lines = [
            [header for header, _ in columns],
            *([read(row) for _, read in columns] for row in roll.rows),
        ]
        return _csv(request, lines, f"{project.slug}-pay-{period.first}-{period.last}")
    context = {
        "roll": roll,
        "page": Paginator(roll.rows, ROWS_A_PAGE).get_page(request.GET.get("page")),
        "period": period,
        "work": work,
        "person": person,
        "works": work_choices(),
        "people": _people(project),
        "query": urlencode({name: value for name, value in (("person", person), ("work", work)) if value}),
        "may_set_rates": can(membership, Action.SET_RATES),
        "has_rates": Rate.objects.filter(project=project).exists(),
    }
    return render(request, "labeling/payroll.html", context)


@project_route(Action.VIEW_PAY)
def rates(request: HttpRequest, *, project, membership) -> HttpResponse:
    return _rates_page(request, project, membership)


@project_route(Action.SET_RATES, methods=("POST",))
def rate_set(request: HttpRequest, *, project, membership) -> HttpResponse:
    form = RateForm(request.POST, people=_people(project))
    if form.is_valid():
        values: dict[str, Any] = dict(form.cleaned_data)
        values["user"] = User.objects.get(pk=values["user"]) if values["user"] else None
        try:
            rate = service.set_rate(project=project, acting_user=request.user, **values)
        except DomainError as error:
            add_domain_error(form, error)
        else:
            messages.success(request, _("Set, from %(day)s on.") % {"day": rate.valid_from})
            return redirect("labeling:rates", slug=project.slug)
    return _rates_page(request, project, membership, form)


def _rates_page(request, project: Project, membership, form: RateForm | None = None) -> HttpResponse:
    newest = Rate.objects.filter(project=project).order_by("-pk").first()
    initial = {
        "currency": newest.currency if newest else "EUR",
        "valid_from": timesheet.today_of(request.user),
    }
    context = {
        "rates": Rate.objects.filter(project=project).select_related("user", "created_by"),
        "form": form or RateForm(people=_people(project), initial=initial),
        "may_set_rates": can(membership, Action.SET_RATES),
    }
    return render(request, "labeling/rates.html", context, status=422 if form is not None else 200)


@project_route(Action.VIEW_PAY)
def person_time(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponseBase:
    """One person's days, the entries behind them, and a form for corrections."""
    return _person_time(request, project, membership, pk)


@project_route(Action.CORRECT_TIME, methods=("POST",))
def person_correct(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponseBase:
    member = find_member(project, pk)
    form = CorrectionForm(request.POST)
    if form.is_valid():
        values = dict(form.cleaned_data)
        minutes = Decimal(values.pop("minutes"))
        seconds = int((minutes * 60).quantize(Decimal(1), rounding=ROUND_HALF_UP))
        try:
            service.correct_time(
                project=project, user=member.user, seconds=seconds, acting_user=request.user, **values
            )
        except DomainError as error:
            if error.status == 403:  # noqa: PLR2004
                raise
            if error.field == "seconds":
                error.field = "minutes"
            add_domain_error(form, error)
        else:
            messages.success(request, _("Corrected. %(name)s is told.") % {"name": member.user.name})
            day = values["day"]
            query = urlencode({"first": day.replace(day=1), "last": timesheet.Period.month_of(day).last})
            return redirect(reverse("labeling:person_time", args=[project.slug, pk]) + f"?{query}")
    return _person_time(request, project, membership, pk, form)


def _person_time(request, project: Project, membership, pk: int, form=None) -> HttpResponseBase:
    member = find_member(project, pk)
    period = _period(request)
    entries = timesheet.entries(project=project, user_id=member.user_id)
    listing = Listing(
        request,
        entries.filter(day__range=(period.first, period.last)),
        sorts={
            "newest": (_("Newest first"), "-id"),
            "day": (_("By day"), ("day", "id")),
            "longest": (_("Most active time first"), ("-seconds", "id")),
        },
        search=lambda rows, text: rows.filter(
            Q(reason__icontains=text) | Q(submission__prompt__preview__icontains=text)
        ),
        filters=[
            Filter("work", _("Work"), [("", _("All")), *work_choices()]),
            Filter("activity", _("For"), [("", _("All")), *Activity.choices]),
        ],
        kept={name: request.GET.get(name, "") for name in ("first", "last")},
        path=reverse("labeling:person_time", args=[project.slug, pk]),
    )
    lines = timesheet.day_lines(project=project, period=period, user_id=member.user_id)
    initial = {"day": timesheet.today_of(member.user), "idempotency_key": uuid.uuid4()}
    context = _days_context(member.user, period, lines) | {
        "member": member,
        "form": form or CorrectionForm(initial=initial),
        "may_correct": can(membership, Action.CORRECT_TIME) and member.user_id != request.user.pk,
        "shows_pay": True,
    }
    return answer_list(
        request,
        "labeling/person_time.html",
        listing,
        page="time",
        columns=list_columns.ENTRIES,
        context=context,
        status=422 if form is not None else 200,
        of=pk,
        name=f"time-{member.user.pseudonym}",
    )


# --- Inside -------------------------------------------------------------------------------------------------
def _period(request: SignedInRequest) -> timesheet.Period:
    form = PeriodForm(request.GET)
    return timesheet.as_period(form.asked("first"), form.asked("last"), timesheet.today_of(request.user))


def _people(project: Project) -> list[tuple[int, str]]:
    members = project.memberships.select_related("user")
    return sorted(((each.user_id, each.user.name) for each in members), key=lambda each: each[1].casefold())


def _days_context(user: User, period: timesheet.Period, lines: list[Line]) -> dict[str, Any]:
    return {
        "period": period,
        "zone": user.timezone,
        "lines": lines,
        "labels": dict(work_choices()),
        "seconds": sum(line.work.seconds for line in lines),
        "pieces": sum(line.work.pieces for line in lines),
        "totals": totals(lines),
    }


def _corrections(project: Project, user: User, period: timesheet.Period) -> list[LedgerEntry]:
    entries = timesheet.entries(project=project, user_id=user.pk)
    days = (period.first, period.last)
    return list(entries.filter(activity=Activity.CORRECTION, day__range=days)[:100])


def _days_csv(request, project: Project, lines: list[Line], shows_pay: bool) -> HttpResponseBase:
    head = ["day", "work", "seconds", "pieces", *(["amount", "currency"] if shows_pay else [])]
    rows = [
        [
            line.work.day, line.work.work, line.work.seconds, line.work.pieces,
            *([line.amount, line.currency] if shows_pay else []),
        ]
        for line in lines
    ]  # fmt: skip
    return _csv(request, [head, *rows], f"{project.slug}-my-time")


def _csv(request, rows: list[list[Any]], name: str) -> HttpResponseBase:
    pieces = iter([csv_lines(rows)])
    return stream_file(request, pieces, filename=f"{name}.csv", media_type="text/csv; charset=utf-8")
