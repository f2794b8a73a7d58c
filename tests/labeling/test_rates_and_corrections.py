"""Rates are added to and never reprice; corrections stand beside; payroll equals its page."""

from __future__ import annotations

import csv
import io
from datetime import date
from decimal import Decimal

import pytest
from django.db.models import Sum
from django.urls import reverse

from annotate.errors import Conflict, Forbidden, Invalid
from labeling.models import AuditEvent, LedgerDay, LedgerEntry, Notification
from labeling.services.pay import correct_time, set_rate
from labeling.services.projects import update_settings
from labeling.timesheet import Period, payroll
from tests.factories import make_demonstration_batch

from .ledger_time import now_is
from .work import claim, submit

pytestmark = [pytest.mark.django_db, pytest.mark.database]
NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 30))


def work_on(cast, user, day: str, seconds: int):
    """One demonstration, begun at nine and submitted `seconds` of active time later."""
    with now_is(f"{day} 09:00"):
        assignment = claim(user, cast.project)
    with now_is(f"{day} 12:00"):
        return submit(assignment, user, active_seconds=seconds)


@pytest.fixture
def november(cast):
    """Anna: 3 600 s on the 2nd, 1 234 s on the 16th. Petra: 1 800 s on the 16th."""
    make_demonstration_batch(cast.project, tasks=4, review_rate=0)
    work_on(cast, cast.annotator, "2026-11-02", 3600)
    work_on(cast, cast.annotator, "2026-11-16", 1234)
    work_on(cast, cast.peer, "2026-11-16", 1800)
    return cast


def hourly(cast, amount, day, user=None, **fields):
    values = {"work": "demonstration", "unit": "hour", "currency": "EUR", **fields}
    return set_rate(
        project=cast.project, amount=amount, valid_from=date.fromisoformat(day), user=user,
        acting_user=cast.admin, **values,
    )  # fmt: skip


def amounts(cast) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in payroll(project=cast.project, period=NOVEMBER).rows:
        found.setdefault(row.user.username, []).append(str(row.amount))
    return found


def correct(cast, **fields):
    values = {
        "project": cast.project, "user": cast.annotator, "day": date(2026, 11, 2), "work": "demonstration",
        "seconds": -600, "reason": "The page was open over lunch.", "idempotency_key": "c-1",
        "acting_user": cast.lead,
    }  # fmt: skip
    return correct_time(**{**values, **fields})


def test_work_without_a_rate_can_be_priced_afterwards(november):
    assert amounts(november) == {"anna": ["None"], "petra": ["None"]}
    hourly(november, "18", "2026-11-01")
    # 3600 s are 18.00; 1234 s are 6.17; 1800 s are 9.00
    assert amounts(november) == {"anna": ["24.17"], "petra": ["9.00"]}


def test_a_raise_leaves_old_work_at_its_rate(november):
    hourly(november, "18", "2026-11-01")
    with pytest.raises(Conflict) as refused:
        hourly(november, "20", "2026-11-10")
    assert (refused.value.code, "2026-11-16" in refused.value.message) == ("work_is_priced", True)
    hourly(november, "20", "2026-11-17")
    work_on(november, november.annotator, "2026-11-20", 1800)
    assert amounts(november) == {"anna": ["24.17", "10.00"], "petra": ["9.00"]}


def test_ones_own_rate_goes_first_and_ends_where_it_has_no_amount(november):
    hourly(november, "18", "2026-11-01")
    hourly(november, "30", "2026-11-17", user=november.annotator)
    hourly(november, None, "2026-11-19", user=november.annotator)
    work_on(november, november.annotator, "2026-11-18", 3600)
    assert amounts(november)["anna"] == ["24.17", "30.00"]


def test_a_rate_of_ones_own_does_not_reprice_either(november):
    hourly(november, "18", "2026-11-01")
    with pytest.raises(Conflict):
        hourly(november, "30", "2026-11-02", user=november.annotator)


def test_a_piece_is_paid_once_however_often_it_is_mended(november):
    hourly(november, "1.5", "2026-11-01", unit="piece")
    assert amounts(november) == {"anna": ["3.00"], "petra": ["1.50"]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 18.5}, {"amount": "NaN"}, {"amount": "-1"}, {"amount": "1e9"}, {"amount": "0.00001"},
        {"amount": None}, {"currency": "euro"}, {"currency": "€"}, {"unit": "day"}, {"work": "cooking"},
    ],
)  # fmt: skip
def test_what_is_no_rate_is_refused(cast, wrong):
    values = {"work": "ranking", "unit": "hour", "amount": "18", "currency": "EUR"} | wrong
    with pytest.raises(Invalid):
        set_rate(project=cast.project, valid_from=date(2026, 11, 1), acting_user=cast.admin, **values)


def test_a_correction_stands_beside_is_audited_and_told(november):
    hourly(november, "18", "2026-11-01")
    entry = correct(november)
    assert (entry.seconds, entry.activity, entry.created_by) == (-600, "correction", november.lead)
    assert amounts(november)["anna"] == ["21.17"]  # 3000 s are 15.00
    assert LedgerEntry.objects.filter(user=november.annotator).count() == 3
    event = AuditEvent.objects.get(action="ledger.corrected")
    assert (event.data["seconds"], event.data["reason"]) == (-600, "The page was open over lunch.")
    told = Notification.objects.get(user=november.annotator, kind="ledger.corrected")
    assert "-10.0 minutes" in told.text


def test_the_same_correction_sent_twice_is_one(november):
    assert correct(november).pk == correct(november).pk
    with pytest.raises(Invalid, match="another correction"):
        correct(november, seconds=-601)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"seconds": -3601}, Invalid),  # the day has 3600
        ({"seconds": 0}, Invalid),
        ({"seconds": 90_000}, Invalid),
        ({"pieces": -2, "seconds": 0}, Invalid),
        ({"reason": " "}, Invalid),
        ({"day": date(2999, 1, 1)}, Invalid),
        ({"work": "cooking"}, Invalid),
        ({"idempotency_key": "a b"}, Invalid),
    ],
)
def test_what_is_no_correction_is_refused_and_changes_nothing(november, fields, error):
    with pytest.raises(error):
        correct(november, **fields)
    assert LedgerDay.objects.aggregate(all=Sum("seconds"))["all"] == 3600 + 1234 + 1800


def test_nobody_corrects_their_own_time(november):
    with pytest.raises(Forbidden):
        correct(november, user=november.lead, acting_user=november.lead, seconds=60)


def test_the_csv_is_the_page_line_for_line(november, client):
    hourly(november, "18.3333", "2026-11-01")
    november.annotator.display_name = "=HYPERLINK(1)"
    november.annotator.save()
    client.force_login(november.lead)
    address = reverse("labeling:payroll", args=[november.project.slug]) + "?first=2026-11-01&last=2026-11-30"
    text = b"".join(client.get(f"{address}&format=csv").streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    roll = client.get(address).context["roll"]
    assert [row["amount"] for row in rows] == [str(row.amount) for row in roll.rows]
    assert sum(Decimal(row["amount"]) for row in rows) == roll.totals["EUR"]
    assert rows[0]["person"] == "'=HYPERLINK(1)"
    assert {row["from"] for row in rows} == {"2026-11-01"}


def test_two_halves_of_a_month_are_the_month(november):
    hourly(november, "17.77", "2026-11-01")
    halves = [Period(date(2026, 11, 1), date(2026, 11, 15)), Period(date(2026, 11, 16), date(2026, 11, 30))]
    parts = [payroll(project=november.project, period=half).totals["EUR"] for half in halves]
    assert sum(parts) == payroll(project=november.project, period=NOVEMBER).totals["EUR"]


def test_one_sees_ones_own_days_and_pay_only_where_the_project_shows_it(november, client):
    hourly(november, "18", "2026-11-01")
    client.force_login(november.annotator)
    address = reverse("labeling:my_time", args=[november.project.slug]) + "?first=2026-11-01&last=2026-11-30"
    page = client.get(address).content.decode()
    assert "2026-11-16" in page and "6.17" not in page
    update_settings(project=november.project, values={"show_pay": True}, acting_user=november.admin)
    page = client.get(address).content.decode()
    assert "6.17 EUR" in page and "24.17 EUR" in page and "9.00" not in page


def test_a_lead_corrects_on_the_page_and_the_day_shows_it(november, client):
    client.force_login(november.lead)
    member = november.project.memberships.get(user=november.annotator)
    sent = {
        "day": "2026-11-02", "work": "demonstration", "minutes": "-10", "pieces": "", "reason": "Lunch.",
        "idempotency_key": "k",
    }  # fmt: skip
    address = reverse("labeling:person_correct", args=[november.project.slug, member.pk])
    answer = client.post(address, sent, follow=True)
    assert "Lunch." in answer.content.decode()
    assert LedgerDay.objects.get(user=november.annotator, day="2026-11-02", batch=None).seconds == -600
    refused = client.post(address, {**sent, "minutes": "-600", "idempotency_key": "l"})
    assert (refused.status_code, "no more can be taken off" in refused.content.decode()) == (422, True)


def test_programs_do_all_of_it(november, api_client_of):
    root = f"/api/projects/{november.project.slug}"
    admin, lead, anna = map(api_client_of, (november.admin, november.lead, november.annotator))
    body = {
        "work": "demonstration", "unit": "hour", "amount": "18.00", "currency": "EUR",
        "valid_from": "2026-11-01",
    }  # fmt: skip
    assert lead.post(f"{root}/rates/", body).status_code == 403
    assert admin.post(f"{root}/rates/", body).status_code == 201
    member = november.project.memberships.get(user=november.annotator).pk
    correction = {
        "person": member, "day": "2026-11-02", "work": "demonstration", "seconds": -600, "reason": "Lunch.",
        "idempotency_key": "x",
    }  # fmt: skip
    assert anna.post(f"{root}/ledger/", correction).status_code == 403
    assert lead.post(f"{root}/ledger/", correction).json()["seconds"] == -600
    roll = lead.get(f"{root}/payroll/?first=2026-11-01&last=2026-11-30").json()
    assert roll["totals"] == {"EUR": "30.17"}  # 15.00 + 6.17 + 9.00
    days = anna.get(f"{root}/ledger/days/?first=2026-11-01&last=2026-11-30").json()
    assert [day["seconds"] for day in days] == [1234, 3000]
    assert "amount" not in days[0]
    assert {row["person"] for row in anna.get(f"{root}/ledger/").json()["results"]} == {
        november.annotator.pseudonym
    }
    found = lead.get(f"{root}/ledger/").json()
    assert found["count"] == 4
    # Batches tell gold from work: leads know them, who does the work does not.
    assert {row["batch"] for row in found["results"] if row["pieces"]} == {november.project.batches.get().pk}
    assert {row["batch"] for row in anna.get(f"{root}/ledger/").json()["results"]} == {None}
