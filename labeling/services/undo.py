"""Taking back one's last decision: a recorded reopening, in which nothing is deleted."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from annotate.errors import Conflict, DomainError
from annotate.words import _
from labeling.models import (
    Appeal,
    Assignment,
    AssignmentStatus,
    Review,
    ReviewDecision,
    Submission,
    SubmissionStatus,
)

from . import digests
from .activity import record_event
from .ranking_signals import refresh_signals
from .restoring import reinstate_slot, restore_revision
from .returned import return_again
from .review_ledger import take_back_review
from .review_rules import locked, standing_review
from .reviews import TOLD_WITHOUT_A_NOTE, tell_undone
from .written_prompts import settle_prompts

UNDO_MINUTES = 2  # longer than the pages offer it: a slow click is still a click


@transaction.atomic
def undo_decision(*, review: Review, reviewer) -> Submission:
    """The submission is what it was before, and waits again, or is returned as it was. The decision stays on
    record as reopened.

    Raises Conflict for somebody else's decision, and when it is too late: time has passed, the author has
    begun to mend or has appealed, or somebody else was given the task.
    """
    submission, task = locked(review.submission)
    review = Review.objects.select_related("reviewer").get(pk=review.pk)
    _check(review, submission, reviewer)
    restored = None
    if task is not None and review.decision == ReviewDecision.RETURNED:
        slot = Assignment.objects.filter(submission=submission, status=AssignmentStatus.RETURNED)
        if not slot.exists():
            raise _too_late("Its author has taken it up already.")
        reinstate_slot(submission, task, may_add=False)
    elif task is not None and review.decision == ReviewDecision.REJECTED:
        reinstate_slot(submission, task, may_add=False)
    elif review.decision == ReviewDecision.FIXED:
        restored = restore_revision(submission, review)
    Review.objects.filter(pk=review.pk).update(reopened_at=timezone.now())
    submission.status = review.status_before
    if task is not None and submission.status == SubmissionStatus.RETURNED:
        return_again(submission, task)
    waits = submission.status == SubmissionStatus.AWAITING_REVIEW
    submission.decided_at = None if waits else timezone.now()
    # It was decided on because it waited, or because nobody had reviewed it; or it had been returned.
    is_returned = submission.status == SubmissionStatus.RETURNED
    submission.verdict = ReviewDecision.RETURNED if is_returned else ""
    submission.save(update_fields=["status", "decided_at", "verdict"])
    settle_prompts(submission)
    refresh_signals(submission, task)
    take_back_review(review=review)
    record_event(
        action="submission.decision_undone",
        actor=reviewer,
        obj=submission,
        project=submission.project,
        decision=review.decision,
        review=review.pk,
        status=str(submission.status),
        digests={"judgment": digests.of_judgment(restored, submission)} if restored is not None else {},
    )
    told = review.note or review.queue_reason in TOLD_WITHOUT_A_NOTE
    if review.decision != ReviewDecision.ACCEPTED or told:
        tell_undone(submission, reviewer)
    return submission


def undo_decisions(*, reviews: list[Review], reviewer) -> list[tuple[Review, DomainError | None]]:
    """Take several back, each on its own: what cannot be undone is reported and hinders no other."""
    outcomes: list[tuple[Review, DomainError | None]] = []
    for review in reviews:
        try:
            undo_decision(review=review, reviewer=reviewer)
        except DomainError as error:
            outcomes.append((review, error))
        else:
            outcomes.append((review, None))
    return outcomes


def _check(review: Review, submission: Submission, reviewer) -> None:
    if review.reviewer_id != reviewer.pk:
        raise Conflict("You can take back only what you decided yourself.", code="not_your_decision")
    if review.reopened_at is not None:
        raise Conflict("This decision was taken back or reopened already.", code="already_reopened")
    last = standing_review(submission)
    if last is None or last.pk != review.pk:
        raise _too_late("Something newer was decided on it.")
    changed = submission.revision_count - review.revision - (review.decision == ReviewDecision.FIXED)
    if changed or submission.status == SubmissionStatus.AWAITING_REVIEW:
        raise _too_late("A newer revision has come in.")
    if Appeal.objects.filter(submission=submission).exists():
        raise _too_late("Its author has appealed.")
    recent = Review.objects.filter(pk=review.pk, created_at__gte=Now() - timedelta(minutes=UNDO_MINUTES))
    if not recent.exists():
        raise _too_late("More than a moment has passed.")


def _too_late(why: str) -> Conflict:
    return Conflict(
        _("Too late to undo. %(why)s") % {"why": why},
        code="too_late",
        hint="Accepted work can still be reopened by a lead.",
    )
