"""Gold: tasks with a known answer, put among the others. Marked, changed, retired, scored by leads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from django.db import transaction
from django.utils import timezone

from annotate.errors import Conflict, Forbidden, Invalid
from annotate.words import _
from labeling.models import (
    Assignment,
    AssignmentStatus,
    FormDefinition,
    GoldAnswer,
    GoldResult,
    ReviewReason,
    Submission,
    SubmissionStatus,
    Task,
    TaskCompletion,
    TaskKind,
    TaskPurpose,
    TaskStatus,
)

from .activity import record_event
from .forms import current_version
from .judgments import check_ranking, clean_text
from .review_ledger import book_score
from .screening import screening_progressed
from .slots import lock_task

LONGEST_NOTE = 2_000
LONGEST_REFERENCE = 20_000
# Why gold waits that a lead's score settles: it has none yet, or one that was too low.
FOR_SCORES = (ReviewReason.GOLD_UNSCORED, ReviewReason.GOLD_MISSED)
LOWEST_SCORE, HIGHEST_SCORE = 1, 7  # of a lead, for a gold or screening demonstration


@transaction.atomic
def mark_gold(
    *,
    task: Task,
    acting_user,
    tiers: Sequence[Sequence[int]] | None = None,
    unrankable: Sequence[int] = (),
    flags: Mapping[int, Sequence[str]] | None = None,
    checks_flags: bool = False,
    minimum_score: int | None = None,
    reference: str = "",
    note: str = "",
) -> GoldAnswer:
    """Give a task its known answer (ids of Completion); again: change it, for submissions to come.

    A work task becomes gold: its free slots leave the queue, and everybody who has not had it gets it at the
    project's gold rate. A screening task stays one. Raises Invalid (the answer), Conflict (calibration and
    repeats have no known answer).
    """
    task = lock_task(task.pk)
    if task.purpose not in (TaskPurpose.WORK, TaskPurpose.GOLD, TaskPurpose.SCREENING):
        raise Conflict("Only ordinary and screening tasks can have a known answer.", code="task_purpose")
    if not task.prompt.messages:
        raise Conflict("Who answers this task writes its prompt: no answer is known.", code="no_prompt")
    fields = _checked(task, tiers, unrankable, flags, checks_flags, minimum_score)
    fields |= {
        "reference": _checked_reference(task, reference),
        "note": _checked_note(note),
        "retired_at": None,
        "created_by": acting_user,
    }
    answer, created = GoldAnswer.objects.update_or_create(task=task, defaults=fields)
    if task.purpose == TaskPurpose.WORK:
        _leave_the_queue(task)
    elif task.purpose == TaskPurpose.GOLD and task.status != TaskStatus.OPEN:
        Task.objects.filter(pk=task.pk).update(status=TaskStatus.OPEN, done_at=None)
    record_event(
        action="gold.marked" if created else "gold.changed",
        actor=acting_user,
        obj=task,
        project=task.project,
        tiers=answer.tiers,
        minimum_score=minimum_score,
    )
    return answer


@transaction.atomic
def retire_gold(*, task: Task, acting_user) -> GoldAnswer:
    """Hand it out no more; the results stay. Raises Conflict where it is no gold, or retired already."""
    task = lock_task(task.pk)
    retired = GoldAnswer.objects.filter(task=task, retired_at=None, task__purpose=TaskPurpose.GOLD)
    if not retired.update(retired_at=timezone.now()):
        raise Conflict("This task is not in use as gold.", code="not_gold")
    free = Assignment.objects.filter(task=task, status=AssignmentStatus.OPEN)
    free.update(status=AssignmentStatus.VOID, reserved_for=None)
    Task.objects.filter(pk=task.pk).update(status=TaskStatus.DONE, done_at=timezone.now())
    record_event(action="gold.retired", actor=acting_user, obj=task, project=task.project)
    return GoldAnswer.objects.get(task=task)


@transaction.atomic
def score_demonstration(
    *, submission: Submission, score: int, acting_user, active_seconds: int = 0
) -> GoldResult:
    """A lead's score, 1 to 7, for a gold or screening demonstration. It decides on gold that waits for it:
    below the least score gold is missed and goes to review, if the project says so; else it is accepted.
    Raises Invalid, Forbidden (one's own), Conflict (not asked for).
    """
    if isinstance(score, bool) or not isinstance(score, int) or not LOWEST_SCORE <= score <= HIGHEST_SCORE:
        raise Invalid(
            _("A whole number from %(least)s to %(most)s.") % {"least": LOWEST_SCORE, "most": HIGHEST_SCORE},
            field="score",
        )
    if submission.annotator_id == acting_user.pk:
        raise Forbidden("Nobody scores their own work.", code="own_work")
    if submission.task_id is None or submission.kind != TaskKind.DEMONSTRATION:
        raise Conflict("Only gold and screening demonstrations are scored.", code="not_scored")
    task = lock_task(submission.task_id)
    submission = Submission.objects.select_for_update(no_key=True).get(pk=submission.pk)
    result = GoldResult.objects.filter(submission=submission).first()
    if result is None:
        raise Conflict("Only gold and screening demonstrations are scored.", code="not_scored")
    old, old_scorer = result.score, result.scored_by_id
    least = task.gold_answer.minimum_score
    result.score, result.scored_by, result.scored_at = score, acting_user, timezone.now()
    result.passed = None if least is None else score >= least
    result.save()
    if (
        task.purpose == TaskPurpose.GOLD
        and result.passed is False
        and task.project.settings.review_missed_gold
    ):
        _send_to_review(submission)
    elif submission.status == SubmissionStatus.AWAITING_REVIEW and submission.review_reason in FOR_SCORES:
        submission.status, submission.decided_at = SubmissionStatus.ACCEPTED, timezone.now()
        submission.save(update_fields=["status", "decided_at"])
    record_event(
        action="gold.scored",
        actor=acting_user,
        obj=submission,
        project=task.project,
        old={"score": old},
        new={"score": score},
        status=str(submission.status),
    )
    if task.purpose == TaskPurpose.SCREENING:
        screening_progressed(submission=submission)
    if (old, old_scorer) != (score, acting_user.pk):  # else the same request came again
        book_score(submission=submission, task=task, scorer=acting_user, claimed=active_seconds)
    return result


# --- Inside -------------------------------------------------------------------------------------------------
def _checked(task: Task, tiers, unrankable, flags, checks_flags, minimum_score) -> dict:
    if task.kind == TaskKind.DEMONSTRATION:
        if tiers is not None or unrankable or flags:
            raise Invalid("A demonstration has no order.", field="tiers")
        is_score = isinstance(minimum_score, int) and not isinstance(minimum_score, bool)
        if minimum_score is not None and not (is_score and LOWEST_SCORE <= minimum_score <= HIGHEST_SCORE):
            raise Invalid(
                _("From %(least)s to %(most)s, or none.") % {"least": LOWEST_SCORE, "most": HIGHEST_SCORE},
                field="minimum_score",
            )
        return {"minimum_score": minimum_score}
    if minimum_score is not None:
        raise Invalid("Rankings are held against an order, not a score.", field="minimum_score")
    ids = list(TaskCompletion.objects.filter(task=task).values_list("completion_id", flat=True))
    content = check_ranking(
        completion_ids=ids,
        form=_what_is_asked(task),
        tiers=tiers or [],
        unrankable=unrankable,
        flags=flags,
        touched=ids,
    )
    if sum(map(len, content.tiers)) < 2:
        raise Invalid("Put at least two completions in order.", field="tiers")
    return {
        "tiers": content.tiers,
        "unrankable": content.unrankable,
        "flags": content.flags,
        "checks_flags": bool(checks_flags),
    }


def _what_is_asked(task: Task) -> FormDefinition:
    """The form in force without what a known answer does without: only the order and the flags are known."""
    form = current_version(task.project, task.batch.layout).definition
    return dataclasses.replace(
        form, scores="hidden", rationale="hidden", ask_margins=False, allow_ties=True, questions=()
    )


def _checked_reference(task: Task, text: str) -> str:
    text = clean_text(text, "reference").strip()
    if text and task.kind != TaskKind.DEMONSTRATION:
        raise Invalid("Rankings are held against an order, not a text.", field="reference")
    if len(text) > LONGEST_REFERENCE:
        raise Invalid(
            _("At most %(most)s characters.") % {"most": f"{LONGEST_REFERENCE:,}"}, field="reference"
        )
    return text


def _checked_note(note: str) -> str:
    note = clean_text(note, "note").strip()
    if len(note) > LONGEST_NOTE:
        raise Invalid(_("At most %(most)s characters.") % {"most": f"{LONGEST_NOTE:,}"}, field="note")
    return note


def _leave_the_queue(task: Task) -> None:
    """A locked task and its slots become gold. Those in hand stay with their people, as ordinary work was
    handed to them: they are scored all the same."""
    free = Assignment.objects.filter(task=task, status=AssignmentStatus.OPEN)
    free.update(status=AssignmentStatus.VOID, reserved_for=None)
    Assignment.objects.filter(task=task).update(purpose=TaskPurpose.GOLD)
    live = Assignment.objects.filter(task=task).live().count()
    Task.objects.filter(pk=task.pk).update(
        purpose=TaskPurpose.GOLD, status=TaskStatus.OPEN, done_at=None, overlap=live
    )


def _send_to_review(submission: Submission) -> None:
    if submission.status in (SubmissionStatus.ACCEPTED, SubmissionStatus.AWAITING_REVIEW):
        submission.reviews.filter(reopened_at=None).update(reopened_at=timezone.now())
        submission.status = SubmissionStatus.AWAITING_REVIEW
        submission.review_reason = ReviewReason.GOLD_MISSED
        submission.decided_at, submission.verdict = None, ""
        submission.save(update_fields=["status", "review_reason", "decided_at", "verdict"])
