"""Closing one task, for the services that decide on it."""

from __future__ import annotations

from labeling.models import Assignment, AssignmentStatus, Task, TaskStatus

from .slots import in_lock_order


def close_locked(task: Task) -> None:
    """Void the free slots of a locked task and close it. What is in hand may still be submitted, as after the
    closing of a batch; what was submitted stays."""
    free = Assignment.objects.filter(task=task, status=AssignmentStatus.OPEN)
    in_lock_order(free).update(status=AssignmentStatus.VOID, reserved_for=None)
    Task.objects.filter(pk=task.pk).update(status=TaskStatus.CLOSED, done_at=None)
    task.status = TaskStatus.CLOSED
