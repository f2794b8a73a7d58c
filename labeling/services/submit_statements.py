"""The statements of a submission, compiled once (annotate.prepared); used by services.submissions."""

from __future__ import annotations

from datetime import datetime, timedelta

from annotate.prepared import Prepared, PreparedDelete, PreparedInsert, PreparedUpdate
from labeling.models import (
    Assignment,
    AssignmentStatus,
    Draft,
    Membership,
    Submission,
    SubmissionReceipt,
    TaskCompletion,
)

RECEIPT = Prepared(
    lambda user, key: SubmissionReceipt.objects.select_related("submission").filter(
        user=user, idempotency_key=key
    ),
    user=int,
    key=str,
)
SLOT = Prepared(lambda pk: Assignment.objects.select_for_update(no_key=True).filter(pk=pk), pk=int)
SUBMISSION = Prepared(
    lambda slot: Submission.objects.select_for_update(no_key=True).filter(assignment=slot), slot=int
)
TEXTS = Prepared(
    lambda task: TaskCompletion.objects.filter(task=task).values_list("completion_id", "completion__text"),
    task=int,
)
STORED = PreparedInsert(Submission)
STORED_RECEIPT = PreparedInsert(SubmissionReceipt)
SUBMITTED = PreparedUpdate(
    lambda slot, now, version, form: (
        Assignment.objects.filter(pk=slot),
        {
            "status": AssignmentStatus.SUBMITTED,
            "submitted_at": now,
            "lease_expires_at": None,
            "guideline_version_id": version,
            "form_version_id": form,
        },
    ),
    slot=int,
    now=datetime,
    version=int | None,
    form=int,
)
DRAFT_DONE = PreparedDelete(lambda task, user: Draft.objects.filter(task=task, user=user), task=int, user=int)
SEEN = PreparedUpdate(
    lambda pk, now: (Membership.objects.filter(pk=pk), {"last_active_at": now}), pk=int, now=datetime
)
SEEN_EVERY = timedelta(seconds=30)


def note_at_work(membership: Membership, now: datetime) -> None:
    """Store that they are at work: not with each piece, but always after they went away empty-handed
    (services.work_again).
    """
    last, went = membership.last_active_at, membership.out_of_work_at
    if last is None or now - last >= SEEN_EVERY or (went is not None and last <= went):
        SEEN.run(pk=membership.pk, now=now)
