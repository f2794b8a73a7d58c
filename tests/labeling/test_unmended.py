"""Returned work that its author does not mend waits for a lead again: no piece and no batch is stuck."""

from __future__ import annotations

import pytest
from django.urls import reverse

from annotate.errors import Conflict, Forbidden, Gone
from labeling import review_queues
from labeling.models import (
    Assignment,
    AuditEvent,
    Draft,
    LedgerEntry,
    Notification,
    Review,
    Skip,
    Submission,
    Task,
)
from labeling.reports import waiting_decisions
from labeling.services.appeals import decide_appeal, open_appeal
from labeling.services.assignments import claim_next, skip_assignment
from labeling.services.batches import close_batch
from labeling.services.bulk_reviews import Chosen, decide_many
from labeling.services.drafts import save_draft
from labeling.services.judgment_check import verify_judgments
from labeling.services.people import pause_member, remove_member, resume_member
from labeling.services.requeue import requeue_submissions
from labeling.services.review_rules import is_undecided
from labeling.services.reviews import (
    accept_submission,
    fix_submission,
    reject_submission,
    reopen_submission,
    return_submission,
)
from labeling.services.task_control import close_task, unassign_slot
from labeling.services.undo import undo_decision
from tests.factories import make_demonstration_batch

from .work import claim, do_next, submit, worked

WAITS = "not_mended"


@pytest.fixture
def returned(cast) -> Submission:
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="One sentence, please.")
    submission.refresh_from_db()
    return submission


def pause(cast):
    pause_member(membership=cast.project.memberships.get(user=cast.annotator), acting_user=cast.admin)


def remove(cast):
    remove_member(membership=cast.project.memberships.get(user=cast.annotator), acting_user=cast.admin)


def disable(cast):
    cast.annotator.is_active = False
    cast.annotator.save(update_fields=["is_active"])


def skip(cast):
    skip_assignment(
        assignment=claim(cast.annotator, cast.project), user=cast.annotator, reason="not_my_field"
    )


LEAVE = pytest.mark.parametrize("leave", [pause, remove, disable, skip])


def waiting(cast, reviewer=None):
    reviewer = reviewer or cast.lead
    return list(review_queues.waiting(project=cast.project, reviewer=reviewer, reason=WAITS))


def decide(act, submission, reviewer, **fields):
    return act(submission=submission, revision=submission.revision_count, reviewer=reviewer, **fields)


def state(submission) -> tuple[str, str, str]:
    submission.refresh_from_db()
    task = Task.objects.get(pk=submission.task_id)
    slot = Assignment.objects.get(pk=submission.assignment_id)
    return submission.status, slot.status, task.status


def problems() -> list[str]:
    return [each for _, found in verify_judgments() for each in found]


# --- Nobody mends it: a lead decides ------------------------------------------------------------------------
@LEAVE
def test_it_waits_for_a_lead_and_is_counted(cast, returned, leave):
    assert waiting(cast) == []
    leave(cast)
    assert waiting(cast) == [returned]
    assert review_queues.counts_by_reason(project=cast.project, reviewer=cast.lead)[WAITS] == 1
    assert [(each["count"], each["route"]) for each in waiting_decisions(cast.project, cast.lead)] == [
        (1, "labeling:review_queue")
    ]


@LEAVE
def test_rejected_it_goes_to_somebody_else_and_the_batch_finishes(cast, returned, leave):
    leave(cast)
    review = decide(reject_submission, returned, cast.lead, note="Nobody mends it.")
    assert (review.status_before, review.queue_reason) == ("returned", WAITS)
    assert state(returned) == ("rejected", "void", "open")
    other = do_next(cast.peer, cast.project)
    decide(accept_submission, other, cast.lead)
    assert other.task_id == returned.task_id
    assert state(other) == ("accepted", "submitted", "done")
    assert not problems()


@LEAVE
@pytest.mark.parametrize("act", [accept_submission, fix_submission])
def test_accepted_or_fixed_after_all_it_ends_its_task(cast, returned, leave, act):
    leave(cast)
    fields = {"text": "Paris."} if act is fix_submission else {}
    decide(act, returned, cast.lead, **fields)
    assert state(returned) == ("accepted", "submitted", "done")
    assert [each.reopened_at is None for each in returned.reviews.order_by("pk")] == [False, True]
    assert not problems()


@LEAVE
def test_it_is_not_returned_once_more_to_whom_it_does_not_reach(cast, returned, leave):
    leave(cast)
    with pytest.raises(Conflict) as caught:
        decide(return_submission, returned, cast.lead, note="Once more.")
    assert caught.value.code in ("author_away", "author_skipped")
    assert state(returned) == ("returned", "returned", "open")


def test_several_are_handed_on_at_once(cast):
    make_demonstration_batch(cast.project, tasks=3, review_rate=1)
    pieces = [do_next(cast.annotator, cast.project) for _ in range(3)]
    for each in pieces:
        decide(return_submission, each, cast.lead, note="Shorter.")
    pause(cast)
    chosen = [Chosen(each, 1) for each in waiting(cast)]
    decide_many(project=cast.project, chosen=chosen, decision="rejected", reviewer=cast.lead, note="Away.")
    assert {do_next(cast.peer, cast.project).task_id for _ in pieces} == {each.task_id for each in pieces}


def test_while_its_author_can_mend_it_nobody_else_decides(cast, returned):
    with pytest.raises(Conflict) as caught:
        decide(reject_submission, returned, cast.lead, note="Copied.")
    assert caught.value.code == "already_decided"
    assert "Reopen it" in caught.value.hint


def test_who_is_back_mends_it_as_before(cast, returned):
    pause(cast)
    resume_member(membership=cast.project.memberships.get(user=cast.annotator), acting_user=cast.admin)
    assert waiting(cast) == []
    assert do_next(cast.annotator, cast.project, text="Paris.").pk == returned.pk
    assert state(returned) == ("awaiting_review", "submitted", "done")


def test_who_is_back_and_mends_it_is_not_overtaken_by_a_page_opened_before(cast, returned):
    pause(cast)
    resume_member(membership=cast.project.memberships.get(user=cast.annotator), acting_user=cast.admin)
    claim(cast.annotator, cast.project)
    with pytest.raises(Conflict):
        decide(reject_submission, returned, cast.lead, note="Away.")
    assert state(returned) == ("returned", "leased", "open")


def test_one_s_own_is_another_lead_s_to_decide(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    own = do_next(cast.lead, cast.project)
    decide(return_submission, own, cast.admin, note="Shorter.")
    skip_assignment(assignment=claim(cast.lead, cast.project), user=cast.lead, reason="not_my_field")
    assert (waiting(cast), waiting(cast, cast.admin)) == ([], [own])
    with pytest.raises(Forbidden):
        decide(accept_submission, own, cast.lead)
    with pytest.raises(Forbidden):
        reopen_submission(submission=own, reviewer=cast.lead)


def test_a_closed_task_waits_for_nobody(cast, returned):
    pause(cast)
    close_task(task=returned.task, acting_user=cast.lead)
    assert (waiting(cast), is_undecided(returned)) == ([], False)


def test_in_a_closed_batch_it_can_be_ended_too(cast, returned):
    pause(cast)
    close_batch(batch=returned.task.batch, acting_user=cast.lead)
    decide(reject_submission, returned, cast.lead, note="Away.")
    assert state(returned) == ("rejected", "void", "closed")


def test_an_appeal_is_answered_first(cast, returned):
    appeal = open_appeal(submission=returned, author=cast.annotator, text="It is one sentence.")
    pause(cast)
    assert waiting(cast) == []
    decide_appeal(appeal=appeal, reviewer=cast.admin, outcome="upheld", note="It is two.")
    assert waiting(cast) == [returned]


def test_who_returned_it_hears_that_it_was_skipped(cast, returned):
    skip(cast)
    line = Notification.objects.get(user=cast.lead, kind="submission.not_mended")
    assert cast.annotator.name in line.text
    assert line.path == reverse("labeling:review_submission", args=[cast.project.slug, returned.pk])


@LEAVE
@pytest.mark.parametrize("act", [accept_submission, fix_submission, reject_submission])
def test_taken_back_at_once_it_is_returned_as_before(cast, returned, leave, act):
    leave(cast)
    fields = {fix_submission: {"text": "Paris."}, reject_submission: {"note": "Away."}}.get(act, {})
    review = decide(act, returned, cast.lead, **fields)
    undo_decision(review=review, reviewer=cast.lead)
    assert state(returned) == ("returned", "returned", "open")
    assert waiting(cast) == [returned]
    assert Task.objects.get(pk=returned.task_id).assignments.live().count() == 1
    standing = returned.reviews.get(reopened_at=None)
    assert (standing.decision, standing.note) == ("returned", "One sentence, please.")
    assert not problems()


# --- Its author has it: a lead takes it back ----------------------------------------------------------------
def take_back(cast, returned):
    unassign_slot(assignment=returned.assignment, acting_user=cast.lead)


def reopen(cast, returned):
    reopen_submission(submission=returned, reviewer=cast.lead, note="It takes too long.")


def in_bulk(cast, returned):
    answer = requeue_submissions(
        project=cast.project, submission_ids=[returned.pk], mode="review", note="", acting_user=cast.lead
    )
    assert answer.done == [returned.pk]


TAKE_BACK = pytest.mark.parametrize("take", [take_back, reopen, in_bulk])


@TAKE_BACK
@pytest.mark.parametrize("is_mending", [False, True])
def test_taken_back_it_waits_for_review_and_can_be_rejected(cast, returned, take, is_mending):
    if is_mending:
        claim(cast.annotator, cast.project)
    take(cast, returned)
    assert state(returned) == ("awaiting_review", "submitted", "done")
    assert returned.review_reason == "reopened"
    assert Notification.objects.filter(user=cast.annotator, kind="submission.undone").exists()
    assert AuditEvent.objects.filter(action="submission.reopened", actor=cast.lead).count() == 1
    decide(reject_submission, returned, cast.lead, note="It takes too long.")
    assert do_next(cast.peer, cast.project).task_id == returned.task_id
    assert not problems()


def test_what_was_being_mended_is_kept_and_its_time_counts(cast, returned):
    mending = claim(cast.annotator, cast.project)
    worked(mending, 300)
    save_draft(task=mending.task, user=cast.annotator, body={"text": "Par"}, revision=1, active_seconds=60)
    take_back(cast, returned)
    assert LedgerEntry.objects.get(user=cast.annotator, activity="release").claimed_seconds == 60
    with pytest.raises(Gone) as caught:
        submit(mending, cast.annotator, text="Paris.")
    assert caught.value.code == "taken_back"
    draft = Draft.objects.get(user=cast.annotator)
    assert (draft.body["text"], draft.is_late) == ("Paris.", False)
    assert state(returned)[0] == "awaiting_review"


def test_what_was_appealed_is_not_taken_back(cast, returned):
    open_appeal(submission=returned, author=cast.annotator, text="It is one sentence.")
    for take in (take_back, reopen):
        with pytest.raises(Conflict) as caught:
            take(cast, returned)
        assert caught.value.code == "appeal_open"


def test_what_a_lead_withdrew_once_reaches_its_author_when_it_is_returned(cast):
    """Late work of a task that was taken back: the lead who returns it gives the task back with it."""
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    Skip.objects.create(task=submission.task, user=cast.annotator, reason="withdrawn")
    decide(return_submission, submission, cast.lead, note="Shorter.")
    assert claim(cast.annotator, cast.project).pk == submission.assignment_id


def test_rejected_work_does_not_open_a_task_that_a_lead_closed(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    close_task(task=submission.task, acting_user=cast.lead)
    decide(reject_submission, submission, cast.lead, note="Copied.")
    assert claim_next(user=cast.peer, project=cast.project) is None
    assert Review.objects.get().decision == "rejected"


# --- Pages --------------------------------------------------------------------------------------------------
def test_the_tab_and_the_page_say_why_it_waits(cast, returned, client):
    skip(cast)
    client.force_login(cast.lead)
    queue = client.get(reverse("labeling:review_queue", args=[cast.project.slug]), {"reason": WAITS})
    page = client.get(reverse("labeling:review_submission", args=[cast.project.slug, returned.pk]))
    assert "Nobody mends it" in queue.content.decode()
    text = page.content.decode()
    assert "One sentence, please." in text
    assert "Its author does not mend it" in text
    assert 'data-dialog="#return"' not in text


def test_the_task_s_page_offers_to_take_returned_work_back(cast, returned, client):
    client.force_login(cast.lead)
    url = reverse("labeling:task_detail", args=[cast.project.slug, returned.task_id])
    assert 'value="unassign"' in client.get(url).content.decode()
    change = reverse("labeling:task_change", args=[cast.project.slug, returned.task_id])
    answer = client.post(change, {"change": "unassign", "slot": returned.assignment_id}, follow=True)
    assert "It waits for review again" in answer.content.decode()
    assert state(returned)[0] == "awaiting_review"


def test_the_piece_s_page_takes_it_back_and_goes_on_to_its_review(cast, returned, client):
    client.force_login(cast.lead)
    page = client.get(reverse("labeling:submission_detail", args=[cast.project.slug, returned.pk]))
    reopen_url = reverse("labeling:review_reopen", args=[cast.project.slug, returned.pk])
    assert reopen_url in page.content.decode()
    answer = client.post(reopen_url)
    assert answer["Location"] == reverse("labeling:review_submission", args=[cast.project.slug, returned.pk])


def test_who_pauses_somebody_is_told_what_waits(cast, returned, client):
    client.force_login(cast.admin)
    member = cast.project.memberships.get(user=cast.annotator)
    answer = client.post(
        reverse("labeling:member_change", args=[cast.project.slug, member.pk]),
        {"change": "pause"},
        follow=True,
    )
    assert "1 piece that was returned to them waits under Review" in answer.content.decode()
