"""Review work in the ledger: decisions, appeals, settled orders, scores, late work. Each is booked by the
service that does it, in its commit, as one piece with the time its page measured.

A piece is counted once for what was looked at: who decides again on the same revision, task or answer brings
their time and no second piece. A decision that is taken back takes its piece back too, with a counter entry;
the time was worked and stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone

from annotate.accounts.models import User
from annotate.words import _
from labeling.models import (
    REVIEW_WORK,
    Activity,
    Adjudication,
    Appeal,
    Draft,
    LedgerEntry,
    Project,
    Review,
    Submission,
    Task,
)

from .drafts import sane_seconds
from .ledger import LONGEST_REVIEW, PERSON, book, measure, write


def book_review(*, review: Review, submission: Submission) -> Review:
    """A decision and its time. A review lies between the moment its revision came in, or this reviewer's last
    word on it, and now; an hour at most. The review then says what counts."""
    before = Review.objects.filter(
        submission=submission, reviewer=review.reviewer_id, revision=review.revision
    ).exclude(pk=review.pk)
    entry = _book(
        user=review.reviewer,
        project=submission.project,
        activity=Activity.REVIEW,
        source=_source(review),
        before=_entries(name for each in before for name in (_source(each), _undone(each))),
        claimed=review.active_seconds,
        since=submission.current.created_at,
        batch_id=submission.task.batch_id if submission.task is not None else None,
        submission=submission,
    )
    if entry.seconds != review.active_seconds:
        Review.objects.filter(pk=review.pk).update(active_seconds=entry.seconds)
        review.active_seconds = entry.seconds
    return review


def take_back_review(*, review: Review) -> LedgerEntry | None:
    """A decision was taken back: its piece is, too, on the day and at the rate it was booked with. None where
    it brought no piece, or was made before there was a ledger."""
    booked = LedgerEntry.objects.filter(source=_source(review)).first()
    if booked is None or not booked.pieces:
        return None
    PERSON.first(pk=booked.user_id)
    return write(
        LedgerEntry(
            project_id=booked.project_id,
            user_id=booked.user_id,
            batch_id=booked.batch_id,
            submission_id=booked.submission_id,
            work=REVIEW_WORK,
            activity=Activity.UNDONE,
            source=_undone(review),
            day=booked.day,
            timezone=booked.timezone,
            seconds=0,
            claimed_seconds=0,
            pieces=-booked.pieces,
            reason=str(_("Taken back: %(decision)s.") % {"decision": review.get_decision_display()}),
            created_by_id=review.reviewer_id,
        )
    )


def book_appeal(*, appeal: Appeal, submission: Submission, reviewer: User, claimed: int) -> LedgerEntry:
    """Whichever way it was decided."""
    return _book(
        user=reviewer,
        project=appeal.project,
        activity=Activity.APPEAL,
        source=f"appeal:{appeal.pk}",
        claimed=claimed,
        since=appeal.created_at,
        batch_id=submission.task.batch_id if submission.task is not None else None,
        submission=submission,
    )


def book_settlement(*, adjudication: Adjudication, task: Task, claimed: int) -> LedgerEntry:
    """A task's order, settled since its newest ranking came in. The caller has locked the task."""
    before = Adjudication.objects.filter(task=task, by=adjudication.by_id).exclude(pk=adjudication.pk)
    newest = Submission.objects.filter(task=task).order_by("-created_at").values_list("created_at", flat=True)
    return _book(
        user=adjudication.by,
        project=task.project,
        activity=Activity.SETTLEMENT,
        source=f"adjudication:{adjudication.pk}",
        before=_entries(f"adjudication:{pk}" for pk in before.values_list("pk", flat=True)),
        claimed=claimed,
        since=newest[0],
        batch_id=task.batch_id,
    )


def book_score(*, submission: Submission, task: Task, scorer: User, claimed: int) -> LedgerEntry:
    """A lead's score of a gold or screening demonstration. The caller has locked the submission."""
    before = LedgerEntry.objects.filter(submission=submission, user=scorer, activity=Activity.SCORE)
    return _book(
        user=scorer,
        project=task.project,
        activity=Activity.SCORE,
        source=f"score:{submission.pk}:{scorer.pk}:{before.count() + 1}",
        before=before,
        claimed=claimed,
        since=submission.current.created_at,
        batch_id=task.batch_id,
        submission=submission,
    )


def book_late_decision(
    *, draft: Draft, task: Task, by: User, submission: Submission | None = None
) -> LedgerEntry:
    """Late work taken in or put aside; the list it stands in measures no time of each."""
    return _book(
        user=by,
        project=task.project,
        activity=Activity.LATE_REVIEW,
        source=f"late-review:{draft.pk}:{draft.revision}",
        claimed=0,
        since=draft.updated_at,
        batch_id=task.batch_id,
        submission=submission,
    )


# --- Inside -------------------------------------------------------------------------------------------------
def _source(review: Review) -> str:
    return f"review:{review.pk}"


def _undone(review: Review) -> str:
    return f"review:{review.pk}:undone"


def _entries(sources: Iterable[str]) -> QuerySet[LedgerEntry]:
    return LedgerEntry.objects.filter(source__in=list(sources))


def _book(
    *,
    user: User,
    project: Project,
    activity: Activity,
    source: str,
    claimed: int,
    since: datetime,
    batch_id: int | None,
    before: QuerySet[LedgerEntry] | None = None,
    submission: Submission | None = None,
) -> LedgerEntry:
    """before: this person's entries for the very thing. A piece where none of them stands, and time since the
    last of them."""
    now = timezone.now()
    earlier = list(before.order_by().values_list("pieces", "ended_at")) if before is not None else []
    ended = [each for _pieces, each in earlier if each is not None]
    measured = measure(
        user=user,
        claimed=sane_seconds(claimed),
        started_at=max([since, now - LONGEST_REVIEW, *ended]),
        ended_at=now,
    )
    return book(
        measured=measured,
        user=user,
        project=project,
        work=REVIEW_WORK,
        activity=activity,
        source=source,
        pieces=int(sum(pieces for pieces, _ended in earlier) <= 0),
        batch_id=batch_id,
        submission=submission,
    )
