"""More or fewer people per task of a whole batch, while work goes on."""

from __future__ import annotations

from collections import defaultdict

from django.db import transaction
from django.db.models import Count, Max, Q

from annotate.errors import Conflict, Invalid
from annotate.words import _
from labeling.models import (
    Assignment,
    AssignmentStatus,
    Batch,
    BatchStatus,
    Task,
    TaskPurpose,
    TaskStatus,
)

from .activity import record_event
from .prompts import chunked
from .slots import MOST_OVERLAP, finish_task, mirrored

LOCKED_AT_ONCE = 500


@transaction.atomic
def change_batch_overlap(*, batch: Batch, overlap: int, acting_user) -> dict[str, int]:
    """Raise or lower the overlap of every task that is not closed; {"changed", "kept"} tasks.

    Raised, done tasks have work again. Lowered, a task that more people have taken than that keeps its taken
    slots and gets no others: it is counted in "kept". Raises Invalid (1 to 20), Conflict (closed batch).
    """
    if not 1 <= overlap <= MOST_OVERLAP:
        raise Invalid(
            _("Overlap: between 1 and %(most)s people per task.") % {"most": MOST_OVERLAP}, field="overlap"
        )
    batch = (
        Batch.objects.select_for_update(no_key=True, of=("self",)).select_related("project").get(pk=batch.pk)
    )
    if batch.status == BatchStatus.CLOSED:
        raise Conflict("This batch is closed.", code="batch_status")
    if batch.purpose != TaskPurpose.WORK:
        raise Conflict("Everybody gets the tasks of this batch.", code="task_purpose")
    old = batch.overlap
    Batch.objects.filter(pk=batch.pk).update(overlap=overlap)
    tasks = batch.tasks.filter(purpose=TaskPurpose.WORK).exclude(status=TaskStatus.CLOSED).order_by("pk")
    counts = {"changed": 0, "kept": 0}
    for ids in chunked(list(tasks.values_list("pk", flat=True)), LOCKED_AT_ONCE):
        _change_chunk(ids, overlap, counts)
    record_event(
        action="batch.overlap_changed",
        actor=acting_user,
        obj=batch,
        project=batch.project,
        old={"overlap": old},
        new={"overlap": overlap},
        **counts,
    )
    batch.overlap = overlap
    return counts


def _change_chunk(ids: list[int], overlap: int, counts: dict[str, int]) -> None:
    locked = Task.objects.select_for_update(no_key=True, of=("self",)).select_related(
        "batch__project", "prompt"
    )
    tasks = list(locked.filter(pk__in=ids).order_by("pk"))
    live = ~Q(status=AssignmentStatus.VOID)
    rows = Assignment.objects.filter(task__in=ids).order_by().values("task")
    facts = {
        row["task"]: row
        for row in rows.annotate(
            live=Count("pk", filter=live),
            last=Max("slot"),
            begun=Count("pk", filter=live & ~Q(status=AssignmentStatus.OPEN)),
        )
    }
    none = {"live": 0, "last": 0, "begun": 0}
    more = [task for task in tasks if facts.get(task.pk, none)["live"] < overlap]
    fewer = {task.pk: excess for task in tasks if (excess := facts.get(task.pk, none)["live"] - overlap) > 0}
    _add(more, facts, none, overlap)
    kept = _void(fewer)
    for task in tasks:
        new = overlap + kept.get(task.pk, 0)
        counts["kept"] += task.pk in kept
        if task.overlap != new:
            counts["changed"] += 1
            Task.objects.filter(pk=task.pk).update(overlap=new)
        if task.pk in fewer:
            finish_task(task)
    Task.objects.filter(pk__in=[task.pk for task in more], status=TaskStatus.DONE).update(
        status=TaskStatus.OPEN, done_at=None
    )


def _add(tasks: list[Task], facts: dict, none: dict[str, int], overlap: int) -> None:
    new = []
    for task in tasks:
        known = facts.get(task.pk, none)
        rank = 0 if known["begun"] else 1
        for number in range(1, overlap - known["live"] + 1):
            slot = known["last"] + number
            new.append(Assignment(task=task, slot=slot, handout_rank=rank, **mirrored(task)))
    Assignment.objects.bulk_create(new)


def _void(fewer: dict[int, int]) -> dict[int, int]:
    """Void free slots, the last first; {task id: slots beyond the wish} where too many were taken.

    By one conditional UPDATE: a slot that is claimed meanwhile is left alone.
    """
    free = Assignment.objects.filter(task__in=fewer, status=AssignmentStatus.OPEN, reserved_for=None)
    chosen: dict[int, list[int]] = defaultdict(list)
    for pk, task_id in free.order_by("-slot").values_list("pk", "task_id"):
        if len(chosen[task_id]) < fewer[task_id]:
            chosen[task_id].append(pk)
    ids = [pk for each in chosen.values() for pk in each]
    free.filter(pk__in=ids).update(status=AssignmentStatus.VOID)
    voided = Assignment.objects.filter(pk__in=ids, status=AssignmentStatus.VOID)
    done: dict[int, int] = defaultdict(int)
    for task_id in voided.values_list("task_id", flat=True):
        done[task_id] += 1
    return {task_id: excess - done[task_id] for task_id, excess in fewer.items() if excess > done[task_id]}
