"""Entries of the ledger: one for each piece of work, in its commit, on the right day, never more than was."""

from __future__ import annotations

import io
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.utils import timezone

from labeling.models import Draft, LedgerDay, LedgerEntry, Membership, Role
from labeling.models.ledger import ImmutableRow
from labeling.services import ledger
from labeling.services.assignments import release_assignment, release_expired, skip_assignment
from labeling.services.drafts import save_draft
from labeling.services.late import accept_late_draft
from labeling.services.ledger_check import problems_of
from labeling.services.people import pause_member, remove_member, resume_member
from labeling.services.projects import add_member
from labeling.services.reviews import accept_submission, fix_submission, return_submission
from labeling.timesheet import active_seconds_today
from tests.factories import make_demonstration_batch, make_project, make_ranking_batch

from .ledger_time import at, now_is
from .work import arrived, claim, do_next, expire, submit, worked

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def task(cast):
    make_demonstration_batch(cast.project, tasks=3, review_rate=1)
    return claim(cast.annotator, cast.project)


def facts() -> list[tuple]:
    rows = LedgerEntry.objects.order_by("pk")
    return list(rows.values_list("work", "activity", "seconds", "claimed_seconds", "pieces"))


def assert_days_are_the_sums() -> None:
    key = ("project", "user", "batch", "day", "work")
    entries = LedgerEntry.objects.order_by().values_list(*key).annotate(s=Sum("seconds"), p=Sum("pieces"))
    days = LedgerDay.objects.order_by().values_list(*key, "seconds", "pieces")
    assert sorted(map(str, days)) == sorted(map(str, entries))


def test_a_submission_brings_its_time_and_one_piece(cast, task):
    submission = submit(worked(task, 90), cast.annotator, active_seconds=42)
    assert facts() == [("demonstration", "submission", 42, 42, 1)]
    entry = LedgerEntry.objects.get()
    assert (entry.source, entry.batch_id) == (f"submission:{submission.pk}:1", task.batch_id)
    assert_days_are_the_sums()


def test_more_than_has_passed_since_the_hand_out_does_not_count(cast, task):
    submission = submit(worked(task, 90), cast.annotator, active_seconds=5000)
    [(_, _, seconds, claimed, _)] = facts()
    assert (90 <= seconds <= 92, claimed) == (True, 5000)
    assert submission.active_seconds == submission.current.active_seconds == seconds


def test_two_tasks_at_once_in_two_projects_are_one_persons_time(cast, task):
    other = make_project(acting_user=cast.admin, new_person_reviews=0)
    add_member(project=other, user=cast.annotator, role=Role.ANNOTATOR, acting_user=cast.admin)
    make_demonstration_batch(other, tasks=1)
    elsewhere = worked(claim(cast.annotator, other), 100)
    submit(worked(task, 100), cast.annotator, active_seconds=80)
    submit(elsewhere, cast.annotator, active_seconds=80)
    assert sum(seconds for _, _, seconds, _, _ in facts()) in (100, 101, 102)


def test_a_mended_piece_brings_time_and_no_second_piece(cast, task):
    submission = submit(worked(task, 600), cast.annotator, active_seconds=60)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Shorter.")
    submit(worked(claim(cast.annotator, cast.project), 600), cast.annotator, text="Paris.", active_seconds=30)
    assert [fact for fact in facts() if fact[0] != "review"] == [
        ("demonstration", "submission", 60, 60, 1),
        ("demonstration", "submission", 30, 30, 0),
    ]
    assert_days_are_the_sums()


def test_the_same_submission_again_counts_once(cast, task):
    submit(worked(task, 60), cast.annotator, idempotency_key="k", active_seconds=20)
    submit(task, cast.annotator, idempotency_key="k", active_seconds=55)
    assert facts() == [("demonstration", "submission", 20, 20, 1)]


def test_what_is_skipped_was_worked_on_all_the_same(cast, task):
    skip_assignment(assignment=worked(task, 60), user=cast.annotator, reason="unclear", active_seconds=25)
    assert facts() == [("demonstration", "skip", 25, 25, 0)]
    assert LedgerDay.objects.get().skips == 1


def test_time_on_work_given_back_counts_once_also_when_it_is_finished_later(cast, task):
    worked(task, 100)
    release_assignment(assignment=task, user=cast.annotator, active_seconds=40)
    again = worked(claim(cast.annotator, cast.project), 50)
    draft = Draft.objects.get(task=again.task, user=cast.annotator)
    assert (draft.active_seconds, draft.booked_seconds) == (40, 40)
    # The page goes on from 40: 70 in all are 30 more.
    submission = submit(again, cast.annotator, active_seconds=70)
    assert facts() == [("demonstration", "release", 40, 40, 0), ("demonstration", "submission", 30, 30, 1)]
    assert submission.active_seconds == 70


def test_work_that_ran_out_of_time_counts_up_to_its_last_save(cast, task):
    worked(task, 300)
    save_draft(task=task.task, user=cast.annotator, body={"text": "Pa"}, revision=1, active_seconds=120)
    expire(task)
    assert release_expired() == 1
    assert release_expired() == 0
    assert facts() == [("demonstration", "expiry", 120, 120, 0)]
    assert_days_are_the_sums()


def test_nobody_worked_where_nothing_was_saved(cast, task):
    expire(worked(task, 300))
    release_expired()
    assert facts() == []


def test_late_work_counts_its_time_when_it_comes_and_its_piece_when_it_is_taken_in(cast, task):
    expire(worked(task, 300))
    release_expired()
    do_next(cast.peer, cast.project)
    with pytest.raises(Exception, match="somebody else has this task"):
        submit(task, cast.annotator, active_seconds=200)
    mine = LedgerEntry.objects.filter(user=cast.annotator)
    assert mine.values_list("activity", "seconds", "pieces").get() == ("late", 200, 0)
    accept_late_draft(draft=Draft.objects.get(is_late=True), acting_user=cast.lead)
    assert mine.filter(activity="submission").values_list("seconds", "pieces").get() == (0, 1)


def test_a_review_is_a_piece_of_the_reviewer_within_the_time_since_it_came(cast, task):
    submission = arrived(submit(task, cast.annotator), seconds_ago=100)
    review = accept_submission(submission=submission, revision=1, reviewer=cast.lead, active_seconds=4000)
    entry = LedgerEntry.objects.get(user=cast.lead)
    assert (entry.work, entry.activity, entry.pieces, entry.claimed_seconds) == ("review", "review", 1, 4000)
    assert 100 <= entry.seconds <= 102
    assert review.active_seconds == entry.seconds


def test_a_fix_counts_once(cast, task):
    submission = arrived(submit(task, cast.annotator), seconds_ago=100)
    fix_submission(submission=submission, revision=1, reviewer=cast.lead, text="Better.", active_seconds=30)
    assert [fact for fact in facts() if fact[0] == "review"] == [("review", "review", 30, 30, 1)]


def test_a_source_is_written_once(cast, task):
    submission = submit(worked(task, 60), cast.annotator, active_seconds=10)
    now = timezone.now()
    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.book_submission(
            submission=submission,
            measured=ledger.Measured(1, 1, now, now),
            batch_id=task.batch_id,
            user=cast.annotator,
        )
    assert_days_are_the_sums()


def test_entries_are_never_changed_nor_deleted(cast, task):
    submit(task, cast.annotator)
    entry = LedgerEntry.objects.get()
    for change in (
        entry.save,
        entry.delete,
        LedgerEntry.objects.all().delete,
        lambda: LedgerEntry.objects.update(seconds=1),
    ):
        with pytest.raises(ImmutableRow):
            change()


def test_an_entry_needs_the_transaction_of_its_work(cast, task, django_db_blocker):
    with pytest.raises(AssertionError), transaction.atomic():
        assert LedgerEntry.objects.count() == 1  # nothing is booked by claiming


def test_verify_tells_a_day_that_was_tampered_with(cast, task):
    submit(worked(task, 60), cast.annotator, active_seconds=30)
    assert problems_of(project=cast.project) == []
    LedgerDay.objects.update(seconds=3000)
    [problem] = problems_of(project=cast.project)
    assert "(3000, 1), its entries (30, 1)" in problem
    with pytest.raises(CommandError):
        call_command("verify", stdout=io.StringIO())


ZONES = [
    # Where one lives, the moment the work ended, the day it counts on.
    ("UTC", "2026-11-24 23:59:59", date(2026, 11, 24)),
    ("Europe/Berlin", "2026-11-24 23:30", date(2026, 11, 25)),
    ("America/Los_Angeles", "2026-11-25 07:59", date(2026, 11, 24)),
    ("Pacific/Kiritimati", "2026-11-24 10:00", date(2026, 11, 25)),
    ("Asia/Kathmandu", "2026-11-24 18:14:59", date(2026, 11, 24)),
    ("Asia/Kathmandu", "2026-11-24 18:15", date(2026, 11, 25)),
    # 25 October 2026 has 25 hours in Berlin: from 22:00 UTC the day before to 23:00 UTC.
    ("Europe/Berlin", "2026-10-24 21:59", date(2026, 10, 24)),
    ("Europe/Berlin", "2026-10-24 22:00", date(2026, 10, 25)),
    ("Europe/Berlin", "2026-10-25 22:59", date(2026, 10, 25)),
    ("Europe/Berlin", "2026-10-25 23:00", date(2026, 10, 26)),
    # 29 March 2026 has 23 hours: to 22:00 UTC.
    ("Europe/Berlin", "2026-03-29 21:59", date(2026, 3, 29)),
    ("Europe/Berlin", "2026-03-29 22:00", date(2026, 3, 30)),
]


@pytest.mark.parametrize(("zone", "moment", "day"), ZONES)
def test_the_day_is_that_of_where_the_person_lives(cast, zone, moment, day):
    cast.annotator.timezone = zone
    assert ledger.day_of(cast.annotator, at(moment)) == day


def test_an_hour_that_comes_twice_in_autumn_is_two_hours_of_one_day(cast):
    """01:30 UTC is 02:30 in Berlin for the second time on 25 October 2026: two hours after 01:30 there."""
    cast.annotator.timezone = "Europe/Berlin"
    cast.annotator.save()
    make_ranking_batch(cast.project, tasks=1)
    with now_is("2026-10-24 23:30"):
        assignment = claim(cast.annotator, cast.project)
    with now_is("2026-10-25 01:30"):
        submit(assignment, cast.annotator, active_seconds=7200)
    entry = LedgerEntry.objects.get()
    assert (entry.day, entry.seconds, entry.timezone) == (date(2026, 10, 25), 7200, "Europe/Berlin")
    begun = entry.started_at.astimezone(ZoneInfo("Europe/Berlin"))
    assert (begun.hour, begun.minute) == (1, 30)
    with now_is("2026-10-25 22:59"):
        assert active_seconds_today(user=cast.annotator) == 7200
    with now_is("2026-10-25 23:00"):
        assert active_seconds_today(user=cast.annotator, project=cast.project) == 0


def test_moving_to_another_time_zone_leaves_old_days_alone(cast, task):
    submit(worked(task, 60), cast.annotator, active_seconds=30)
    before = LedgerEntry.objects.get()
    cast.annotator.timezone = "Pacific/Kiritimati"
    cast.annotator.save()
    after = LedgerEntry.objects.get()
    assert (after.day, after.timezone) == (before.day, "UTC")


def test_a_sitting_is_bounded(cast):
    now = timezone.now()
    with transaction.atomic():
        found = ledger.measure(user=cast.annotator, claimed=10**6, started_at=now - timedelta(days=3))
    assert found.seconds == 6 * 3600
    assert Membership.objects.filter(user=cast.annotator).exists()


@pytest.mark.parametrize("leave", [pause_member, remove_member])
def test_who_is_paused_or_removed_is_paid_until_their_last_save(cast, task, leave):
    worked(task, 300)
    save_draft(task=task.task, user=cast.annotator, body={"text": "Pa"}, revision=1, active_seconds=120)
    leave(membership=cast.project.memberships.get(user=cast.annotator), acting_user=cast.admin)
    assert facts() == [("demonstration", "expiry", 120, 120, 0)]
    assert_days_are_the_sums()
    task.refresh_from_db()
    assert (task.status, task.annotator) == ("open", None)


def test_who_is_resumed_is_not_paid_twice(cast, task):
    member = cast.project.memberships.get(user=cast.annotator)
    worked(task, 300)
    save_draft(task=task.task, user=cast.annotator, body={"text": "Pa"}, revision=1, active_seconds=120)
    pause_member(membership=member, acting_user=cast.admin)
    resume_member(membership=member, acting_user=cast.admin)
    submit(claim(cast.annotator, cast.project), cast.annotator, active_seconds=120)
    assert [(kind, seconds) for _, kind, seconds, *_ in facts()] == [("expiry", 120), ("submission", 0)]
