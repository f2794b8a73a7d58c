"""Submissions held against what is known: gold, screening and repeats, at the moment they come in."""

from __future__ import annotations

from labeling.models import (
    GoldAnswer,
    GoldResult,
    JudgmentOrigin,
    Ranking,
    ReviewReason,
    Submission,
    Task,
    TaskPurpose,
)
from labeling.quality.gold import flag_agreement, order_agreement

from .judgments import Content, RankingContent
from .review_policy import review_reason
from .screening import screening_progressed


def reason_to_review(*, task: Task, annotator, content: Content, prompt_flags: list[str]) -> str:
    """Why a first submission goes to review (a ReviewReason), or "" where it is accepted at once.

    Missed gold first. Screening needs no decision, only a score: it stands in the queue of what waits for
    one.
    """
    if task.purpose == TaskPurpose.SCREENING:
        return ""
    is_flagged = bool(prompt_flags) or content.is_flagged
    if task.purpose == TaskPurpose.GOLD:
        answer = GoldAnswer.objects.get(task=task)
        settings = task.project.settings
        if (
            settings.review_missed_gold
            and _measured(answer, content, settings.gold_pass_mark).passed is False
        ):
            return ReviewReason.GOLD_MISSED
        if answer.minimum_score is not None and not isinstance(content, RankingContent):
            return ReviewReason.GOLD_UNSCORED  # whatever else speaks for a look, a lead looks at it then
    return review_reason(task=task, annotator=annotator, is_flagged=is_flagged)


def record_result(*, submission: Submission, task: Task, content: Content, origin: str) -> GoldResult | None:
    """Store how the submission did; None where there is nothing to hold it against. In its transaction."""
    if origin != JudgmentOrigin.ORIGINAL or task.purpose in (TaskPurpose.WORK, TaskPurpose.CALIBRATION):
        return None  # a first answer is a test of the person; a mended one is not
    if task.purpose == TaskPurpose.REPEAT:
        result = _against_oneself(submission, task, content)
    else:
        answer = GoldAnswer.objects.filter(task=task).first()
        if answer is None:
            return None
        mark = task.project.settings.gold_pass_mark
        result = _measured(answer, content, mark)
    result.submission = submission
    result.save()
    if task.purpose == TaskPurpose.SCREENING:
        screening_progressed(submission=submission)
    return result


def _measured(answer: GoldAnswer, content: Content, mark: float) -> GoldResult:
    """Not saved. A demonstration waits for a lead's score where one is asked for."""
    if not isinstance(content, RankingContent):
        return GoldResult(passed=None)
    order = order_agreement(content.tiers, answer.tiers)
    # Where the answer is an order alone nobody knows which flags are right.
    flags = flag_agreement(content.flags, answer.flags) if answer.checks_flags else None
    share = order.share
    passed = all(each is None or each >= mark for each in (share, flags))
    return GoldResult(agreement=share, pairs=order.pairs, flag_agreement=flags, passed=passed)


def _against_oneself(submission: Submission, task: Task, content: Content) -> GoldResult:
    """Agreement with what the same person said before; neither passed nor missed."""
    if not isinstance(content, RankingContent):
        return GoldResult(passed=None)
    before = Ranking.objects.filter(
        submission__task=task.repeat_of_id, submission__annotator=submission.annotator_id, revision=1
    ).first()
    if before is None:
        return GoldResult(passed=None)
    order = order_agreement(content.tiers, before.tiers)
    return GoldResult(
        agreement=order.share, pairs=order.pairs, flag_agreement=flag_agreement(content.flags, before.flags)
    )
