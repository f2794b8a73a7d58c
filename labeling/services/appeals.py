"""An author's one objection to a decision: made, taken back, decided (see AppealStatus for what follows)."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict, Forbidden, Gone, Invalid
from annotate.words import _, in_a_sentence, later
from labeling.models import (
    Appeal,
    AppealStatus,
    Review,
    ReviewDecision,
    ReviewReason,
    Submission,
    SubmissionStatus,
    Task,
)

from . import digests
from .activity import notify, record_event
from .appeal_rules import appealable_review, check_may_decide, close, reviewers_besides
from .judgments import clean_line
from .ranking_signals import refresh_signals
from .restoring import reinstate_slot, restore_revision
from .review_ledger import book_appeal
from .review_rules import locked
from .written_prompts import settle_prompts

LONGEST_TEXT = 4_000
OUTCOMES = (AppealStatus.UPHELD, AppealStatus.OVERTURNED)


@transaction.atomic
def open_appeal(*, submission: Submission, author, text: str) -> Appeal:
    """Object to the fix, return or rejection that stands; other reviewers are told. Once per submission.

    Raises Invalid without a text, Forbidden for somebody else's work, Gone where it was appealed before,
    Conflict where no such decision stands.
    """
    submission, _ = locked(submission)
    if submission.annotator_id != author.pk:
        raise Forbidden("Only its author can appeal.", code="not_yours")
    text = _required(text, "text", "Say why the decision is wrong.")
    if Appeal.objects.filter(submission=submission).exists():
        raise Gone("This was appealed before. One appeal is possible.", code="appealed_before")
    review = appealable_review(submission)
    if review is None:
        raise Conflict("There is no fix, return or rejection of this that stands.", code="nothing_to_appeal")
    appeal = Appeal.objects.create(
        project=submission.project, submission=submission, review=review, author=author, text=text
    )
    record_event(
        action="appeal.opened",
        actor=author,
        obj=appeal,
        project=submission.project,
        submission=submission.pk,
        decision=review.decision,
    )
    others = list(reviewers_besides(submission.project, review.reviewer_id, author.pk))
    for reviewer in others or [review.reviewer]:
        _tell(
            appeal,
            reviewer,
            "opened",
            later(
                "%(who)s appeals: %(decision)s. %(said)s",
                who=author,
                decision=in_a_sentence(ReviewDecision(review.decision).label),
                said=text,
            ),
        )
    return appeal


@transaction.atomic
def withdraw_appeal(*, appeal: Appeal, author) -> Appeal:
    """Its author lets the decision stand after all; a returned piece is handed out to them again."""
    _, appeal, _ = _locked_appeal(appeal)
    if appeal.author_id != author.pk:
        raise Forbidden("Only its author can withdraw an appeal.", code="not_yours")
    close(appeal, AppealStatus.WITHDRAWN, note="", by=None)
    record_event(action="appeal.withdrawn", actor=author, obj=appeal, project=appeal.project)
    return appeal


@transaction.atomic
def decide_appeal(*, appeal: Appeal, reviewer, outcome: str, note: str, active_seconds: int = 0) -> Appeal:
    """Uphold the decision or overturn it, with a note to both; see AppealStatus for what follows.

    Raises Forbidden for the author and for the reviewer of the decision (unless the project has no other
    reviewer, which is stored), Conflict where it was decided meanwhile, Invalid without a note.
    """
    submission, appeal, task = _locked_appeal(appeal)
    if outcome not in OUTCOMES:
        raise Invalid(_("The outcome is %(known)s.") % {"known": " or ".join(OUTCOMES)}, field="outcome")
    note = _required(note, "note", "Write a note: both sides want to know why.")
    same = check_may_decide(appeal, reviewer)
    said: dict[str, Any] = {}
    if outcome == AppealStatus.OVERTURNED:
        said = _overturn(submission, task, appeal, reviewer, note, active_seconds)
    else:
        book_appeal(appeal=appeal, submission=submission, reviewer=reviewer, claimed=active_seconds)
    close(appeal, AppealStatus(outcome), note=note, by=reviewer, is_by_same_reviewer=same)
    record_event(
        action="appeal.decided",
        actor=reviewer,
        obj=appeal,
        project=appeal.project,
        submission=submission.pk,
        outcome=str(outcome),
        same_reviewer=same,
        status=str(submission.status),
        digests=said,
    )
    word = in_a_sentence(AppealStatus(outcome).label)
    _tell(
        appeal, appeal.author, "decided", later("Your appeal was %(state)s. %(note)s", state=word, note=note)
    )
    if not same:
        _tell(
            appeal,
            appeal.review.reviewer,
            "decided",
            later("The appeal against you was %(state)s. %(note)s", state=word, note=note),
        )
    return appeal


def _overturn(
    submission: Submission, task: Task | None, appeal: Appeal, reviewer, note: str, seconds: int
) -> dict[str, Any]:
    """Accept the work as its author had it: 1. the decision no longer stands 2. its effect goes 3. a review
    says so. The digests of what was written."""
    said = {}
    review = appeal.review
    Review.objects.filter(pk=review.pk).update(reopened_at=timezone.now())
    if review.decision == ReviewDecision.FIXED:
        restored = restore_revision(submission, review)
        said["judgment"] = digests.of_judgment(restored, submission)
    elif task is not None:
        reinstate_slot(submission, task, may_add=True)
    booked = book_appeal(appeal=appeal, submission=submission, reviewer=reviewer, claimed=seconds)
    accepted = Review.objects.create(
        submission=submission,
        revision=submission.revision_count,
        decision=ReviewDecision.ACCEPTED,
        queue_reason=ReviewReason.APPEALED,
        status_before=submission.status,
        note=note,
        reviewer=reviewer,
        active_seconds=booked.seconds,
    )
    submission.status, submission.decided_at = SubmissionStatus.ACCEPTED, timezone.now()
    submission.verdict = ReviewDecision.ACCEPTED
    submission.save(update_fields=["status", "decided_at", "verdict"])
    settle_prompts(submission)
    refresh_signals(submission, task)
    return said | {"review": digests.of_review(accepted)}


def _locked_appeal(appeal: Appeal) -> tuple[Submission, Appeal, Task | None]:
    submission, task = locked(appeal.submission)
    rows = Appeal.objects.select_for_update(no_key=True, of=("self",))
    found = rows.select_related("project", "author", "review__reviewer").get(pk=appeal.pk)
    found.submission = submission
    if not found.is_open:
        decided = {"who": found.decided_by, "state": in_a_sentence(found.get_status_display())}
        raise Conflict(
            _("%(who)s %(state)s this appeal already.") % decided
            if found.decided_by
            else "This appeal was withdrawn.",
            code="already_decided",
            hint="Nothing was stored. Take the next one.",
        )
    return submission, found, task


def _required(text: str, field: str, message: str) -> str:
    text = clean_line(text, field, LONGEST_TEXT)
    if not text:
        raise Invalid(message, field=field)
    return text


def _tell(appeal: Appeal, user, kind: str, text: str) -> None:
    slug = appeal.project.slug
    path = reverse("labeling:appeal", args=[slug, appeal.pk])
    if user.pk == appeal.author_id:
        path = reverse("labeling:submission_detail", args=[slug, appeal.submission_id])
    notify(user=user, project=appeal.project, kind=f"appeal.{kind}", text=text, path=path)
