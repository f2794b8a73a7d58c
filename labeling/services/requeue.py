"""Judgments to be made again, chosen by a lead, after the guideline they were made under was clarified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import models, transaction

from annotate.errors import Conflict, DomainError, Forbidden, Invalid
from annotate.words import _
from labeling.models import (
    Assignment,
    BatchStatus,
    Project,
    Submission,
    SubmissionStatus,
    Task,
    TaskPurpose,
    TaskStatus,
)

from .activity import record_event
from .judgments import clean_line
from .reviews import LONGEST_NOTE, reopen_submission, return_submission
from .slots import MOST_OVERLAP, add_slot, lock_task, unfinish_task

MOST_AT_ONCE = 200


class RequeueMode(models.TextChoices):
    RETURN = "return", _("Return them to their authors")  # who mend them under the guideline in force
    NEW_SLOT = "new_slot", _("Ask somebody else too")  # one slot more; what was said stays
    REVIEW = "review", _("Review them again")  # accepted work, or what waits for its author to mend it


@dataclass
class Requeued:
    """What came of it: ids that are in work again, and why the others are not."""

    done: list[int] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)


def requeue_submissions(
    *, project: Project, submission_ids: Sequence[int], mode: str, note: str, acting_user
) -> Requeued:
    """Put chosen judgments up to be made again. Each stands for itself: one that cannot be does not stop the
    others. RETURN: back to its author as a review would, with the note. NEW_SLOT: its task gets a slot beyond
    its overlap, at the head of the queue; a task is opened once however many of its judgments are chosen.
    REVIEW: as reopen_submission.

    Raises Invalid for none, too many or unknown ones, a mode that does not exist, RETURN without a note.
    """
    note = clean_line(note, "note", LONGEST_NOTE)
    if mode not in RequeueMode.values:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(RequeueMode.values)}, field="mode")
    if mode == RequeueMode.RETURN and not note:
        raise Invalid("Say what to look at again: their authors read it.", field="note")
    submissions = _chosen(project, submission_ids)
    opened: set[int | None] = set()

    def again(submission: Submission) -> None:
        if mode == RequeueMode.RETURN:
            _return(submission, note, acting_user)
        elif mode == RequeueMode.REVIEW:
            reopen_submission(submission=submission, reviewer=acting_user, note=note)
        elif submission.task_id not in opened:
            _open_slot(submission, note, acting_user)
            opened.add(submission.task_id)

    answer = Requeued()
    for submission in submissions:
        try:
            again(submission)
        except DomainError as error:
            answer.refused.append((submission.pk, error.message))
        else:
            answer.done.append(submission.pk)
    return answer


def _chosen(project: Project, ids: Sequence[int]) -> list[Submission]:
    wanted = sorted(set(ids))
    if not wanted:
        raise Invalid("Choose at least one judgment.", field="submissions")
    if len(wanted) > MOST_AT_ONCE:
        raise Invalid(
            _("At most %(most)s at once.") % {"most": MOST_AT_ONCE},
            field="submissions",
            hint="Narrow the list.",
        )
    found = list(project.submissions.select_related("project").filter(pk__in=wanted).order_by("pk"))
    if len(found) != len(wanted):
        raise Invalid("One of them is not of this project.", field="submissions")
    return found


@transaction.atomic
def _return(submission: Submission, note: str, acting_user) -> None:
    """A decision like any other: who accepted it before is on record, the note goes to its author."""
    if submission.annotator_id == acting_user.pk:
        raise Forbidden("Nobody decides on their own work.", code="own_work")
    if submission.status == SubmissionStatus.ACCEPTED:
        submission = reopen_submission(submission=submission, reviewer=acting_user, note=note)
    return_submission(
        submission=submission, revision=submission.revision_count, reviewer=acting_user, note=note
    )
    record_event(
        action="submission.requeued",
        actor=acting_user,
        obj=submission,
        project=submission.project,
        mode=str(RequeueMode.RETURN),
        revision=submission.revision_count,
    )


@transaction.atomic
def _open_slot(submission: Submission, note: str, acting_user) -> None:
    if submission.task_id is None:
        raise Invalid("Imported work has no task.")
    task = lock_task(submission.task_id)
    if task.status == TaskStatus.CLOSED or task.batch.status == BatchStatus.CLOSED:
        raise Conflict("Its batch or task is closed.", code="task_closed")
    if Assignment.objects.filter(task=task, status="open").exists():
        raise Conflict("Its task waits for somebody already.", code="already_open")
    if task.purpose != TaskPurpose.WORK:
        raise Conflict("Everybody gets its task: its slots are made as people come.", code="task_purpose")
    if task.overlap >= MOST_OVERLAP:
        raise Conflict(_("%(n)s people judge its task already.") % {"n": task.overlap}, code="most_overlap")
    slot = add_slot(task)
    Task.objects.filter(pk=task.pk).update(overlap=task.overlap + 1)
    unfinish_task(task)
    record_event(
        action="submission.requeued",
        actor=acting_user,
        obj=submission,
        project=submission.project,
        mode=str(RequeueMode.NEW_SLOT),
        slot=slot.slot,
        note=note,
    )
