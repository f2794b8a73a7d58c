"""One's last decision is taken back for a moment: a recorded reopening, with nothing deleted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotate.errors import Conflict
from labeling import queues
from labeling.models import Assignment, AuditEvent, Review, Submission, Task
from labeling.services.appeals import open_appeal
from labeling.services.assignments import claim_next
from labeling.services.reviews import (
    accept_submission,
    fix_submission,
    reject_submission,
    return_submission,
)
from labeling.services.slots import shown_order
from labeling.services.undo import undo_decision, undo_decisions
from tests.factories import make_demonstration_batch, make_ranking_batch

from .work import claim, do_next, ranking_of, submit


@pytest.fixture
def submission(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    return do_next(cast.annotator, cast.project)


def accept(submission, by):
    return accept_submission(submission=submission, revision=1, reviewer=by)


def reject(submission, by):
    return reject_submission(submission=submission, revision=1, reviewer=by, note="Copied.")


def give_back(submission, by):
    return return_submission(submission=submission, revision=1, reviewer=by, note="Shorter.")


def fix(submission, by):
    return fix_submission(submission=submission, revision=1, reviewer=by, text="Paris.")


@pytest.mark.parametrize("verb", [accept, reject, give_back, fix])
def test_it_waits_again_for_the_same_reason_and_the_decision_stays_on_record(cast, submission, verb):
    text = submission.current.text
    review = verb(submission, cast.lead)
    undo_decision(review=review, reviewer=cast.lead)
    submission = Submission.objects.get(pk=submission.pk)
    assert (submission.status, submission.review_reason, submission.decided_at) == (
        "awaiting_review",
        "sampled",
        None,
    )
    assert submission.current.text == text
    review.refresh_from_db()
    assert review.reopened_at is not None
    assert AuditEvent.objects.get(action="submission.decision_undone").data["review"] == review.pk
    assert [row.pk for row in queues.review_queue(project=cast.project, reviewer=cast.lead)] == [
        submission.pk
    ]
    slot = Assignment.objects.get(pk=submission.assignment_id)
    task = Task.objects.get(pk=submission.task_id)
    assert (slot.status, task.status, task.assignments.live().count()) == ("submitted", "done", 1)


@pytest.mark.parametrize("verb", [accept, reject, give_back, fix])
def test_it_can_be_decided_anew_at_once(cast, submission, verb):
    undo_decision(review=verb(submission, cast.lead), reviewer=cast.lead)
    submission.refresh_from_db()
    accept_submission(submission=submission, revision=submission.revision_count, reviewer=cast.lead)
    assert Submission.objects.get(pk=submission.pk).status == "accepted"


def test_work_that_counted_without_review_counts_again(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    submission = do_next(cast.annotator, cast.project)
    review = reject(submission, cast.lead)
    undo_decision(review=review, reviewer=cast.lead)
    submission.refresh_from_db()
    assert (submission.status, submission.decided_at is not None) == ("accepted", True)


def test_somebody_elses_decision_is_not_ones_to_take_back(cast, submission):
    review = accept(submission, cast.lead)
    with pytest.raises(Conflict) as caught:
        undo_decision(review=review, reviewer=cast.admin)
    assert caught.value.code == "not_your_decision"


def test_it_is_too_late_after_two_minutes(cast, submission):
    review = accept(submission, cast.lead)
    Review.objects.update(created_at=timezone.now() - timedelta(minutes=3))
    with pytest.raises(Conflict) as caught:
        undo_decision(review=review, reviewer=cast.lead)
    assert caught.value.code == "too_late"


def test_it_is_too_late_once_somebody_has_the_task(cast, submission):
    review = reject(submission, cast.lead)
    claim_next(user=cast.peer, project=cast.project)
    with pytest.raises(Conflict) as caught:
        undo_decision(review=review, reviewer=cast.lead)
    assert caught.value.code == "built_upon"
    assert Submission.objects.get(pk=submission.pk).status == "rejected"


def test_it_is_too_late_once_its_author_mends_it(cast, submission):
    review = give_back(submission, cast.lead)
    claim_next(user=cast.annotator, project=cast.project)
    with pytest.raises(Conflict):
        undo_decision(review=review, reviewer=cast.lead)
    assert Assignment.objects.get(pk=submission.assignment_id).status == "leased"


def test_it_is_too_late_once_its_author_appeals(cast, submission):
    review = fix(submission, cast.lead)
    open_appeal(submission=submission, author=cast.annotator, text="Why?")
    with pytest.raises(Conflict):
        undo_decision(review=review, reviewer=cast.lead)


def test_taking_it_back_twice_is_refused(cast, submission):
    review = accept(submission, cast.lead)
    undo_decision(review=review, reviewer=cast.lead)
    with pytest.raises(Conflict) as caught:
        undo_decision(review=review, reviewer=cast.lead)
    assert caught.value.code == "already_reopened"


def test_its_author_who_was_told_is_told_again(cast, submission):
    undo_decision(review=reject(submission, cast.lead), reviewer=cast.lead)
    kinds = list(cast.annotator.notifications.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["submission.rejected", "submission.undone"]


def test_several_are_taken_back_each_on_its_own(cast):
    make_demonstration_batch(cast.project, tasks=2, review_rate=1)
    first, second = (do_next(cast.annotator, cast.project) for _ in range(2))
    reviews = [reject(first, cast.lead), reject(second, cast.lead)]
    taken = claim_next(user=cast.peer, project=cast.project)
    outcomes = undo_decisions(reviews=reviews, reviewer=cast.lead)
    assert [error.code if error else None for _, error in outcomes] == [
        "built_upon" if taken.task_id == submission.task_id else None for submission in (first, second)
    ]


def test_what_stands_again_is_all_that_its_author_had_sent(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    assignment = claim_next(user=cast.annotator, project=cast.project)
    submission = submit(
        assignment,
        cast.annotator,
        text="Write to ann@mail.org about Paris.",
        pasted_characters=9,
        confirmed_warnings=["personal_data"],
    )
    before = submission.current
    undo_decision(review=fix(submission, cast.lead), reviewer=cast.lead)
    after = Submission.objects.get(pk=submission.pk).current
    assert [each["check"] for each in after.warnings] == ["personal_data"]
    kept = ("text", "warnings", "answers", "pasted_characters", "form_version_id", "started_from_id")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]


def test_the_reasons_why_completions_cannot_be_ranked_stand_again(cast):
    make_ranking_batch(cast.project, tasks=1, k=3, review_rate=1)
    assignment = claim(cast.annotator, cast.project)
    *ranked, bad = shown_order(task=assignment.task, user=cast.annotator)[0]
    why = {str(bad): {"reason": "cut_off", "note": ""}}
    fields = ranking_of(assignment, cast.annotator) | {"tiers": [[pk] for pk in ranked], "unrankable": [bad]}
    submission = submit(assignment, cast.annotator, **fields, unrankable_reasons=why)
    tiers = [[pk] for pk in reversed(ranked)]
    review = fix_submission(submission=submission, revision=1, reviewer=cast.lead, tiers=tiers)
    undo_decision(review=review, reviewer=cast.lead)
    assert Submission.objects.get(pk=submission.pk).current.unrankable_reasons == why
