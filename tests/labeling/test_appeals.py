"""An author objects once to a fix, return or rejection; somebody else decides."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotate.errors import Conflict, Forbidden, Gone, Invalid
from labeling import queues
from labeling.models import Appeal, Assignment, AuditEvent, Review, Submission, Task
from labeling.services.appeals import decide_appeal, open_appeal, withdraw_appeal
from labeling.services.assignments import claim_next
from labeling.services.people import pause_member
from labeling.services.reviews import (
    accept_submission,
    fix_submission,
    reject_submission,
    reopen_submission,
    return_submission,
)
from tests.factories import make_demonstration_batch, make_ranking_batch

from .work import claim, do_next, submit


@pytest.fixture
def submission(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    return do_next(cast.annotator, cast.project)


def fixed(submission, reviewer):
    return fix_submission(submission=submission, revision=1, reviewer=reviewer, text="Paris.")


def returned(submission, reviewer):
    return return_submission(submission=submission, revision=1, reviewer=reviewer, note="Shorter.")


def rejected(submission, reviewer):
    return reject_submission(submission=submission, revision=1, reviewer=reviewer, note="Copied.")


def appeal_of(submission, text="It is what the guideline asks for."):
    return open_appeal(submission=submission, author=submission.annotator, text=text)


def decide(appeal, reviewer, outcome="overturned", note="The author is right."):
    return decide_appeal(appeal=appeal, reviewer=reviewer, outcome=outcome, note=note)


@pytest.mark.parametrize("verb", [fixed, returned, rejected])
def test_bad_news_can_be_appealed_and_other_reviewers_are_told(cast, submission, verb):
    verb(submission, cast.lead)
    appeal = appeal_of(submission)
    assert appeal.is_open
    assert [each.kind for each in cast.admin.notifications.all()] == ["appeal.opened"]
    assert not cast.lead.notifications.filter(kind="appeal.opened").exists()
    assert AuditEvent.objects.get(action="appeal.opened").actor == cast.annotator


def test_accepted_work_cannot_be_appealed(cast, submission):
    accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    with pytest.raises(Conflict) as caught:
        appeal_of(submission)
    assert caught.value.code == "nothing_to_appeal"


def test_only_its_author_appeals_and_says_why(cast, submission):
    returned(submission, cast.lead)
    with pytest.raises(Forbidden):
        open_appeal(submission=submission, author=cast.peer, text="Unfair.")
    with pytest.raises(Invalid) as caught:
        appeal_of(submission, text="  ")
    assert caught.value.field == "text"


def test_one_appeal_is_possible_whatever_becomes_of_it(cast, submission):
    returned(submission, cast.lead)
    decide(appeal_of(submission), cast.admin, "upheld", "It is too long.")
    do_next(cast.annotator, cast.project, text="Paris it is.")
    submission.refresh_from_db()
    return_submission(submission=submission, revision=2, reviewer=cast.lead, note="Still.")
    with pytest.raises(Gone):
        appeal_of(submission)
    with pytest.raises(IntegrityError), transaction.atomic():
        Appeal.objects.create(
            project=cast.project,
            submission=submission,
            review=submission.reviews.last(),
            author=cast.annotator,
            text="Again.",
        )


def test_an_overturned_fix_brings_the_authors_words_back_as_a_new_revision(cast, submission):
    original = submission.current.text
    review = fixed(submission, cast.lead)
    decide(appeal_of(submission), cast.admin)
    submission.refresh_from_db()
    texts = list(submission.demonstrations.values_list("revision", "origin", "text", "is_current"))
    assert texts == [
        (1, "original", original, False),
        (2, "fix", "Paris.", False),
        (3, "restored", original, True),
    ]
    assert (submission.status, submission.revision_count) == ("accepted", 3)
    review.refresh_from_db()
    assert review.reopened_at is not None
    last = submission.reviews.last()
    assert (last.decision, last.queue_reason, last.reviewer, last.revision) == (
        "accepted",
        "appealed",
        cast.admin,
        3,
    )


def test_an_overturned_fix_of_a_ranking_keeps_everything_the_author_gave(cast):
    make_ranking_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    before = submission.current
    fix_submission(submission=submission, revision=1, reviewer=cast.lead, tiers=list(reversed(before.tiers)))
    decide(appeal_of(submission), cast.admin)
    after = Submission.objects.get(pk=submission.pk).current
    for name in ("tiers", "scores", "flags", "touched", "presented_order", "shuffle_seed", "rationale"):
        assert getattr(after, name) == getattr(before, name), name
    assert (after.author, after.guideline_version_id) == (before.author, before.guideline_version_id)


def test_an_overturned_return_accepts_the_work_and_the_task_is_done(cast, submission):
    returned(submission, cast.lead)
    decide(appeal_of(submission), cast.admin)
    submission.refresh_from_db()
    slot = Assignment.objects.get(pk=submission.assignment_id)
    assert (submission.status, slot.status, slot.task.status) == ("accepted", "submitted", "done")


def test_while_appealed_a_returned_piece_is_not_handed_out_again(cast, submission):
    returned(submission, cast.lead)
    appeal = appeal_of(submission)
    assert claim_next(user=cast.annotator, project=cast.project) is None
    assert not queues.returned_work(user=cast.annotator, project=cast.project).exists()
    decide(appeal, cast.admin, "upheld", "It is too long.")
    assert claim_next(user=cast.annotator, project=cast.project).pk == submission.assignment_id


def test_mending_the_work_after_all_withdraws_the_appeal(cast, submission):
    returned(submission, cast.lead)
    slot = claim(cast.annotator, cast.project)
    appeal = appeal_of(submission)
    submit(slot, cast.annotator, text="Paris.")
    appeal.refresh_from_db()
    assert (appeal.status, appeal.decided_by) == ("withdrawn", None)
    with pytest.raises(Conflict):
        decide(appeal, cast.admin)


def test_overturning_while_its_author_mends_it_ends_the_mending(cast, submission):
    returned(submission, cast.lead)
    slot = claim(cast.annotator, cast.project)
    decide(appeal_of(submission), cast.admin)
    with pytest.raises(Gone) as caught:
        submit(slot, cast.annotator, text="Paris.")
    assert caught.value.code == "already_submitted"
    assert Submission.objects.get(pk=submission.pk).revision_count == 1


def test_an_overturned_rejection_counts_and_the_spare_slot_goes(cast, submission):
    rejected(submission, cast.lead)
    decide(appeal_of(submission), cast.admin)
    submission.refresh_from_db()
    slots = Assignment.objects.filter(task=submission.task).order_by("slot")
    assert (submission.status, [each.status for each in slots]) == ("accepted", ["submitted", "void"])
    task = Task.objects.get(pk=submission.task_id)
    assert (task.overlap, task.status) == (1, "done")


def test_an_overturned_rejection_beside_anothers_work_raises_the_overlap_by_one(cast, submission):
    rejected(submission, cast.lead)
    other = do_next(cast.peer, cast.project)
    decide(appeal_of(submission), cast.admin)
    task = Task.objects.get(pk=submission.task_id)
    assert task.overlap == 2 == task.assignments.live().count()
    assert Submission.objects.get(pk=other.pk).status == "awaiting_review"


def test_upholding_changes_nothing_but_the_appeal(cast, submission):
    rejected(submission, cast.lead)
    before = Submission.objects.values().get(pk=submission.pk)
    appeal = decide(appeal_of(submission), cast.admin, "upheld", "It is copied.")
    assert Submission.objects.values().get(pk=submission.pk) == before
    assert (appeal.status, appeal.decided_by, appeal.note) == ("upheld", cast.admin, "It is copied.")
    assert Review.objects.count() == 1


def test_both_sides_are_told_of_the_outcome(cast, submission):
    rejected(submission, cast.lead)
    decide(appeal_of(submission), cast.admin)
    for person in (cast.annotator, cast.lead):
        text = person.notifications.filter(kind="appeal.decided").get().text
        assert "overturned. The author is right." in text


def test_the_reviewer_of_the_decision_leaves_it_to_another(cast, submission):
    rejected(submission, cast.lead)
    appeal = appeal_of(submission)
    with pytest.raises(Forbidden) as caught:
        decide(appeal, cast.lead)
    assert caught.value.code == "own_decision"
    assert Appeal.objects.get().is_open


def test_a_sole_reviewer_may_decide_and_that_is_stored(cast, submission):
    rejected(submission, cast.lead)
    pause_member(membership=cast.project.memberships.get(user=cast.annotator), acting_user=cast.lead)
    appeal = appeal_of(submission)
    cast.project.memberships.filter(user=cast.admin).update(status="paused")
    decided = decide(appeal, cast.lead, "upheld", "Looked again.")
    assert decided.is_by_same_reviewer
    assert AuditEvent.objects.get(action="appeal.decided").data["same_reviewer"] is True


def test_an_author_who_became_lead_does_not_decide_on_themselves(cast, submission):
    rejected(submission, cast.lead)
    appeal = appeal_of(submission)
    cast.project.memberships.filter(user=cast.annotator).update(role="lead")
    with pytest.raises(Forbidden) as caught:
        decide(appeal, cast.annotator)
    assert caught.value.code == "own_work"


def test_the_second_of_two_deciders_is_told_who_was_faster(cast, submission):
    rejected(submission, cast.lead)
    appeal = appeal_of(submission)
    cast.project.memberships.filter(user=cast.peer).update(role="lead")
    decide(appeal, cast.admin, "upheld", "Copied.")
    with pytest.raises(Conflict) as caught:
        decide(appeal, cast.peer)
    assert "Alice upheld this appeal already" in caught.value.message


@pytest.mark.parametrize(("outcome", "note"), [("maybe", "Hm."), ("upheld", " ")])
def test_an_outcome_needs_a_note_and_is_one_of_two(cast, submission, outcome, note):
    rejected(submission, cast.lead)
    with pytest.raises(Invalid):
        decide(appeal_of(submission), cast.admin, outcome, note)
    assert Appeal.objects.get().is_open


def test_what_is_appealed_is_not_reopened_under_it(cast, submission):
    fixed(submission, cast.lead)
    appeal_of(submission)
    with pytest.raises(Conflict) as caught:
        reopen_submission(submission=submission, reviewer=cast.admin)
    assert caught.value.code == "appeal_open"


def test_an_author_withdraws_and_the_decision_stands(cast, submission):
    returned(submission, cast.lead)
    appeal = appeal_of(submission)
    with pytest.raises(Forbidden):
        withdraw_appeal(appeal=appeal, author=cast.peer)
    withdraw_appeal(appeal=appeal, author=cast.annotator)
    assert Appeal.objects.get().status == "withdrawn"
    assert claim_next(user=cast.annotator, project=cast.project).pk == submission.assignment_id


def test_the_database_refuses_an_outcome_without_who_and_when(cast, submission):
    rejected(submission, cast.lead)
    appeal = appeal_of(submission)
    for values in ({"status": "upheld"}, {"decided_at": timezone.now()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Appeal.objects.filter(pk=appeal.pk).update(**values)
