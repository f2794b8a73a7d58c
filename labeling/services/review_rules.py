"""Who may decide what on a submission, now: one definition for decisions, for the page, and for what a bulk
decision says before it is made. Nothing here writes; `locked` takes the rows in the order of all services.
"""

from __future__ import annotations

from annotate.errors import Conflict, DomainError, Forbidden, Invalid
from annotate.words import _, in_a_sentence
from labeling.models import (
    MembershipStatus,
    Review,
    ReviewDecision,
    ReviewReason,
    Skip,
    SkipReason,
    Submission,
    SubmissionStatus,
    Task,
)
from labeling.unmended import is_unmended

from .slots import lock_task


def locked(submission: Submission) -> tuple[Submission, Task | None]:
    """Task first, then the submission: the order in which submits lock them."""
    task = lock_task(submission.task_id) if submission.task_id else None
    rows = Submission.objects.select_for_update(no_key=True, of=("self",)).select_related("project")
    return rows.get(pk=submission.pk), task


def lock_for_decision(
    submission: Submission, revision: int, reviewer, decision: str
) -> tuple[Submission, Task | None]:
    submission, task = locked(submission)
    check_decision(submission, revision, reviewer, decision)
    return submission, task


def check_decision(submission: Submission, revision: int, reviewer, decision: str) -> None:
    """Raises what stands in the way: Forbidden for one's own, Conflict where it was decided or has changed.

    A submission waits, or was accepted without anybody having looked at it, or was returned and nobody mends
    it. A handful of queries.
    """
    if submission.annotator_id == reviewer.pk:
        raise Forbidden("Nobody reviews their own work.", code="own_work", hint="Another lead decides on it.")
    if not is_undecided(submission):
        raise _decided_already(submission)
    if (
        submission.review_reason == ReviewReason.GOLD_UNSCORED
        and submission.status == SubmissionStatus.AWAITING_REVIEW
    ):
        raise Conflict(
            "This answers a gold task: a lead's score decides on it.",
            code="score_first",
            hint="Score it under “Gold, not yet scored”.",
        )
    if submission.revision_count != revision:
        raise Conflict(
            _("Revision %(number)s has come in since you opened this.")
            % {"number": submission.revision_count},
            code="newer_revision",
            hint="Look at the newer one, then decide.",
        )
    if submission.current.author_id == reviewer.pk and submission.annotator_id is not None:
        raise Forbidden("Nobody reviews their own fix.", code="own_work", hint="Another lead decides on it.")
    if decision == ReviewDecision.RETURNED:
        _check_return(submission)


def obstacle(submission: Submission, revision: int, reviewer, decision: str) -> DomainError | None:
    """What would refuse this decision right now, if anything; without a lock, so it may change meanwhile."""
    try:
        check_decision(submission, revision, reviewer, decision)
    except DomainError as error:
        return error
    return None


def is_undecided(submission: Submission) -> bool:
    """Whether it waits for a reviewer, or (then a query) counts without one or is mended by nobody."""
    if submission.status == SubmissionStatus.AWAITING_REVIEW:
        return True
    if submission.status == SubmissionStatus.RETURNED:
        return is_unmended(submission)
    return submission.status == SubmissionStatus.ACCEPTED and standing_review(submission) is None


def standing_review(submission: Submission) -> Review | None:
    """The decision that stands on a submission, if a reviewer made one."""
    return (
        submission.reviews.filter(reopened_at=None, revision__lte=submission.revision_count)
        .select_related("reviewer")
        .order_by("-pk")
        .first()
    )


def _check_return(submission: Submission) -> None:
    if submission.task_id is None:
        raise Invalid("Imported work has no author to return to.", hint="Fix or reject it.")
    at_work = submission.project.memberships.filter(
        user=submission.annotator_id, user__is_active=True, status=MembershipStatus.ACTIVE
    )
    if not at_work.exists():
        raise Conflict(
            "Its author does not work here at present, so nobody would get it back.",
            code="author_away",
            hint="Fix it yourself, or reject it so that somebody else gets the task.",
        )
    passed = Skip.objects.filter(task=submission.task_id, user=submission.annotator_id)
    if passed.exclude(reason=SkipReason.WITHDRAWN).exists():
        raise Conflict(
            "Its author has skipped this task, so they would not get it back.",
            code="author_skipped",
            hint="Fix it yourself, or reject it so that somebody else gets the task.",
        )


def _decided_already(submission: Submission) -> Conflict:
    review = submission.reviews.select_related("reviewer").order_by("-pk").first()
    if review is None or submission.status not in (
        SubmissionStatus.ACCEPTED,
        SubmissionStatus.RETURNED,
        SubmissionStatus.REJECTED,
    ):
        return Conflict("This submission does not wait for a review.", code="not_waiting")
    return Conflict(
        _("%(who)s %(decision)s this submission already.")
        % {"who": review.reviewer, "decision": in_a_sentence(review.get_decision_display())},
        code="already_decided",
        hint="Your decision was not stored. Reopen it if its author is not to mend it."
        if submission.status == SubmissionStatus.RETURNED
        else "Your decision was not stored. Take the next one.",
        details=[
            {"field": "decision", "message": review.decision},
            {"field": "reviewer", "message": str(review.reviewer)},
            {"field": "note", "message": review.note},
        ],
    )
