"""Rates, and corrections of the ledger."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, Sum
from django.urls import reverse

from annotate.accounts.models import User
from annotate.errors import Conflict, Forbidden, Invalid
from annotate.words import _, in_a_sentence, later
from labeling.models import (
    Activity,
    LedgerDay,
    LedgerEntry,
    Project,
    Rate,
    RateUnit,
    work_choices,
    work_label,
)
from labeling.pay import DayOfWork
from labeling.timesheet import rate_book, today_of

from . import ledger
from .activity import notify, record_event
from .judgments import clean_line

LONGEST_REASON = 500
LARGEST_CORRECTION = 24 * 3600  # seconds, of one day
MOST_PIECES = 10_000
HIGHEST_AMOUNT = Decimal(10) ** 7


@transaction.atomic
def set_rate(
    *,
    project: Project,
    work: str,
    unit: str,
    amount: Any,
    currency: str,
    valid_from: date,
    acting_user,
    user=None,
) -> Rate:
    """What a kind of work is paid from a day on, for everybody or for one member.

    amount None, for a member: from that day on the project's rate holds for them again. Work that has a price
    keeps it: raises Conflict where the rate would change what was done already. Work without an agreed
    price may be priced afterwards.
    """
    rate = _checked_rate(work, unit, amount, currency, user)
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # rates of a project, one by one
    if user is not None and not project.memberships.filter(user=user).exists():
        raise Invalid("There is no such person in this project.", field="user")
    last = _last_priced_day(project, work, user, valid_from)
    if last is not None:
        raise Conflict(
            _("Work of %(last)s has its price already, and a new rate never changes what was done.")
            % {"last": last},
            code="work_is_priced",
            hint=_("Let the rate begin after %(last)s; mend a mistake of the past with a correction.")
            % {"last": last},
        )
    try:
        with transaction.atomic():
            stored = Rate.objects.create(
                project=project, user=user, valid_from=valid_from, created_by=acting_user, **rate
            )
    except IntegrityError as error:
        raise Conflict(
            _("There is a rate for this that begins on %(day)s.") % {"day": valid_from},
            code="rate_exists",
            hint="Choose another day: rates are added to, not changed.",
        ) from error
    record_event(
        action="rate.set",
        actor=acting_user,
        obj=stored,
        project=project,
        work=work,
        person=user.pseudonym if user is not None else None,
        unit=stored.unit,
        amount=str(stored.amount) if stored.amount is not None else None,
        currency=stored.currency,
        valid_from=str(valid_from),
    )
    return stored


def _checked_rate(work: str, unit: str, amount: Any, currency: str, user) -> dict[str, Any]:
    if work not in dict(work_choices()):
        raise Invalid(
            _("Choose one of %(known)s.") % {"known": ", ".join(dict(work_choices()))}, field="work"
        )
    if unit not in RateUnit.values:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(RateUnit.values)}, field="unit")
    if not re.fullmatch(r"[A-Z]{3}", currency or ""):
        raise Invalid("Write the currency as three capital letters, such as EUR.", field="currency")
    if amount is None and user is None:
        raise Invalid("Give an amount; 0 where the work is not paid.", field="amount")
    return {"work": work, "unit": unit, "amount": _checked_amount(amount), "currency": currency}


def _checked_amount(amount: Any) -> Decimal | None:
    if amount is None:
        return None
    if isinstance(amount, float | bool):
        raise Invalid("Send the amount as text: a float is no money.", field="amount")
    try:
        value = Decimal(amount)
        fits = (
            value.is_finite() and 0 <= value < HIGHEST_AMOUNT and value == value.quantize(Decimal("0.0001"))
        )
    except (InvalidOperation, TypeError, ValueError) as error:
        raise Invalid("Write an amount such as 12.50.", field="amount") from error
    if not fits:
        raise Invalid("An amount is from 0 to 9,999,999, with four decimals at most.", field="amount")
    return value


def _last_priced_day(project: Project, work: str, user, valid_from: date) -> date | None:
    """The newest day of work that has a price and whose price the new rate would take the place of."""
    book = rate_book(project)
    days = LedgerDay.objects.filter(project=project, work=work, day__gte=valid_from)
    if user is not None:
        days = days.filter(user=user)
    for user_id, day in days.order_by("-day").values_list("user_id", "day").distinct():
        priced = book.price(DayOfWork(user_id, day, work, 0, 0))
        # Somebody with a rate of their own is not touched by the project's.
        own = user is None and priced.rate is not None and priced.rate.user_id is not None
        if priced.rate is not None and not own:
            return day
    return None


@transaction.atomic
def correct_time(
    *,
    project: Project,
    user,
    day: date,
    work: str,
    seconds: int = 0,
    pieces: int = 0,
    reason: str,
    idempotency_key: str,
    acting_user,
) -> LedgerEntry:
    """Add (or, below zero, take off) time or pieces of a day, with a reason; the person is told.

    Nothing is overwritten: the entry stands beside what it corrects. The same key again is one correction.
    Raises Forbidden for one's own time, Invalid where the day would fall below zero or lies ahead.
    """
    reason = clean_line(reason, "reason", LONGEST_REASON)
    source = f"correction:{project.pk}:{_checked_key(idempotency_key)}"
    _check_correction(project, user, day, work, seconds, pieces, reason, acting_user)
    User.objects.select_for_update(no_key=True).only("pk").get(pk=user.pk)
    entry = LedgerEntry(
        project=project,
        user=user,
        work=work,
        activity=Activity.CORRECTION,
        source=source,
        day=day,
        timezone=user.timezone,
        seconds=seconds,
        claimed_seconds=seconds,
        pieces=pieces,
        reason=reason,
        created_by=acting_user,
    )
    before = LedgerEntry.objects.filter(source=source).first()
    if before is not None:
        return _the_same(before, entry)
    _refuse_below_zero(entry)
    ledger.write(entry)
    record_event(
        action="ledger.corrected",
        actor=acting_user,
        obj=entry,
        project=project,
        person=user.pseudonym,
        day=str(day),
        work=work,
        seconds=seconds,
        pieces=pieces,
        reason=reason,
    )
    notify(
        user=user,
        project=project,
        kind="ledger.corrected",
        text=later(
            "%(who)s corrected your time of %(day)s (%(work)s): %(change)s. %(reason)s",
            who=acting_user,
            day=day,
            work=in_a_sentence(work_label(work)),
            change=_signed(seconds, pieces),
            reason=reason,
        ),
        path=reverse("labeling:my_time", args=[project.slug]) + f"?first={day}&last={day}",
    )
    return entry


def _check_correction(project, user, day, work, seconds, pieces, reason, acting_user) -> None:
    if not project.memberships.filter(user=user).exists():
        raise Invalid("There is no such person in this project.", field="user")
    if user.pk == acting_user.pk:
        raise Forbidden("Nobody corrects their own time.", code="own_work", hint="Another lead does it.")
    if work not in dict(work_choices()):
        raise Invalid(
            _("Choose one of %(known)s.") % {"known": ", ".join(dict(work_choices()))}, field="work"
        )
    if not reason:
        raise Invalid("Say why: the person and the audit trail want to know.", field="reason")
    if day > today_of(user):
        raise Invalid("This day has not come yet.", field="day")
    if not seconds and not pieces:
        raise Invalid("Give the time or the pieces to add or to take off.", field="seconds")
    if abs(seconds) > LARGEST_CORRECTION:
        raise Invalid("A day has 24 hours.", field="seconds")
    if abs(pieces) > MOST_PIECES:
        raise Invalid(_("At most %(most)s pieces at once.") % {"most": f"{MOST_PIECES:,}"}, field="pieces")


TOO_FEW = {
    "seconds": _("The day has %(n)s seconds of this work: no more can be taken off."),
    "pieces": _("The day has %(n)s pieces of this work: no more can be taken off."),
}


def _refuse_below_zero(entry: LedgerEntry) -> None:
    days = LedgerDay.objects.filter(
        Q(project=entry.project_id, user=entry.user_id), day=entry.day, work=entry.work
    )
    there = days.aggregate(seconds=Sum("seconds"), pieces=Sum("pieces"))
    for name, said in TOO_FEW.items():
        if (there[name] or 0) + getattr(entry, name) < 0:
            raise Invalid(
                said % {"n": there[name] or 0},
                field=name,
            )


def _the_same(before: LedgerEntry, entry: LedgerEntry) -> LedgerEntry:
    names = ("user_id", "day", "work", "seconds", "pieces", "reason")
    if any(getattr(before, name) != getattr(entry, name) for name in names):
        raise Invalid(
            "This key was used for another correction, which is stored unchanged.",
            code="idempotency_key_reused",
            field="idempotency_key",
        )
    return before


def _checked_key(key: str) -> str:
    if not isinstance(key, str) or not re.fullmatch(r"[\w.-]{1,80}", key):
        raise Invalid(
            "Send an idempotency key: 1 to 80 letters, digits, dots or dashes.", field="idempotency_key"
        )
    return key


def _signed(seconds: int, pieces: int) -> str:
    minutes = f"{seconds / 60:+.1f} minutes" if seconds else ""
    return ", ".join(part for part in (minutes, f"{pieces:+d} pieces" if pieces else "") if part)
