"""Which submissions are looked at by a reviewer before they count."""

from __future__ import annotations

import hashlib
from functools import cache

from annotate.prepared import Prepared
from labeling.models import ReviewReason, Submission, Task


def review_reason(*, task: Task, annotator, is_flagged: bool) -> str:
    """Why a first submission goes to review (a ReviewReason), or "" where it is accepted at once."""
    settings = task.project.settings
    if is_flagged and settings.review_flagged:
        return ReviewReason.FLAGGED
    if settings.new_person_reviews:
        enough = _submission_number(settings.new_person_reviews)
        if not enough.all(project=task.project_id, annotator=annotator.pk, kind=str(task.kind)):
            return ReviewReason.NEW_PERSON
    if is_sampled(task.batch_id, task.pk, annotator.pk, task.batch.review_rate):
        return ReviewReason.SAMPLED
    return ""


@cache
def _submission_number(number: int) -> Prepared:
    """One row if a person has that many submissions of a kind, else none."""
    return Prepared(
        lambda project, annotator, kind: (
            Submission.objects.filter(project=project, annotator=annotator, kind=kind)
            .order_by()
            .values_list("pk")[number - 1 : number]
        ),
        project=int,
        annotator=int,
        kind=str,
    )


def is_sampled(batch_id: int, task_id: int, user_id: int, rate: float) -> bool:
    """Whether this judgment is in the review sample.

    By a hash: nobody can choose, the rate holds in the long run, and asking twice gives one answer.
    """
    digest = hashlib.sha256(f"review:{batch_id}:{task_id}:{user_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < rate * 2**64
