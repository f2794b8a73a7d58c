"""What other opinions say of a ranking, kept on its submission: agreement with the task's other rankings, and
a reward model's confident disagreement.

Computed when a judgment changes, in its own transaction, rather than when a list is read: a task has at most
20 rankings of 9 completions, so this is two small queries and an update; a list of 100,000 submissions sorted
by agreement then walks an index. A task that only one person judges costs the query for scores and nothing
else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from annotate.prepared import Prepared, PreparedIn
from labeling.models import (
    Adjudication,
    CompletionScore,
    Ranking,
    ReviewReason,
    Submission,
    SubmissionStatus,
    Task,
    TaskKind,
)
from labeling.quality.conflict import agreement_with_others, strongest_conflict

CURRENT = Prepared(
    lambda submission: Ranking.objects.filter(submission=submission, is_current=True), submission=int
)
SCORES = PreparedIn(
    lambda keys: (
        CompletionScore.objects.filter(completion__in=keys)
        .order_by("-pk")
        .values_list("scorer_key", "completion_id", "score")
    )
)
STANDING = (SubmissionStatus.ACCEPTED, SubmissionStatus.AWAITING_REVIEW, SubmissionStatus.RETURNED)
# Reasons of the review policy that give way: disagreement is more to the point than having been sampled.
GIVES_WAY = ("", ReviewReason.SAMPLED)


def refresh_signals(
    submission: Submission, task: Task | None, *, judgment: Any = None, is_new: bool = False
) -> None:
    """Bring a changed ranking and the others of its task up to date. Needs the task's lock.

    judgment: the submission's current one, where the caller has it; read otherwise.

    is_new: a first submission below the project's threshold waits for review as "low agreement". Only the one
    that comes in waits: the reviewer sees both beside each other, and the first may have been right.
    """
    if submission.kind != TaskKind.RANKING:
        return
    if task is not None and task.overlap > 1:
        _refresh_agreement(submission, task, is_new)
    _refresh_conflict(submission, judgment or CURRENT.first(submission=submission.pk))


def ranks_of(ranking: Ranking | Adjudication, ids: Sequence[int]) -> list[int | None]:
    """Ranks in the order of `ids`: 1 is best, equal is a tie, None cannot be ranked."""
    place = {pk: rank for rank, tier in enumerate(ranking.tiers, start=1) for pk in tier}
    return [place.get(pk) for pk in ids]


def rankings_of(task: Task) -> list[Ranking]:
    """The judgments of a task that stand, oldest first, each with its submission (one query)."""
    rows = Ranking.objects.filter(
        is_current=True, submission__task=task, submission__status__in=STANDING
    ).select_related("submission")
    return list(rows.order_by("submission_id"))


def conflict_of(ranking: Ranking, scores: Mapping[int, float]) -> float | None:
    ids = completion_ids(ranking)
    return strongest_conflict(ranks_of(ranking, ids), [scores.get(pk) for pk in ids])


def completion_ids(ranking: Ranking) -> list[int]:
    return sorted({pk for tier in ranking.tiers for pk in tier} | set(ranking.unrankable))


def latest_scores(ids: Sequence[int]) -> dict[int, float]:
    """{completion id: score} by the scorer heard last on any of them; scores of two scorers never mix."""
    found = SCORES.all(ids)
    return {pk: score for scorer, pk, score in found if scorer == found[0][0]} if found else {}


def _refresh_agreement(submission: Submission, task: Task, is_new: bool) -> None:
    rankings = rankings_of(task)
    ids = completion_ids(rankings[0]) if rankings else []
    shares = agreement_with_others([ranks_of(ranking, ids) for ranking in rankings])
    for ranking, share in zip(rankings, shares, strict=True):
        if ranking.submission_id == submission.pk:
            submission.agreement = share
        if ranking.submission.agreement != share:
            Submission.objects.filter(pk=ranking.submission_id).update(agreement=share)
    if is_new:
        _ask_for_review(submission)


def _ask_for_review(submission: Submission) -> None:
    least = submission.project.settings.low_agreement_below
    if submission.agreement is None or submission.agreement >= least:
        return
    if submission.review_reason in GIVES_WAY:
        submission.status = SubmissionStatus.AWAITING_REVIEW
        submission.review_reason, submission.decided_at = ReviewReason.LOW_AGREEMENT, None
        submission.save(update_fields=["status", "review_reason", "decided_at"])


def _refresh_conflict(submission: Submission, ranking: Ranking) -> None:
    scores = latest_scores(completion_ids(ranking))
    if scores or submission.model_conflict is not None:
        store_conflict(submission, conflict_of(ranking, scores))


def store_conflict(submission: Submission, conflict: float | None) -> None:
    """Keep a conflict, and put it before reviewers where it is confident and nobody has decided yet."""
    least = submission.project.settings.model_conflict_confidence
    undecided = submission.status == SubmissionStatus.AWAITING_REVIEW or (
        submission.status == SubmissionStatus.ACCEPTED
        and not submission.reviews.filter(reopened_at=None).exists()
    )
    submission.model_conflict = conflict
    submission.conflict_open = conflict is not None and conflict >= least and undecided
    submission.save(update_fields=["model_conflict", "conflict_open"])
