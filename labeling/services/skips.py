"""What becomes of a task that people pass on: it goes to others, or waits for a lead, who decides."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict, Invalid
from annotate.words import _
from labeling.formats import prompt_digest
from labeling.models import (
    Assignment,
    AssignmentStatus,
    Batch,
    BatchStatus,
    MembershipStatus,
    Prompt,
    Role,
    Skip,
    SkipReason,
    Task,
    TaskKind,
    TaskStatus,
)

from .activity import notify, record_event
from .judgments import clean_text
from .prompts import NewPrompt, ensure_prompts, lock_project_rows
from .returned import tell_of_skip
from .slots import in_lock_order, lock_task, mirrored
from .task_close import close_locked

# These are shown to nobody else before a lead has looked.
PARKS_AT_ONCE = (SkipReason.UNSAFE, SkipReason.PERSONAL_DATA)
LONGEST_PROMPT = 100_000


def route_skip(*, skip: Skip) -> None:
    """After a skip, in its transaction, the task locked: park it where the reason or the number says so.
    Who returned the work that was skipped hears of it."""
    tell_of_skip(skip)
    task = Task.objects.select_related("project").get(pk=skip.task_id)
    if task.parked_at is not None or task.status != TaskStatus.OPEN:
        return
    if skip.reason not in PARKS_AT_ONCE:
        passed = Skip.objects.filter(task=task).exclude(reason=SkipReason.WITHDRAWN)
        if task.skips_settled_at is not None:
            passed = passed.filter(created_at__gt=task.skips_settled_at)
        if passed.count() < task.project.settings.skips_until_parked:
            return
    Task.objects.filter(pk=task.pk).update(parked_at=timezone.now())
    in_lock_order(Assignment.objects.filter(task=task)).update(is_held=True)
    record_event(action="task.parked", actor=None, obj=task, project=task.project, reason=skip.reason)
    _tell_leads(task)


@transaction.atomic
def release_task(*, task: Task, acting_user) -> Task:
    """The task is fine: hand it out again, to people who have not skipped it."""
    task = _lock_for_decision(task)
    _settle(task)
    record_event(action="task.released", actor=acting_user, obj=task, project=task.project)
    return task


@transaction.atomic
def close_skipped_task(*, task: Task, acting_user) -> Task:
    """Nobody is to do it: what was submitted stays, the rest of its slots is void."""
    task = _lock_for_decision(task)
    _settle(task)
    close_locked(task)
    record_event(action="task.closed", actor=acting_user, obj=task, project=task.project)
    return task


@transaction.atomic
def rewrite_prompt(*, task: Task, messages: Sequence[dict[str, str]], acting_user) -> Task:
    """Replace the prompt: the old one is archived and its task closed, a task of the new one takes its place
    in the same batch. Raises Invalid (no change, no text), Conflict (a ranking: its completions answer the
    old prompt; a closed batch; somebody has it in hand).
    """
    task = _lock_for_decision(task)
    if task.kind != TaskKind.DEMONSTRATION:
        raise Conflict(
            "The completions of a ranking answer the prompt as it is.",
            code="not_a_demonstration",
            hint="Close this task, or release it.",
        )
    if task.batch.status == BatchStatus.CLOSED:
        raise Conflict("Its batch is closed.", code="batch_status", hint="Close this task.")
    if Assignment.objects.filter(task=task, status=AssignmentStatus.LEASED).exists():
        raise Conflict(
            "Somebody is working on it.", code="prompt_in_work", hint="Try again in a few minutes."
        )
    if not task.prompt.messages:
        raise Conflict("Who answers this task writes its prompt.", code="no_prompt")
    new = _new_prompt(task, messages, acting_user)
    _settle(task)
    close_locked(task)
    Prompt.objects.filter(pk=task.prompt_id).update(archived_at=timezone.now())
    replacement = _task_in_place(task, new)
    record_event(
        action="task.prompt_rewritten",
        actor=acting_user,
        obj=task,
        project=task.project,
        old={"prompt": task.prompt_id},
        new={"prompt": new.pk, "task": replacement.pk},
    )
    return replacement


def _new_prompt(task: Task, messages: Sequence[dict[str, str]], acting_user) -> Prompt:
    cleaned = [
        {"role": message["role"], "content": clean_text(message["content"], "messages")}
        for message in messages
    ]
    if not cleaned or cleaned[-1]["role"] != "user" or any(not each["content"].strip() for each in cleaned):
        raise Invalid("Each message needs a text, and the last one is the user's.", field="messages")
    if sum(len(message["content"]) for message in cleaned) > LONGEST_PROMPT:
        raise Invalid(_("At most %(most)s characters.") % {"most": f"{LONGEST_PROMPT:,}"}, field="messages")
    digest = prompt_digest(cleaned)
    if digest == task.prompt.digest:
        raise Invalid(
            "The prompt is unchanged.", code="unchanged", field="messages", hint="Release it instead."
        )
    lock_project_rows(task.project)
    row = NewPrompt(
        messages=cleaned,
        digest=digest,
        category=task.prompt.category,
        language=task.prompt.language,
        metadata={**task.prompt.metadata, "rewritten_from": task.prompt_id},
    )
    ids, created = ensure_prompts(
        project=task.project, rows=[row], import_record=None, acting_user=acting_user
    )
    if digest not in created:
        raise Invalid(
            "The project has this prompt already.", field="messages", hint="Close this task instead."
        )
    return Prompt.objects.get(pk=ids[digest])


def _task_in_place(task: Task, prompt: Prompt) -> Task:
    overlap = max(1, task.overlap)
    new = Task.objects.create(
        project_id=task.project_id,
        batch_id=task.batch_id,
        kind=task.kind,
        prompt=prompt,
        overlap=overlap,
        purpose=task.purpose,
        priority=task.priority,
    )
    Assignment.objects.bulk_create(
        Assignment(task=new, slot=slot, **mirrored(new)) for slot in range(1, overlap + 1)
    )
    return new


def _lock_for_decision(task: Task) -> Task:
    task = lock_task(task.pk)
    if task.status == TaskStatus.CLOSED:
        raise Conflict("This task was closed already.", code="already_decided")
    return task


def _settle(task: Task) -> None:
    """The skips until now are dealt with; the slots may go out again."""
    task.parked_at, task.skips_settled_at = None, timezone.now()
    task.save(update_fields=["parked_at", "skips_settled_at"])
    batch = Batch.objects.get(pk=task.batch_id)
    slots = in_lock_order(Assignment.objects.filter(task=task))
    slots.update(is_held=batch.status != BatchStatus.OPEN)


def _tell_leads(task: Task) -> None:
    members = task.project.memberships.filter(status=MembershipStatus.ACTIVE).select_related("user")
    leads = list(members.filter(role=Role.LEAD)) or list(members.filter(role=Role.ADMIN))
    for lead in leads:
        notify(
            user=lead.user,
            project=task.project,
            kind="task.parked",
            text=_("A task was skipped and waits for your decision."),
            path=reverse("labeling:task_detail", args=[task.project.slug, task.pk]),
        )
