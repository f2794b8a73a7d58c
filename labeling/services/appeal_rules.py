"""What an appeal asks of other services, and who may appeal and decide. Imports none of them."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from annotate.accounts.models import User
from annotate.errors import Conflict, Forbidden
from labeling.models import (
    Appeal,
    AppealStatus,
    MembershipStatus,
    Project,
    Review,
    ReviewDecision,
    Role,
    Submission,
    SubmissionStatus,
)

from .activity import record_event

APPEALABLE = (ReviewDecision.FIXED, ReviewDecision.RETURNED, ReviewDecision.REJECTED)
# What the submission still is while the decision holds; a returned one that was mended is something else.
STILL = {
    ReviewDecision.FIXED: SubmissionStatus.ACCEPTED,
    ReviewDecision.RETURNED: SubmissionStatus.RETURNED,
    ReviewDecision.REJECTED: SubmissionStatus.REJECTED,
}


def appealable_review(submission: Submission) -> Review | None:
    """The standing decision its author may appeal against now; None also after an appeal (two queries)."""
    if submission.annotator_id is None or Appeal.objects.filter(submission=submission).exists():
        return None
    review = submission.reviews.filter(reopened_at=None).select_related("reviewer").order_by("-pk").first()
    if review is None or review.decision not in APPEALABLE:
        return None
    return review if STILL[ReviewDecision(review.decision)] == submission.status else None


def reviewers_besides(project: Project, *people_ids: int | None) -> QuerySet[User]:
    """Everybody else who may decide in this project: active leads and admins."""
    return User.objects.filter(
        memberships__project=project,
        memberships__status=MembershipStatus.ACTIVE,
        memberships__role__in=[Role.LEAD, Role.ADMIN],
        is_active=True,
    ).exclude(pk__in=[pk for pk in people_ids if pk is not None])


def check_may_decide(appeal: Appeal, user) -> bool:
    """Whether deciding would be on one's own decision, as the project's only reviewer.

    Raises Forbidden for the author, and for the reviewer of the decision while there is another.
    """
    if appeal.author_id == user.pk:
        raise Forbidden("Nobody decides on their own appeal.", code="own_work")
    if appeal.review.reviewer_id != user.pk:
        return False
    if reviewers_besides(appeal.project, appeal.review.reviewer_id, appeal.author_id).exists():
        raise Forbidden(
            "This appeal is against your own decision.",
            code="own_decision",
            hint="Another lead decides on it.",
        )
    return True


def refuse_while_appealed(submission: Submission) -> None:
    """Raises Conflict: what an open appeal is about must not change under it."""
    if Appeal.objects.open().filter(submission=submission).exists():
        raise Conflict(
            "Its author has appealed, and that waits for a decision.",
            code="appeal_open",
            hint="Decide on the appeal instead.",
        )


def withdraw_moot_appeal(submission: Submission) -> None:
    """Its author mended the work after all: nothing is left to decide. In the caller's transaction."""
    appeal = Appeal.objects.select_for_update(no_key=True).filter(submission=submission).first()
    if appeal is not None and appeal.is_open:
        close(appeal, AppealStatus.WITHDRAWN, note="", by=None)
        record_event(
            action="appeal.withdrawn",
            actor=appeal.author,
            obj=appeal,
            project=appeal.project,
            submission=submission.pk,
            because="resubmitted",
        )


def close(appeal: Appeal, status: AppealStatus, *, note: str, by, is_by_same_reviewer: bool = False) -> None:
    """Store an outcome on an appeal that the caller has locked."""
    appeal.status, appeal.note, appeal.decided_by = status, note, by
    appeal.is_by_same_reviewer, appeal.decided_at = is_by_same_reviewer, timezone.now()
    appeal.save(update_fields=["status", "note", "decided_by", "is_by_same_reviewer", "decided_at"])
