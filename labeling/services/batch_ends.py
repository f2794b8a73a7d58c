"""A batch is finished when none of its tasks is open any more: told once, by the worker's sweep."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from labeling.models import Batch, BatchStatus, Task, TaskStatus

from .activity import record_event

OPEN_TASKS = Task.objects.filter(batch=OuterRef("pk"), status=TaskStatus.OPEN)
DONE_TASKS = Task.objects.filter(batch=OuterRef("pk"), status=TaskStatus.DONE)


def note_finished_batches() -> int:
    """Record the end of each batch whose last task was done; one that is opened again may end again."""
    reopened = Batch.objects.exclude(finished_at=None).filter(Exists(OPEN_TASKS))
    reopened.update(finished_at=None)
    ended = Batch.objects.exclude(status=BatchStatus.CLOSED).filter(finished_at=None)
    found = ended.filter(~Exists(OPEN_TASKS), Exists(DONE_TASKS)).select_related("project")
    return sum(_finish(batch) for batch in found)


@transaction.atomic
def _finish(batch: Batch) -> bool:
    if not Batch.objects.filter(pk=batch.pk, finished_at=None).update(finished_at=timezone.now()):
        return False  # another sweep was faster
    record_event(
        action="batch.finished",
        actor=None,
        obj=batch,
        project=batch.project,
        name=batch.name,
        kind=batch.kind,
    )
    return True
