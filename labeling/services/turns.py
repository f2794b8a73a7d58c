"""Whose turn it is for a task that does not come from the queue: calibration, gold, screening, repeats.

Their slots are made as people come, so that everybody gets the same tasks and no backlog of slots waits. A
slot made so looks like any other: its number is random, its task and prompt go by opaque numbers in the API,
and the reason that its person is told is that of ordinary work.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

from django.db.models import Exists, OuterRef
from django.utils import timezone

from labeling import queues
from labeling.models import (
    Assignment,
    AssignmentStatus,
    Project,
    ProjectSettings,
    Submission,
    Task,
    TaskCompletion,
    TaskKind,
    TaskPurpose,
)
from labeling.queues import Pick

from .slots import add_slot, lock_task

_random = secrets.SystemRandom()


def draw() -> float:
    """A number in [0, 1) that nobody can foresee: a fixed rhythm would give gold away."""
    return _random.random()


def purpose_of(number: float, settings: ProjectSettings) -> str:
    """What the next hand-out is to be, at the project's rates: gold, calibration, a repeat, or plain work."""
    for purpose, rate in (
        (TaskPurpose.GOLD, settings.gold_rate),
        (TaskPurpose.CALIBRATION, settings.calibration_rate),
        (TaskPurpose.REPEAT, settings.repeat_rate),
    ):
        if number < rate:
            return purpose
        number -= rate
    return TaskPurpose.WORK


def take_turn(*, user, project: Project, kinds: Sequence[str]) -> Pick | None:
    """A special task in place of the head of the queue, if it is this person's turn for one.

    Only while ordinary work waits as well: gold that comes when the queue is empty would be known for gold.
    """
    purpose = purpose_of(draw(), project.settings)
    if purpose == TaskPurpose.WORK:
        return None
    if purpose != TaskPurpose.REPEAT:
        if queues.SPECIAL.first(project=project.pk, purpose=str(purpose)) is None:
            return None
        if not queues.special_tasks(user=user, project=project, purpose=purpose).exists():
            return None
    head = queues.first_open(user=user, project=project, kinds=kinds)
    if head is None:
        return None
    if purpose == TaskPurpose.REPEAT:
        return repeat(user=user, project=project) if TaskKind.RANKING in kinds else None
    return special(user=user, project=project, kinds=[head.assignment.kind], purpose=purpose)


def special(
    *, user, project: Project, kinds: Sequence[str], purpose: str, batch_id: int | None = None
) -> Pick | None:
    """A slot of a task of this purpose that the person has not had: a free one, or one made for them.

    Gold comes in an order of chance, the other kinds to everybody alike. Takes the task's lock.
    """
    rows = queues.special_tasks(user=user, project=project, purpose=purpose).filter(kind__in=kinds)
    if batch_id is not None:
        rows = rows.filter(batch=batch_id)
    if purpose == TaskPurpose.GOLD:
        rows = rows.order_by("?")
    pk = rows.values_list("pk", flat=True).first()
    if pk is None:
        return None
    task = lock_task(pk)
    free = Assignment.objects.filter(task=task, status=AssignmentStatus.OPEN, reserved_for=None)
    slot = queues.locked(free.order_by("slot")).first()
    if slot is None:
        Task.objects.filter(pk=task.pk).update(overlap=task.overlap + 1)
        slot = add_slot(task)
    return Pick(Assignment.objects.select_related("task", "batch").get(pk=slot.pk), purpose)


def repeat(*, user, project: Project) -> Pick | None:
    """A ranking of this person's, old enough, as a task of its own: the drift check. Each at most once."""
    before = timezone.now() - timedelta(days=project.settings.repeat_after_days)
    repeated = Task.objects.filter(repeat_of=OuterRef("task"), assignments__reserved_for=user)
    done = Submission.objects.filter(
        project=project,
        annotator=user,
        kind=TaskKind.RANKING,
        created_at__lte=before,
        task__purpose__in=[TaskPurpose.WORK, TaskPurpose.CALIBRATION],
        task__batch__status="open",
    ).exclude(Exists(repeated))
    original = done.order_by("?").values_list("task_id", flat=True).first()
    if original is None:
        return None
    slot = add_slot(_copy(Task.objects.get(pk=original)), reserved_for=user, handout_rank=1)
    return Pick(Assignment.objects.select_related("task", "batch").get(pk=slot.pk), "repeat")


def _copy(task: Task) -> Task:
    copy = Task.objects.create(
        project_id=task.project_id,
        batch_id=task.batch_id,
        kind=task.kind,
        prompt_id=task.prompt_id,
        overlap=1,
        purpose=TaskPurpose.REPEAT,
        repeat_of=task,
    )
    TaskCompletion.objects.bulk_create(
        TaskCompletion(task=copy, completion_id=completion_id, position=position)
        for completion_id, position in task.task_completions.values_list("completion_id", "position")
    )
    return copy
