"""Review work in the ledger, summed by hand: each decision is one piece, and what is taken back is none."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from django.db.models import Sum
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict
from labeling.models import Activity, Draft, GoldResult, LedgerEntry, TaskPurpose
from labeling.services.adjudications import adjudicate_task
from labeling.services.appeals import decide_appeal, open_appeal
from labeling.services.assignments import release_expired
from labeling.services.bulk_reviews import Chosen, decide_many
from labeling.services.gold import mark_gold, score_demonstration
from labeling.services.late import accept_late_draft, dismiss_late_draft
from labeling.services.ledger_check import problems_of
from labeling.services.pay import set_rate
from labeling.services.reviews import (
    accept_submission,
    fix_submission,
    reject_submission,
    reopen_submission,
    return_submission,
)
from labeling.services.undo import undo_decision
from labeling.timesheet import Period, payroll
from tests.factories import make_demonstration_batch, make_ranking_batch

from .ledger_time import at, now_is
from .ranked import rank
from .work import arrived, claim, do_next, expire, submit, worked

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def submission(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    return do_next(cast.annotator, cast.project)


def work_of(user) -> list[tuple]:
    """(what for, seconds, pieces) of somebody's review work, in the order it was written."""
    rows = LedgerEntry.objects.filter(user=user, work="review").order_by("pk")
    return list(rows.values_list("activity", "seconds", "pieces"))


def pieces(user) -> int:
    return LedgerEntry.objects.filter(user=user, work="review").aggregate(n=Sum("pieces"))["n"] or 0


def pay_of(cast, user) -> dict:
    today = timezone.now().date()
    return payroll(project=cast.project, period=Period(today, today), user_id=user.pk, work="review").totals


def by_the_piece(cast, amount="0.50"):
    set_rate(
        project=cast.project, work="review", unit="piece", amount=amount, currency="EUR", user=None,
        valid_from=date(2020, 1, 1), acting_user=cast.admin,
    )  # fmt: skip


# --- Taken back ---------------------------------------------------------------------------------------------
def test_twenty_times_accepted_and_taken_back_is_paid_as_nothing_and_then_as_one(cast, submission):
    by_the_piece(cast)
    for _ in range(20):
        review = accept_submission(submission=submission, revision=1, reviewer=cast.lead)
        undo_decision(review=review, reviewer=cast.lead)
    assert (pieces(cast.lead), pay_of(cast, cast.lead)) == (0, {})
    accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    assert (pieces(cast.lead), pay_of(cast, cast.lead)) == (1, {"EUR": Decimal("0.50")})
    assert problems_of(project=cast.project) == []


DECISIONS = [
    (accept_submission, {}),
    (return_submission, {"note": "Shorter."}),
    (reject_submission, {"note": "Copied."}),
    (fix_submission, {"text": "Paris."}),
]


@pytest.mark.parametrize(("verb", "fields"), DECISIONS)
def test_what_is_taken_back_is_countered_on_its_day_with_the_reason_and_keeps_its_time(
    cast, submission, verb, fields
):
    arrived(submission, 100)
    review = verb(submission=submission, revision=1, reviewer=cast.lead, active_seconds=30, **fields)
    undo_decision(review=review, reviewer=cast.lead)
    assert work_of(cast.lead) == [("review", 30, 1), ("undone", 0, -1)]
    first, counter = LedgerEntry.objects.filter(user=cast.lead).order_by("pk")
    assert (counter.source, counter.day) == (f"review:{review.pk}:undone", first.day)
    assert (counter.created_by, counter.reason) == (
        cast.lead,
        f"Taken back: {review.get_decision_display()}.",
    )


def test_a_decision_taken_back_twice_is_countered_once(cast, submission):
    review = accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    undo_decision(review=review, reviewer=cast.lead)
    with pytest.raises(Conflict):
        undo_decision(review=review, reviewer=cast.lead)
    assert pieces(cast.lead) == 0


def test_the_counter_is_of_the_day_of_the_decision_also_past_midnight(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    with now_is("2026-11-24 23:50"):
        submission = do_next(cast.annotator, cast.project)
    with now_is("2026-11-24 23:59"):
        review = accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    with now_is("2026-11-25 00:00"):
        type(review).objects.filter(pk=review.pk).update(created_at=timezone.now())
        # The database's clock rules over how long a decision can be taken back.
        type(review).objects.filter(pk=review.pk).update(created_at=at("2126-01-01 00:00"))
        undo_decision(review=review, reviewer=cast.lead)
    days = LedgerEntry.objects.filter(user=cast.lead).values_list("day", "pieces").order_by("pk")
    assert list(days) == [(date(2026, 11, 24), 1), (date(2026, 11, 24), -1)]


def test_looking_again_at_what_one_reopened_is_time_and_no_second_piece(cast, submission):
    accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    reopen_submission(submission=submission, reviewer=cast.lead)
    submission.refresh_from_db()
    second = accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    assert pieces(cast.lead) == 1
    undo_decision(review=second, reviewer=cast.lead)
    assert pieces(cast.lead) == 1


def test_another_reviewer_and_another_revision_are_pieces_of_their_own(cast, submission):
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Shorter.")
    submission = submit(claim(cast.annotator, cast.project), cast.annotator, text="Paris.")
    accept_submission(submission=submission, revision=2, reviewer=cast.lead)
    reopen_submission(submission=submission, reviewer=cast.lead)
    submission.refresh_from_db()
    accept_submission(submission=submission, revision=2, reviewer=cast.admin)
    assert (pieces(cast.lead), pieces(cast.admin)) == (2, 1)


# --- Other work of reviewers --------------------------------------------------------------------------------
@pytest.mark.parametrize("outcome", ["upheld", "overturned"])
def test_an_appeal_decided_is_a_piece_and_its_time(cast, submission, outcome):
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Shorter.")
    appeal = open_appeal(submission=submission, author=cast.annotator, text="It is short.")
    type(appeal).objects.filter(pk=appeal.pk).update(created_at=timezone.now() - timezone.timedelta(hours=1))
    appeal.refresh_from_db()
    said = {"appeal": appeal, "reviewer": cast.admin, "outcome": outcome, "note": "So."}
    decide_appeal(**said, active_seconds=40)
    with pytest.raises(Conflict):
        decide_appeal(**said, active_seconds=40)
    assert work_of(cast.admin) == [("appeal", 40, 1)]
    assert LedgerEntry.objects.get(user=cast.admin).source == f"appeal:{appeal.pk}"
    reviews = submission.reviews.filter(reviewer=cast.admin).values_list("active_seconds", flat=True)
    assert list(reviews) == ([40] if outcome == "overturned" else [])


def ranked_task(cast):
    batch = make_ranking_batch(cast.project, tasks=1, k=3, overlap=2, review_rate=0)
    for user in (cast.annotator, cast.peer):
        arrived(rank(user, cast.project, [[0], [1], [2]]), 600)
    return batch.tasks.get()


def settle(cast, task, **fields):
    ids = list(task.task_completions.order_by("position").values_list("completion_id", flat=True))
    return adjudicate_task(
        task=task, by=cast.lead, tiers=[[pk] for pk in ids], note="So.", **fields
    )  # fmt: skip


def test_an_order_settled_is_a_piece_and_settling_it_anew_is_time(cast):
    task = ranked_task(cast)
    task.submissions.update(created_at=timezone.now() - timezone.timedelta(minutes=10))
    first = settle(cast, task, active_seconds=50)
    with pytest.raises(Conflict):
        settle(cast, task, active_seconds=50)
    assert work_of(cast.lead) == [("settlement", 50, 1)]
    settle(cast, task, replaces=first.pk, active_seconds=0)
    assert work_of(cast.lead) == [("settlement", 50, 1), ("settlement", 0, 0)]


@pytest.fixture
def scored(cast):
    """A demonstration of a gold task that waits for a score."""
    batch = make_demonstration_batch(cast.project, tasks=1, review_rate=0, overlap=1)
    submission = do_next(cast.annotator, cast.project)
    task = batch.tasks.get()
    mark_gold(task=task, acting_user=cast.admin, minimum_score=5)
    assert type(task).objects.get(pk=task.pk).purpose == TaskPurpose.GOLD
    GoldResult.objects.get_or_create(submission=submission)
    return arrived(submission, 600)


def test_a_score_is_a_piece_with_its_time_and_the_same_score_again_is_nothing(cast, scored):
    for _ in range(2):
        score_demonstration(submission=scored, score=6, acting_user=cast.lead, active_seconds=20)
    assert work_of(cast.lead) == [("score", 20, 1)]
    score_demonstration(submission=scored, score=7, acting_user=cast.lead)
    assert work_of(cast.lead) == [("score", 20, 1), ("score", 0, 0)]
    score_demonstration(submission=scored, score=6, acting_user=cast.admin)
    assert pieces(cast.admin) == 1


@pytest.mark.parametrize("decide", [accept_late_draft, dismiss_late_draft])
def test_late_work_decided_on_is_a_piece(cast, decide):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    task = claim(cast.annotator, cast.project)
    expire(worked(task, 300))
    release_expired()
    do_next(cast.peer, cast.project)
    with pytest.raises(Conflict):
        submit(task, cast.annotator)
    draft = Draft.objects.get(is_late=True)
    decide(draft=draft, acting_user=cast.lead)
    with pytest.raises(Exception, match="already|no such late work"):
        decide(draft=draft, acting_user=cast.lead)
    assert work_of(cast.lead) == [("late_review", 0, 1)]
    # Who wrote it has the piece of labeling as before.
    assert LedgerEntry.objects.filter(user=cast.annotator, work="review").count() == 0


def test_a_bulk_decision_shares_the_time_of_its_page_out_among_what_was_decided(cast):
    make_demonstration_batch(cast.project, tasks=4, review_rate=1)
    waiting = [arrived(do_next(cast.annotator, cast.project), 600) for _ in range(4)]
    accept_submission(submission=waiting[1], revision=1, reviewer=cast.admin)
    chosen = [Chosen(each, 1) for each in waiting]
    for _ in range(2):
        decide_many(
            project=cast.project, chosen=chosen, decision="accepted", reviewer=cast.lead, active_seconds=20
        )
    assert sorted(work_of(cast.lead)) == [("review", 5, 1), ("review", 7, 1), ("review", 8, 1)]


# --- Shown --------------------------------------------------------------------------------------------------
def test_the_ledgers_page_and_file_say_what_each_was(cast, client, submission):
    review = accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    undo_decision(review=review, reviewer=cast.lead)
    settle(cast, ranked_task(cast))
    client.force_login(cast.admin)
    member = cast.project.memberships.get(user=cast.lead)
    address = reverse("labeling:person_time", args=[cast.project.slug, member.pk])
    page = client.get(address).content.decode()
    assert "Decision taken back" in page and "Order settled" in page and "Taken back: Accepted." in page
    file = b"".join(client.get(f"{address}?format=csv").streaming_content).decode()
    assert "Decision taken back" in file and "Order settled" in file
    only = client.get(f"{address}?activity=settlement").context["listing"].page.object_list
    assert [entry.activity for entry in only] == [Activity.SETTLEMENT]


@pytest.mark.parametrize("name", ["adjudication", "gold_score"])
def test_the_pages_measure_the_time(cast, client, scored, name):
    key = ranked_task(cast).pk if name == "adjudication" else scored.pk
    client.force_login(cast.lead)
    page = client.get(reverse(f"labeling:{name}", args=[cast.project.slug, key])).content.decode()
    assert "data-active-seconds" in page and "js/review.js" in page
    sent = {"score": 6, "active_seconds": 12}
    if name == "gold_score":
        client.post(reverse("labeling:gold_score", args=[cast.project.slug, key]), sent)
        assert work_of(cast.lead) == [("score", 12, 1)]
