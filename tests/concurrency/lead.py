"""A lead at work while annotators are: runs inside a worker process of its own."""

from __future__ import annotations

import random
import time


def lead_on(user, project, *, rounds: int, guarded: bool) -> None:
    """`rounds` changes of tasks, drawn by chance; refusals (Conflict) are part of the life of a lead."""
    from annotate.errors import DomainError
    from labeling.models import Task
    from tests.concurrency.worker import say

    source = random.Random(user.pk)
    tasks = list(Task.objects.filter(project=project).order_by("pk"))
    if not guarded:
        lower_without_guard(tasks)
        return
    for _ in range(rounds):
        verb = source.choice([lower_or_raise, assign, take_back, reopen, reprioritise, pause_for_a_moment])
        try:
            verb(source, source.choice(tasks), user, project)
        except DomainError as error:
            say(refused=error.code, verb=verb.__name__)
        else:
            say(lead=verb.__name__)


def lower_or_raise(source, task, user, project) -> None:
    from labeling.services.task_control import change_overlap

    change_overlap(task=task, overlap=source.randint(1, 6), acting_user=user)


def assign(source, task, user, project) -> None:
    from labeling.services.task_control import assign_task

    member = source.choice(list(project.memberships.filter(role="annotator")))
    assign_task(task=task, membership=member, acting_user=user)


def take_back(source, task, user, project) -> None:
    from labeling.models import Assignment
    from labeling.services.task_control import unassign_slot

    held = Assignment.objects.filter(task__project=project, status="leased").order_by("?").first()
    if held is not None:
        unassign_slot(assignment=held, acting_user=user)


def reopen(source, task, user, project) -> None:
    from labeling.services.task_control import reopen_task

    reopen_task(task=task, acting_user=user)


def reprioritise(source, task, user, project) -> None:
    from labeling.services.task_control import change_priority

    change_priority(task=task, priority=source.randint(-5, 5), acting_user=user)


def pause_for_a_moment(source, task, user, project) -> None:
    from labeling.services.batches import pause_batch, resume_batch

    pause_batch(batch=task.batch, acting_user=user)
    resume_batch(batch=task.batch, acting_user=user)


def lower_without_guard(tasks) -> None:
    """The control: look which slots are free, think until somebody has taken one, then void them whatever
    became of them."""
    from labeling.models import Assignment
    from tests.concurrency.worker import say

    free = Assignment.objects.filter(pk__in=[slot.pk for task in tasks for slot in task.assignments.open()])
    say(looked=free.count())
    while not free.exclude(status="open").exists():
        time.sleep(0.01)
    free.update(status="void")
