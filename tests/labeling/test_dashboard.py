"""The overview: backlog, expected end and cost by hand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from labeling import dashboard, reports
from labeling.models import Batch, Figure, LedgerDay
from labeling.services.appeals import open_appeal
from labeling.services.pay import set_rate
from labeling.services.reviews import accept_submission, return_submission
from tests.factories import make_demonstration_batch

from .work import claim, do_next

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def past(cast, user, days_ago: int, seconds: int, pieces: int, batch=None, work="demonstration"):
    day = timezone.now().date() - timedelta(days=days_ago)
    return LedgerDay.objects.create(
        project=cast.project, user=user, day=day, work=work, seconds=seconds, pieces=pieces, batch=batch
    )


def price(cast, amount, user=None, days_ago=100, work="demonstration", unit="hour"):
    set_rate(
        project=cast.project, work=work, unit=unit, amount=amount, currency="EUR", user=user,
        valid_from=timezone.now().date() - timedelta(days=days_ago), acting_user=cast.admin,
    )  # fmt: skip


def test_batches_end_one_after_the_other_at_the_pace_of_the_last_days(cast):
    second = make_demonstration_batch(cast.project, tasks=8)
    first = make_demonstration_batch(cast.project, tasks=4, priority=5)
    paused = make_demonstration_batch(cast.project, tasks=4)
    Batch.objects.filter(pk=paused.pk).update(status="paused")
    for ago in (1, 2, 3, 4):
        past(cast, cast.annotator, ago, 600, 2, batch=first)
    board = dashboard.dashboard(cast.project)
    assert [row.batch for row in board.batches] == [first, second, paused]
    # Two a day without any difference: 4 take 2 days, the 8 behind them end after 6, paused ones never.
    assert [row.forecast and row.forecast.days for row in board.batches] == [2, 6, None]
    assert board.batches[0].ends_on == (timezone.now() + timedelta(days=2)).date()


def test_today_and_idle_days(cast):
    make_demonstration_batch(cast.project, tasks=10)
    past(cast, cast.annotator, 0, 600, 50)  # today is not over: it says nothing yet
    past(cast, cast.annotator, 1, 600, 4)
    past(cast, cast.annotator, 4, 600, 4)
    kind = dashboard.dashboard(cast.project).kinds[0]
    assert kind.forecast.a_day == 2  # 4, 0, 0, 4


def test_cost_so_far_and_at_the_end(cast):
    batch = make_demonstration_batch(cast.project, tasks=6, review_rate=0)
    other = make_demonstration_batch(cast.project, tasks=3, review_rate=0)
    past(cast, cast.annotator, 3, 3600, 2, batch=batch)
    past(cast, cast.peer, 3, 3600, 2, batch=batch)
    past(cast, cast.lead, 2, 1800, 4, batch=batch, work="review")
    price(cast, "18")
    price(cast, "24", user=cast.peer, days_ago=2)  # from later on: does not reach the work
    price(cast, "20", work="review")
    board = dashboard.dashboard(cast.project)
    assert board.cost == {"EUR": Decimal("46.00")}  # 18 + 18 + 10
    by_batch = {row.batch: row for row in board.batches}
    # 46 for four pieces: 11.50 each. Six slots are left here, three there.
    assert by_batch[batch].cost_at_end == {"EUR": Decimal("115.00")}
    assert by_batch[other].cost_at_end == {"EUR": Decimal("34.50")}
    assert board.cost_at_end == {"EUR": Decimal("149.50")}


def test_rates_of_ones_own_and_changes_are_followed(cast):
    for user in (cast.annotator, cast.peer):
        past(cast, user, 10, 3600, 1)
    price(cast, "10", days_ago=20)
    price(cast, "30", days_ago=5)
    price(cast, "50", user=cast.peer, days_ago=5)
    for user in (cast.annotator, cast.peer):
        past(cast, user, 4, 3600, 1)
    past(cast, cast.lead, 4, 999, 1, work="ranking")
    board = dashboard.dashboard(cast.project)
    assert (board.cost, board.unpriced_seconds) == ({"EUR": Decimal("100.00")}, 999)
    chart = dashboard.charts(cast.project)["cost"]["series"][0]
    assert (chart["values"][-5], chart["values"][-11]) == (80.0, 20.0)


def test_what_needs_a_decision_comes_first(cast, client):
    make_demonstration_batch(cast.project, tasks=2, review_rate=1)
    do_next(cast.annotator, cast.project)
    claim(cast.annotator, cast.project)
    client.force_login(cast.lead)
    page = client.get(reverse("labeling:project_detail", args=[cast.project.slug])).content.decode()
    assert page.index("Needs a decision") < page.index("Batches in work")
    assert "await review" in page


def test_agreement_that_was_worked_out_early_says_of_when_it_is(cast, client):
    client.force_login(cast.lead)
    address = reverse("labeling:project_detail", args=[cast.project.slug])
    assert "worked out within minutes of the first work" in client.get(address).content.decode()
    Figure.objects.create(project=cast.project, computed_at=timezone.now() - timedelta(minutes=4))
    page = " ".join(client.get(address).content.decode().replace("\xa0", " ").split())
    assert "no task that two people had ranked when this was worked out, 4 minutes ago" in page


def test_programs_read_the_same(cast, api_client_of):
    batch = make_demonstration_batch(cast.project, tasks=2)
    answer = api_client_of(cast.lead).get(f"/api/projects/{cast.project.slug}/dashboard/").json()
    assert answer["batches"][0]["batch"] == batch.pk
    assert answer["batches"][0]["left"] == answer["kinds"][0]["left"] == 2
    assert answer["cost"] == {}


def test_an_appeal_waits_for_every_lead_but_its_author(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Shorter.")
    open_appeal(submission=submission, author=cast.annotator, text="It is short.")

    def waiting(user):
        decisions = reports.waiting_decisions(cast.project, user)
        return {each["route"]: each["count"] for each in decisions}

    assert waiting(cast.lead)["labeling:appeals"] == 1
    assert "labeling:appeals" not in waiting(cast.annotator)


def test_where_nothing_was_reviewed_no_share_is_named(cast, client):
    client.force_login(cast.lead)
    address = reverse("labeling:project_detail", args=[cast.project.slug])
    assert "accepted in review" not in client.get(address).content.decode()
    make_demonstration_batch(cast.project, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    page = client.get(address).content.decode()
    assert "of 1 reviewed; 0 fixed, not counted; 0 not reviewed" in page and "0 await review" in page
