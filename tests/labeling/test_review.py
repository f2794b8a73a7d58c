"""Decisions on submissions."""

from __future__ import annotations

import pytest

from annotate.errors import Conflict, Forbidden, Invalid
from labeling import queues
from labeling.models import Assignment, AuditEvent, Review, Role
from labeling.services.assignments import claim_next
from labeling.services.batches import close_batch
from labeling.services.people import change_role, pause_member
from labeling.services.reviews import (
    accept_submission,
    fix_submission,
    reject_submission,
    reopen_submission,
    return_submission,
)
from tests.factories import make_demonstration_batch, make_ranking_batch

from .work import arrived, claim, do_next, submit


@pytest.fixture
def submission(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    return do_next(cast.annotator, cast.project)


@pytest.fixture
def ranking(cast):
    make_ranking_batch(cast.project, tasks=1, review_rate=1)
    return do_next(cast.annotator, cast.project)


def decide(verb, submission, reviewer, **fields):
    return verb(submission=submission, revision=submission.revision_count, reviewer=reviewer, **fields)


def test_accepting_makes_it_count(cast, submission):
    arrived(submission, seconds_ago=60)
    review = decide(accept_submission, submission, cast.lead, note="Fine.", active_seconds=12)
    submission.refresh_from_db()
    assert (submission.status, submission.decided_at is not None) == ("accepted", True)
    assert (review.queue_reason, review.revision, review.active_seconds) == ("sampled", 1, 12)


def test_returning_gives_it_back_to_its_author_with_the_reason(cast, submission):
    decide(return_submission, submission, cast.lead, reasons=["style"], note="One sentence.")
    submission.refresh_from_db()
    assignment = Assignment.objects.get(pk=submission.assignment_id)
    assert (submission.status, assignment.status, assignment.annotator) == (
        "returned",
        "returned",
        cast.annotator,
    )
    assert assignment.task.status == "open"
    notification = cast.annotator.notifications.get()
    assert "Tone or form is against the guideline; One sentence." in notification.text
    assert notification.path.endswith(f"/work/{assignment.pk}/")


def test_a_fix_is_a_revision_of_its_own_by_the_reviewer(cast, submission):
    decide(fix_submission, submission, cast.lead, text="Paris is the capital.")
    submission.refresh_from_db()
    first, second = submission.demonstrations.all()
    assert (first.text, first.is_current) == ("Paris is the capital of France.", False)
    assert (second.origin, second.author, second.text) == ("fix", cast.lead, "Paris is the capital.")
    assert (submission.status, submission.revision_count, submission.annotator) == (
        "accepted",
        2,
        cast.annotator,
    )
    assert cast.annotator.notifications.get().kind == "submission.fixed"


def test_a_fix_of_a_ranking_keeps_what_was_shown(cast, ranking):
    before = ranking.current
    order = list(reversed(before.tiers))
    decide(fix_submission, ranking, cast.lead, tiers=order)
    after = ranking.current
    assert (after.tiers, after.scores) == (order, before.scores)
    assert (after.presented_order, after.shuffle_seed) == (before.presented_order, before.shuffle_seed)


def test_a_fix_that_changes_nothing_is_refused(cast, submission, ranking):
    with pytest.raises(Invalid) as caught:
        decide(fix_submission, submission, cast.lead, text=submission.current.text)
    assert caught.value.code == "unchanged"
    with pytest.raises(Invalid):
        decide(fix_submission, ranking, cast.lead, tiers=ranking.current.tiers)
    assert not Review.objects.exists()


def test_a_fix_obeys_the_same_rules_as_a_submission(cast, ranking):
    with pytest.raises(Invalid) as caught:
        decide(fix_submission, ranking, cast.lead, tiers=ranking.current.tiers[1:])
    assert caught.value.field == "tiers"
    ranking.refresh_from_db()
    assert (ranking.status, ranking.revision_count) == ("awaiting_review", 1)


def test_rejecting_voids_the_slot_and_opens_a_new_one(cast, submission):
    decide(reject_submission, submission, cast.lead, note="Copied.")
    slots = list(Assignment.objects.filter(task=submission.task).order_by("slot"))
    assert [each.status for each in slots] == ["void", "open"]
    assert submission.task.assignments.live().count() == submission.task.overlap
    assert claim(cast.peer, cast.project).pk == slots[1].pk


def test_rejecting_without_reopening_ends_the_task(cast, submission):
    decide(reject_submission, submission, cast.lead, note="Copied.", reopen=False)
    submission.task.refresh_from_db()
    assert submission.task.status == "closed"
    assert claim_next(user=cast.peer, project=cast.project) is None


def test_a_closed_batch_gets_no_new_slot(cast, submission):
    close_batch(batch=submission.task.batch, acting_user=cast.lead)
    decide(reject_submission, submission, cast.lead, note="Copied.")
    assert submission.task.assignments.count() == 1


@pytest.mark.parametrize("verb", [return_submission, reject_submission])
def test_bad_news_needs_a_reason(cast, submission, verb):
    with pytest.raises(Invalid) as caught:
        decide(verb, submission, cast.lead, note="  ")
    assert caught.value.field == "reasons"
    with pytest.raises(Invalid):
        decide(verb, submission, cast.lead, reasons=["no such reason"])


@pytest.mark.parametrize("verb", [accept_submission, return_submission, reject_submission])
def test_nobody_reviews_themselves(cast, submission, verb):
    change_role(
        membership=cast.project.memberships.get(user=cast.annotator), role=Role.LEAD, acting_user=cast.admin
    )
    with pytest.raises(Forbidden) as caught:
        decide(verb, submission, cast.annotator, note="Very good.")
    assert caught.value.code == "own_work"
    assert not queues.review_queue(project=cast.project, reviewer=cast.annotator).exists()


def test_the_second_of_two_leads_is_told_who_decided_what(cast, submission):
    decide(accept_submission, submission, cast.lead)
    with pytest.raises(Conflict) as caught:
        decide(reject_submission, submission, cast.admin, note="No.")
    assert caught.value.code == "already_decided"
    assert "Lena accepted" in caught.value.message
    assert [review.decision for review in Review.objects.all()] == ["accepted"]


def test_a_decision_on_an_older_revision_is_refused(cast, submission):
    decide(return_submission, submission, cast.lead, note="Shorter.")
    do_next(cast.annotator, cast.project, text="Paris.")
    with pytest.raises(Conflict) as caught:
        accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    assert caught.value.code == "newer_revision"


def test_work_of_somebody_who_left_is_not_returned_into_the_void(cast, submission):
    pause_member(membership=cast.project.memberships.get(user=cast.annotator), acting_user=cast.lead)
    with pytest.raises(Conflict) as caught:
        decide(return_submission, submission, cast.lead, note="Shorter.")
    assert caught.value.code == "author_away"
    decide(accept_submission, submission, cast.lead)


def test_accepted_work_can_be_reopened_and_decided_anew(cast, submission):
    decide(accept_submission, submission, cast.lead)
    reopen_submission(submission=submission, reviewer=cast.admin, note="Look again.")
    submission.refresh_from_db()
    assert (submission.status, submission.review_reason) == ("awaiting_review", "reopened")
    decide(reject_submission, submission, cast.admin, note="Copied.")
    assert [(each.decision, each.reopened_at is None) for each in submission.reviews.all()] == [
        ("accepted", False),
        ("rejected", True),
    ]


def test_only_accepted_work_can_be_reopened(cast, submission):
    with pytest.raises(Conflict):
        reopen_submission(submission=submission, reviewer=cast.lead)


def test_nobody_decides_on_their_own_fix(cast, submission):
    decide(fix_submission, submission, cast.lead, text="Paris is the capital.")
    reopen_submission(submission=submission, reviewer=cast.admin)
    submission.refresh_from_db()
    with pytest.raises(Forbidden):
        decide(accept_submission, submission, cast.lead)
    assert not queues.review_queue(project=cast.project, reviewer=cast.lead).exists()
    assert queues.review_queue(project=cast.project, reviewer=cast.admin).exists()


def test_nobody_decides_on_somebody_elses_fix_of_their_own_work(cast, submission):
    decide(fix_submission, submission, cast.lead, text="Paris is the capital.")
    reopen_submission(submission=submission, reviewer=cast.admin)
    submission.refresh_from_db()
    change_role(
        membership=cast.project.memberships.get(user=cast.annotator), role=Role.LEAD, acting_user=cast.admin
    )
    with pytest.raises(Forbidden):
        decide(accept_submission, submission, cast.annotator)


def test_every_decision_leaves_an_audit_row(cast, submission):
    decide(return_submission, submission, cast.lead, reasons=["facts"])
    event = AuditEvent.objects.get(action="submission.reviewed")
    assert (event.actor, event.data["decision"], event.data["reasons"]) == (cast.lead, "returned", ["facts"])


def test_a_fix_that_ranks_what_could_not_be_ranked_drops_its_reason_and_keeps_the_others(cast):
    make_ranking_batch(cast.project, tasks=1, k=4, review_rate=1)
    assignment = claim(cast.annotator, cast.project)
    a, b, c, d = assignment.presentation["order"]
    why = {c: {"reason": "unsafe"}, d: {"reason": "cut_off"}}
    submission = submit(
        assignment,
        cast.annotator,
        tiers=[[a], [b]],
        unrankable=[c, d],
        unrankable_reasons=why,
        touched=[a, b, c, d],
    )
    fix_submission(
        submission=submission, revision=1, reviewer=cast.lead, tiers=[[a], [b], [c]], unrankable=[d],
        scores={a: 7, b: 5, c: 2},
    )  # fmt: skip
    assert submission.current.unrankable_reasons == {str(d): {"reason": "cut_off", "note": ""}}
