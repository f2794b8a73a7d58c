"""Batches: tasks made together with one policy, and their slots."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from annotate.errors import Invalid
from annotate.names import check_name
from annotate.words import _
from labeling.models import (
    NO_DEADLINE,
    Assignment,
    Batch,
    Completion,
    Layout,
    Project,
    Prompt,
    Task,
    TaskCompletion,
    TaskKind,
    TaskPurpose,
)

from .activity import record_event
from .batch_control import change_policy, close_batch, pause_batch, resume_batch
from .starting_drafts import offer_drafts
from .waiting import (
    MINIMUM_K,
    completion_sets_for,
    prompts_without_task,
    unranked_completions,
    waiting_for_batches,
)
from .written_prompts import blank_prompt

__all__ = [
    "change_policy",
    "close_batch",
    "completion_sets_for",
    "create_batch_from_waiting",
    "create_demonstration_batch",
    "create_ranking_batch",
    "pause_batch",
    "prompts_without_task",
    "resume_batch",
    "unranked_completions",
    "waiting_for_batches",
]

CHUNK = 1_000
MAXIMUM_K = 9


@transaction.atomic
def create_demonstration_batch(
    *,
    project: Project,
    name: str,
    prompts: Iterable[Prompt],
    acting_user,
    overlap: int | None = None,
    review_rate: float | None = None,
    priority: int = 0,
    deadline_at: datetime | None = None,
    source: dict[str, Any] | None = None,
    purpose: str = TaskPurpose.WORK,
    starts_from_draft: bool = False,
) -> Batch:
    """One demonstration task per prompt, each with `overlap` slots. starts_from_draft: whoever writes
    starts from a model's answer, where the prompt has one. Raises Invalid for an empty batch or bad policy.
    """
    batch = _create_batch(
        project,
        TaskKind.DEMONSTRATION,
        name,
        overlap,
        review_rate,
        priority,
        deadline_at,
        acting_user,
        source,
        purpose=purpose,
    )
    ids = prompts.values_list("pk", flat=True) if hasattr(prompts, "values_list") else (p.pk for p in prompts)
    task_count = sum(len(_add_tasks(batch, chunk)) for chunk in _chunks(ids))
    if starts_from_draft:
        offer_drafts(batch)
    return _finish(batch, task_count, acting_user)


@transaction.atomic
def create_writing_batch(
    *,
    project: Project,
    name: str,
    tasks: int,
    acting_user,
    category: str = "",
    language: str = "",
    purpose: str = TaskPurpose.WORK,
    **policy: Any,
) -> Batch:
    """Demonstration tasks whose prompt is written by whoever answers; `category` is what their form starts
    from, `language` what they are to be written in. Raises Invalid as the others do.
    """
    if purpose != TaskPurpose.WORK:
        raise Invalid("People write prompts as work, not as calibration or screening.", field="purpose")
    blank = blank_prompt(project)
    batch = create_demonstration_batch(
        project=project,
        name=name,
        prompts=itertools.repeat(blank, tasks),
        acting_user=acting_user,
        source={"tasks": tasks, "category": category, **({"language": language} if language else {})},
        **policy,
    )
    batch.writes_prompt = True
    batch.save(update_fields=["writes_prompt"])
    if language and project.settings.match_languages:
        # The slots were made before the batch knew that its prompts are to be written.
        Assignment.objects.filter(batch=batch).update(language=language)
    return batch


@transaction.atomic
def create_ranking_batch(
    *,
    project: Project,
    name: str,
    completion_sets: Iterable[tuple[int, Sequence[int]]],
    acting_user,
    overlap: int | None = None,
    review_rate: float | None = None,
    priority: int = 0,
    deadline_at: datetime | None = None,
    source: dict[str, Any] | None = None,
    layout: str = Layout.RANKING,
    purpose: str = TaskPurpose.WORK,
) -> Batch:
    """One ranking task per (prompt id, completion ids), each with `overlap` slots. layout: pairwise shows two
    completions and asks which is better, and by how much.

    Raises Invalid for an empty batch, a set that has not 2 to 9 completions (pairwise: 2), or a completion of
    another prompt.
    """
    _require_ranking_layout(layout)
    batch = _create_batch(
        project,
        TaskKind.RANKING,
        name,
        overlap,
        review_rate,
        priority,
        deadline_at,
        acting_user,
        source,
        layout,
        purpose,
    )
    task_count = 0
    for chunk in _chunks(completion_sets):
        _check_sets(project, chunk, 2 if layout == Layout.PAIRWISE else MAXIMUM_K)
        tasks = _add_tasks(batch, [prompt_id for prompt_id, _ in chunk])
        TaskCompletion.objects.bulk_create(
            TaskCompletion(task=task, completion_id=completion_id, position=position)
            for task, (_, completion_ids) in zip(tasks, chunk, strict=True)
            for position, completion_id in enumerate(completion_ids)
        )
        task_count += len(tasks)
    return _finish(batch, task_count, acting_user)


def create_batch_from_waiting(
    *,
    project: Project,
    name: str,
    kind: str,
    acting_user,
    limit: int = 100,
    category: str = "",
    language: str = "",
    completions_per_task: int | None = None,
    overlap: int | None = None,
    review_rate: float | None = None,
    priority: int = 0,
    layout: str = Layout.RANKING,
    deadline_at: datetime | None = None,
    purpose: str = TaskPurpose.WORK,
    starts_from_draft: bool = False,
    writes_prompt: bool = False,
) -> Batch:
    """A batch out of what waits: prompts without a demonstration task, or completions that nobody ranks yet.

    limit: tasks at most. completions_per_task: K, for rankings (2 where the layout is pairwise); layout: of
    rankings. purpose: work, calibration (everybody gets each task) or screening. writes_prompt: `limit`
    demonstrations whose prompts are written by who answers. Raises Invalid, as the two kinds do.
    """
    if purpose not in (TaskPurpose.WORK, TaskPurpose.CALIBRATION, TaskPurpose.SCREENING):
        raise Invalid("A batch is for work, calibration or screening.", field="purpose")
    policy = {
        "overlap": overlap,
        "review_rate": review_rate,
        "priority": priority,
        "deadline_at": deadline_at,
        "purpose": purpose,
        "acting_user": acting_user,
    }
    chosen = {"category": category, "language": language}
    source = {"limit": limit, "category": category, **({"language": language} if language else {})}
    if writes_prompt:
        _check_writing(kind, starts_from_draft)
        return create_writing_batch(project=project, name=name, tasks=limit, **chosen, **policy)
    if kind == TaskKind.DEMONSTRATION:
        prompts = prompts_without_task(project=project, kind=kind, **chosen)[:limit]
        return create_demonstration_batch(
            project=project,
            name=name,
            prompts=prompts,
            source=source,
            starts_from_draft=starts_from_draft,
            **policy,
        )
    if kind != TaskKind.RANKING:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(TaskKind.values)}, field="kind")
    _require_ranking_layout(layout)
    size = _ranking_size(project, layout, completions_per_task)
    sets = completion_sets_for(project=project, size=size, **chosen)
    return create_ranking_batch(
        project=project,
        name=name,
        completion_sets=itertools.islice(sets, limit),
        source=source | {"completions_per_task": size},
        layout=layout,
        **policy,
    )


def _create_batch(
    project,
    kind,
    name,
    overlap,
    review_rate,
    priority,
    deadline_at,
    acting_user,
    source,
    layout=Layout.DEMONSTRATION,
    purpose=TaskPurpose.WORK,
) -> Batch:
    settings = project.settings
    overlap = settings.default_overlap if overlap is None else overlap
    if review_rate is None:
        demonstrations = kind == TaskKind.DEMONSTRATION
        review_rate = settings.demonstration_review_rate if demonstrations else settings.ranking_review_rate
    name = check_name(name)
    if not name:
        raise Invalid("Give the batch a name.", field="name")
    if not 1 <= overlap <= 20:
        raise Invalid("Overlap: between 1 and 20 people per task.", field="overlap")
    if not 0 <= review_rate <= 1:
        raise Invalid("Review rate: between 0 and 1.", field="review_rate")
    return Batch.objects.create(
        project=project,
        kind=kind,
        layout=layout,
        purpose=purpose,
        name=name[:120],
        overlap=overlap,
        review_rate=review_rate,
        priority=priority,
        deadline_at=deadline_at,
        source=source or {},
        created_by=acting_user,
    )


def _check_writing(kind: str, starts_from_draft: bool) -> None:
    if kind != TaskKind.DEMONSTRATION:
        raise Invalid("Prompts are written for demonstrations.", field="writes_prompt")
    if starts_from_draft:
        raise Invalid("There is no draft for a prompt that is not written yet.", field="writes_prompt")


def _ranking_size(project: Project, layout: str, completions_per_task: int | None) -> int:
    """K of a new batch."""
    usual = 2 if layout == Layout.PAIRWISE else project.settings.completions_per_task
    size = usual if completions_per_task is None else completions_per_task
    if layout == Layout.PAIRWISE and size != 2:
        raise Invalid("Pairwise tasks show 2 completions.", field="completions_per_task")
    if not MINIMUM_K <= size <= MAXIMUM_K:
        raise Invalid(
            _("Between %(least)s and %(most)s.") % {"least": MINIMUM_K, "most": MAXIMUM_K},
            field="completions_per_task",
        )
    return size


def _require_ranking_layout(layout: str) -> None:
    if layout not in (Layout.RANKING, Layout.PAIRWISE):
        raise Invalid("Rankings are laid out as ranking or pairwise.", field="layout")


def _add_tasks(batch: Batch, prompt_ids: Sequence[int]) -> list[Task]:
    """Tasks with their slots. Calibration and screening get theirs one by one, as people come."""
    is_work = batch.purpose == TaskPurpose.WORK
    tasks = Task.objects.bulk_create(
        Task(
            project_id=batch.project_id,
            batch=batch,
            kind=batch.kind,
            prompt_id=prompt_id,
            overlap=batch.overlap if is_work else 0,
            purpose=batch.purpose,
        )
        for prompt_id in prompt_ids
    )
    if not is_work:
        return tasks
    languages: dict[int, str] = {}
    if batch.project.settings.match_languages:
        languages = dict(Prompt.objects.filter(pk__in=prompt_ids).values_list("pk", "language"))
    Assignment.objects.bulk_create(
        Assignment(
            task=task,
            slot=slot,
            project_id=batch.project_id,
            batch=batch,
            kind=batch.kind,
            language=languages.get(task.prompt_id, ""),
            priority=batch.priority,
            due_at=batch.deadline_at or NO_DEADLINE,
        )
        for task in tasks
        for slot in range(1, batch.overlap + 1)
    )
    return tasks


def _check_sets(project: Project, chunk: Sequence[tuple[int, Sequence[int]]], most: int) -> None:
    ids = [completion_id for _, completion_ids in chunk for completion_id in completion_ids]
    prompt_of = dict(Completion.objects.filter(project=project, pk__in=ids).values_list("pk", "prompt_id"))
    for prompt_id, completion_ids in chunk:
        if not MINIMUM_K <= len(completion_ids) <= most:
            shows = f"{MINIMUM_K} to {most}" if most > MINIMUM_K else str(MINIMUM_K)
            raise Invalid(
                _("A task of this layout shows %(shows)s completions, not %(n)s.")
                % {"shows": shows, "n": len(completion_ids)},
                field="completion_sets",
            )
        if len(set(completion_ids)) != len(completion_ids):
            raise Invalid("A completion is twice in one set.", field="completion_sets")
        for completion_id in completion_ids:
            if prompt_of.get(completion_id) != prompt_id:
                raise Invalid(
                    _(
                        "Completion %(completion_id)s is not an answer to prompt %(prompt_id)s of this "
                        "project."
                    )
                    % {"completion_id": completion_id, "prompt_id": prompt_id},
                    field="completion_sets",
                )


def _finish(batch: Batch, task_count: int, acting_user) -> Batch:
    if task_count == 0:
        raise Invalid(
            "There are no prompts for this batch."
            if batch.kind == TaskKind.DEMONSTRATION
            else "There are no completions that nobody has ranked yet for this batch.",
            code="empty_batch",
        )
    record_event(
        action="batch.created",
        actor=acting_user,
        obj=batch,
        project=batch.project,
        tasks=task_count,
        overlap=batch.overlap,
        kind=batch.kind,
        layout=batch.layout,
    )
    return batch


def _chunks(items: Iterable) -> Iterator[list]:
    iterator = iter(items.iterator(chunk_size=CHUNK) if hasattr(items, "iterator") else items)
    while chunk := list(itertools.islice(iterator, CHUNK)):
        yield chunk
