"""Batches while work goes on: paused, resumed, closed, under another policy."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from annotate.errors import Conflict, Invalid
from annotate.words import _, in_a_sentence
from labeling.models import (
    NO_DEADLINE,
    Assignment,
    AssignmentStatus,
    Batch,
    BatchStatus,
    TaskPurpose,
    TaskStatus,
)

from .activity import record_event
from .slots import in_lock_order


@transaction.atomic
def pause_batch(*, batch: Batch, acting_user) -> Batch:
    """Hand out nothing more from this batch until it is resumed; work in hand goes on."""
    batch = _move(batch, {BatchStatus.OPEN}, BatchStatus.PAUSED, acting_user)
    in_lock_order(batch.assignments.filter(is_held=False)).update(is_held=True)
    return batch


@transaction.atomic
def resume_batch(*, batch: Batch, acting_user) -> Batch:
    batch = _move(batch, {BatchStatus.PAUSED}, BatchStatus.OPEN, acting_user)
    _let_go(batch)
    return batch


@transaction.atomic
def hold_overdue() -> int:
    """Take the slots of batches past their deadline out of the hand-out's index; how many. Called by the
    sweep: the hand-out passes over them anyway, but would have to read past them each time.
    """
    overdue = Batch.objects.open().filter(deadline_at__lte=Now())
    waiting = Assignment.objects.filter(
        batch__in=overdue, status=AssignmentStatus.OPEN, is_held=False, purpose=TaskPurpose.WORK
    )
    return in_lock_order(waiting).update(is_held=True)


def _let_go(batch: Batch) -> None:
    in_lock_order(batch.assignments.filter(is_held=True, task__parked_at=None)).update(is_held=False)


@transaction.atomic
def close_batch(*, batch: Batch, acting_user) -> Batch:
    """End a batch: open slots are voided, unfinished tasks closed, what was submitted stays. Work in
    hand may still
    be submitted."""
    batch = _move(batch, {BatchStatus.OPEN, BatchStatus.PAUSED}, BatchStatus.CLOSED, acting_user)
    free = batch.assignments.filter(status=AssignmentStatus.OPEN).exclude(purpose=TaskPurpose.GOLD)
    in_lock_order(free).update(status=AssignmentStatus.VOID)
    # Gold outlives its batch: its answer is known, and people go on being held against it.
    unfinished = batch.tasks.filter(status=TaskStatus.OPEN).exclude(purpose=TaskPurpose.GOLD)
    in_hand = [AssignmentStatus.LEASED, AssignmentStatus.RETURNED]
    unfinished.exclude(assignments__status__in=in_hand).update(status=TaskStatus.CLOSED)
    return batch


@transaction.atomic
def change_policy(*, batch: Batch, priority: int, review_rate: float, deadline_at, acting_user) -> Batch:
    """Change what may change while work goes on."""
    if not 0 <= review_rate <= 1:
        raise Invalid("Between 0 and 1.", field="review_rate")
    old = {
        "priority": batch.priority,
        "review_rate": batch.review_rate,
        "deadline_at": str(batch.deadline_at or ""),
    }
    batch.priority, batch.review_rate, batch.deadline_at = priority, review_rate, deadline_at
    batch.save(update_fields=["priority", "review_rate", "deadline_at"])
    # Slots in hand as well: they may come back. Tasks with a priority of their own keep it.
    live = batch.assignments.exclude(status__in=[AssignmentStatus.SUBMITTED, AssignmentStatus.VOID])
    in_lock_order(live.filter(task__priority=None).exclude(priority=priority)).update(priority=priority)
    due_at = deadline_at or NO_DEADLINE
    in_lock_order(live.exclude(due_at=due_at)).update(due_at=due_at)
    if batch.status == BatchStatus.OPEN and due_at > timezone.now():
        _let_go(batch)
    new = {"priority": priority, "review_rate": review_rate, "deadline_at": str(deadline_at or "")}
    if old != new:
        record_event(
            action="batch.policy_changed",
            actor=acting_user,
            obj=batch,
            project=batch.project,
            old=old,
            new=new,
        )
    return batch


@transaction.atomic
def _move(batch: Batch, allowed: set[BatchStatus], status: BatchStatus, acting_user) -> Batch:
    closed_at = timezone.now() if status == BatchStatus.CLOSED else None
    moved = Batch.objects.filter(pk=batch.pk, status__in=allowed).update(status=status, closed_at=closed_at)
    batch.refresh_from_db()
    if moved != 1:
        raise Conflict(
            _("This batch is %(state)s.") % {"state": in_a_sentence(batch.get_status_display())},
            code="batch_status",
        )
    record_event(
        action=f"batch.{status}", actor=acting_user, obj=batch, project=batch.project, status=str(status)
    )
    return batch
