"""Slots of tasks: locks, deadlines and states that hand-out, submits and reviews share.

Locks are taken in one order everywhere, so that nobody waits in a circle: the person's membership, the task,
its slots, the submission, the draft, and last the person themselves (labeling.services.ledger). A claim alone
starts from a slot, and passes over slots that others hold.
"""

from __future__ import annotations

import hashlib
import random
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, Max, OuterRef, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from annotate.errors import Conflict, DomainError, Forbidden, Gone
from annotate.prepared import Prepared, PreparedUpdate
from labeling.models import (
    NO_DEADLINE,
    Assignment,
    AssignmentStatus,
    Draft,
    GuidelineAcknowledgement,
    Membership,
    MembershipStatus,
    Project,
    ReviewReason,
    Skip,
    SkipReason,
    Submission,
    SubmissionStatus,
    Task,
    TaskCompletion,
    TaskPurpose,
    TaskStatus,
)
from labeling.permissions import paused

from .written_prompts import language_of_batch

MOST_OVERLAP = 20  # people who judge one task
MEMBER = Prepared(
    lambda project, user: Membership.objects.select_for_update(no_key=True).filter(
        project=project, user=user
    ),
    project=int,
    user=int,
)
TASK = Prepared(lambda pk: Task.objects.select_for_update(no_key=True).filter(pk=pk), pk=int)
COMPLETIONS = Prepared(
    lambda task: TaskCompletion.objects.filter(task=task).order_by("position").values_list("completion_id"),
    task=int,
)
DRAFT = Prepared(lambda task, user: Draft.objects.filter(task=task, user=user), task=int, user=int)
READ = Prepared(
    lambda user, project, kind: (
        GuidelineAcknowledgement.objects.filter(
            user=user, version__guideline__project=project, version__guideline__kind=kind
        )
        .order_by("-version__number")
        .values_list("version_id")[:1]
    ),
    user=int,
    project=int,
    kind=str,
)
LIVE_STATUSES = Prepared(
    lambda task: Assignment.objects.filter(task=task).live().order_by().values_list("status"), task=int
)
DONE = PreparedUpdate(lambda pk, now: (_whole(pk), {"status": TaskStatus.DONE, "done_at": now}),
                      pk=int, now=datetime)  # fmt: skip


def lock_member(*, project: Project, user) -> Membership | None:
    """Lock the person's membership: their own requests queue up, and being paused or removed waits its turn.

    None for a superuser who is no member. Raises Forbidden unless they may work here now.
    """
    membership = MEMBER.first(project=project.pk, user=user.pk)
    if not user.is_active:
        raise Forbidden("This account is disabled.")
    if membership is None or membership.status == MembershipStatus.REMOVED:
        if user.is_superuser:
            return membership
        raise Forbidden("You do not work in this project.", code="not_a_member")
    if membership.status == MembershipStatus.PAUSED:
        raise paused()
    return membership


def lock_task(task_id: int) -> Task:
    """Lock a task before its slots and submissions are changed together."""
    task = TASK.first(pk=task_id)
    if task is None:
        raise Task.DoesNotExist(f"There is no task {task_id}.")
    return task


def mirrored(task: Task) -> dict[str, Any]:
    """The fields of a slot that repeat what task, batch and project say, for the hand-out's index.

    A paused or overdue batch needs no mark on a new slot: the hand-out asks the batch as well.
    """
    batch = task.batch
    return {
        "project_id": task.project_id,
        "batch_id": task.batch_id,
        "kind": task.kind,
        "purpose": task.purpose,
        "language": _language(task) if task.project.settings.match_languages else "",
        "priority": batch.priority if task.priority is None else task.priority,
        "due_at": batch.deadline_at or NO_DEADLINE,
        "is_held": task.parked_at is not None,
    }


def _language(task: Task) -> str:
    """The prompt's, or that in which a batch wants its prompts written."""
    return task.prompt.language or language_of_batch(task.batch)


def add_slot(task: Task, **fields: Any) -> Assignment:
    """One more slot for a locked task. Open, it goes first: the task is begun."""
    last = Assignment.objects.filter(task=task).aggregate(last=Max("slot"))["last"] or 0
    values = {**mirrored(task), "handout_rank": 0, **fields}
    return Assignment.objects.create(task=task, slot=last + 1, **values)


def in_lock_order(rows: QuerySet[Assignment]) -> QuerySet[Assignment]:
    """The same slots for an UPDATE of many, locked by number first: two people who change overlapping sets at
    once then wait for each other in one direction only."""
    ids = rows.order_by("pk").select_for_update(no_key=True, of=("self",)).values("pk")
    return Assignment.objects.filter(pk__in=ids)


def lease_time(project: Project) -> timedelta:
    return timedelta(minutes=project.settings.lease_minutes)


def deadline(project: Project):
    """The end of a lease that starts now, by the database's clock."""
    return Now() + lease_time(project)


def shown_order(*, task: Task, user) -> tuple[list[int], int]:
    """(completion ids as this person sees them, the seed of the shuffle).

    The seed follows from task and person, so that a task that comes back looks the same, and that the order
    is known even after the slot has been somebody else's.
    """
    seed = int.from_bytes(hashlib.sha256(f"order:{task.pk}:{user.pk}".encode()).digest()[:6])
    order = [pk for (pk,) in COMPLETIONS.all(task=task.pk)]
    random.Random(seed).shuffle(order)
    return order, seed


def was_shown(*, task_id: int, user) -> bool:
    """Whether this person was ever handed the task: every claim leaves them a draft, if an empty one."""
    return Draft.objects.filter(task_id=task_id, user=user).exists()


def may_take_again(*, assignment: Assignment, user) -> bool:
    """Whether they were handed its task before, hold no slot of it now, and never skipped it."""
    had = Assignment.objects.filter(task_id=assignment.task_id, annotator=user)
    skipped = Skip.objects.filter(task_id=assignment.task_id, user=user)
    return was_shown(task_id=assignment.task_id, user=user) and not had.exists() and not skipped.exists()


def passed_on_task(*, task: Task, user) -> DomainError | None:
    """The error for work on a task that its person skipped (raised: it is gone), or that a lead took back
    from them (returned: it is to be kept); None where neither happened."""
    reason = Skip.objects.filter(task=task, user=user).values_list("reason", flat=True).first()
    if reason is None:
        return None
    if reason == SkipReason.WITHDRAWN:
        return Conflict(
            "A lead has taken this task back.",
            code="withdrawn",
            hint="Your work is kept and marked late; a lead can still accept it.",
        )
    raise Gone("You have skipped this task.", code="skipped", hint="Ask for the next one.")


def lost_lease(assignment: Assignment, user) -> DomainError:
    """The error that says what became of a slot that is no longer in this person's hands."""
    mine = assignment.annotator_id == user.pk
    match assignment.status:
        case AssignmentStatus.SUBMITTED if mine and _is_taken_back(assignment):
            return Gone(
                "A lead has taken this up again to decide on it.",
                code="taken_back",
                hint="What you wrote is kept as a draft. You find the piece under “My work”.",
            )
        case AssignmentStatus.SUBMITTED if mine:
            return Gone(
                "You have submitted this task already.",
                code="already_submitted",
                hint="You find it under “My work”.",
            )
        case AssignmentStatus.RETURNED if mine:
            return Conflict(
                "A reviewer returned this task to you. Open it again to see the note.",
                code="returned",
                hint="What you wrote is kept.",
            )
        case AssignmentStatus.LEASED if mine:
            return Conflict(
                "You have opened this task again somewhere else.",
                code="stale_lease",
                hint="Go on in the newer window; your draft is there.",
            )
        case AssignmentStatus.VOID:
            return Gone(
                "This task was closed.", code="task_closed", hint="What you wrote is kept as a draft."
            )
    return Conflict(
        "Your time for this task ran out and it is no longer yours.",
        code="lease_lost",
        hint="What you wrote is kept as a draft. Ask for the next task.",
    )


def _is_taken_back(assignment: Assignment) -> bool:
    """Whether it was put up for review again: what its author sends now was not asked for any more."""
    reopened = Submission.objects.filter(assignment=assignment.pk, review_reason=ReviewReason.REOPENED)
    return reopened.filter(status=SubmissionStatus.AWAITING_REVIEW).exists()


def _whole(pk) -> QuerySet[Task]:
    """The task if it is open and every live slot of it, of which there is one at least, is submitted."""
    live = Assignment.objects.filter(task=OuterRef("pk")).live()
    unfinished = live.exclude(status=AssignmentStatus.SUBMITTED)
    return Task.objects.filter(Exists(live), ~Exists(unfinished), pk=pk, status=TaskStatus.OPEN)


def finish_task(task: Task) -> bool:
    """Mark a locked task done once every live slot holds a submission that stands. Whether it is done."""
    if task.purpose in (TaskPurpose.CALIBRATION, TaskPurpose.GOLD, TaskPurpose.SCREENING):
        return False  # the next person's slot is made when they come
    if DONE.run(pk=task.pk, now=timezone.now()):
        return True
    # Done before, or not yet: the callers that ask which are not those of the hand-out.
    slots = [status for (status,) in LIVE_STATUSES.all(task=task.pk)]
    return bool(slots) and all(status == AssignmentStatus.SUBMITTED for status in slots)


def unfinish_task(task: Task) -> None:
    """A locked task has work again: what was done is open."""
    Task.objects.filter(pk=task.pk, status=TaskStatus.DONE).update(status=TaskStatus.OPEN, done_at=None)


def version_read(user, slot: Assignment) -> int | None:
    """The newest guideline version of the kind that the person acknowledged; else the one in force at hand-
    out.
    """
    read = READ.first(user=user.pk, project=slot.project_id, kind=str(slot.kind))
    return read[0] if read else slot.guideline_version_id
