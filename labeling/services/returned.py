"""The end of a return, other than by mending: a lead decides on the work after all, or takes it back.

In the caller's transaction, which has locked the task and the submission (review_rules.locked).
"""

from __future__ import annotations

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict
from annotate.words import later
from labeling.models import (
    Assignment,
    AssignmentStatus,
    Review,
    ReviewDecision,
    Skip,
    SkipReason,
    Submission,
    Task,
)
from labeling.unmended import is_unmended

from . import ledger
from .activity import notify
from .slots import finish_task, unfinish_task

IN_HAND = (  # their author's, whether they are at it or not
    AssignmentStatus.RETURNED,
    AssignmentStatus.LEASED,
)


def end_return(submission: Submission, task: Task, *, also_in_hand: bool = False) -> None:
    """The return stands no longer, and the slot is as it was before it: the work can be decided on. Raises
    Conflict where its author has it in hand, unless `also_in_hand`: then what they worked is booked.
    """
    slots = Assignment.objects.select_for_update(no_key=True, of=("self",))
    slot = slots.get(submission=submission)
    held = slot.status == AssignmentStatus.LEASED
    allowed = IN_HAND if also_in_hand else [AssignmentStatus.RETURNED]
    rows = Assignment.objects.filter(pk=slot.pk, status__in=allowed)
    if not rows.update(status=AssignmentStatus.SUBMITTED, lease_expires_at=None):
        raise Conflict(
            "Its author has taken it up again.",
            code="in_hand",
            hint="Wait for what they send, or reopen it.",
        )
    submission.reviews.filter(reopened_at=None).update(reopened_at=timezone.now())
    finish_task(task)
    if held:
        ledger.book_withdrawn(slot=slot)


def return_again(submission: Submission, task: Task) -> None:
    """A decision on returned work was taken back, its slot reinstated: the return stands as before."""
    Assignment.objects.filter(submission=submission).update(status=AssignmentStatus.RETURNED)
    unfinish_task(task)
    last = list(_returns(submission).order_by("-pk").values_list("pk", flat=True)[:1])
    Review.objects.filter(pk__in=last).update(reopened_at=None)


def let_author_have_it(submission: Submission) -> None:
    """What a lead once took back from them (and took in late) is given to them again with the return."""
    taken = Skip.objects.filter(task=submission.task_id, user=submission.annotator_id)
    taken.filter(reason=SkipReason.WITHDRAWN).delete()


def tell_of_skip(skip: Skip) -> None:
    """Who returned the work hears that its author has passed on it."""
    rows = Submission.objects.select_related("project")
    submission = rows.filter(task=skip.task_id, annotator=skip.user_id).first()
    if submission is None or not is_unmended(submission):
        return
    review = _returns(submission).filter(reopened_at=None).select_related("reviewer").first()
    if review is not None:
        notify(
            user=review.reviewer,
            project=submission.project,
            kind="submission.not_mended",
            text=later("%(who)s skipped what you had returned. It waits for a decision.", who=skip.user),
            path=reverse("labeling:review_submission", args=[submission.project.slug, submission.pk]),
        )


def _returns(submission: Submission) -> QuerySet[Review]:
    return submission.reviews.filter(decision=ReviewDecision.RETURNED)
