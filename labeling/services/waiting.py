"""What a new batch could take up: prompts nobody was asked to answer, completions that nobody ranks."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence

from django.db.models import Exists, OuterRef, QuerySet

from labeling.models import Completion, Project, Prompt, Submission, Task, TaskKind, TaskStatus

from .written_prompts import answered_by_their_author

CHUNK = 1_000
MINIMUM_K = 2


def completion_sets_for(
    *,
    project: Project,
    size: int,
    run_key=None,
    checkpoint_keys: Sequence | None = None,
    generators: Sequence[str] | None = None,
    category: str = "",
    language: str = "",
) -> Iterator[tuple[int, list[int]]]:
    """Sets of up to `size` different completions per prompt, from those that no task ranks yet.

    Within a prompt, completions of different generators are spread over the sets; equal texts never meet
    in one set. A
    rest smaller than two is left out.
    """
    rows = unranked_completions(project)
    if run_key is not None:
        rows = rows.filter(run_key=run_key)
    if checkpoint_keys is not None:
        rows = rows.filter(checkpoint_key__in=checkpoint_keys)
    if generators is not None:
        rows = rows.filter(generator__in=generators)
    if category:
        rows = rows.filter(prompt__category=category)
    if language:
        rows = rows.filter(prompt__language=language)
    fields = rows.order_by("prompt_id", "id").values_list("prompt_id", "pk", "generator", "text")
    for prompt_id, group in itertools.groupby(fields.iterator(chunk_size=CHUNK * 2), key=lambda row: row[0]):
        by_generator: dict[str, list[int]] = defaultdict(list)
        seen_texts: set[str] = set()
        for _, completion_id, generator, text in group:
            if text not in seen_texts:
                seen_texts.add(text)
                by_generator[generator].append(completion_id)
        # Take turns between generators, so that each set mixes them.
        turns = itertools.chain.from_iterable(itertools.zip_longest(*by_generator.values()))
        ids = [completion_id for completion_id in turns if completion_id is not None]
        for start in range(0, len(ids), size):
            chosen = ids[start : start + size]
            if len(chosen) >= MINIMUM_K:
                yield prompt_id, chosen


def unranked_completions(project: Project) -> QuerySet[Completion]:
    """Those in no ranking task, without those that came from a file together with their ranking."""
    imported = Submission.objects.filter(
        kind=TaskKind.RANKING, prompt=OuterRef("prompt"), import_record=OuterRef("import_record")
    )
    rows = Completion.objects.filter(project=project, task_completions=None, prompt__archived_at=None)
    return rows.filter(~Exists(imported))


def prompts_without_task(
    *, project: Project, kind: str, category: str = "", language: str = ""
) -> QuerySet[Prompt]:
    """Active prompts that no task of this kind asks for and no imported file judged yet, oldest first."""
    asked = Task.objects.filter(prompt=OuterRef("pk"), kind=kind).exclude(status=TaskStatus.CLOSED)
    imported = Submission.objects.filter(prompt=OuterRef("pk"), kind=kind, import_record__isnull=False)
    rows = project.prompts.active().filter(~Exists(asked), ~Exists(imported)).order_by("pk")
    if kind == TaskKind.DEMONSTRATION:
        rows = rows.exclude(answered_by_their_author())
    rows = rows.filter(category=category) if category else rows
    return rows.filter(language=language) if language else rows


def waiting_for_batches(*, project: Project) -> dict[str, int]:
    """How much a new batch could take up: prompts without a demonstration task, completions in no
    ranking task; without what was judged elsewhere and imported.
    """
    unranked = unranked_completions(project)
    return {
        TaskKind.DEMONSTRATION.value: prompts_without_task(
            project=project, kind=TaskKind.DEMONSTRATION
        ).count(),
        TaskKind.RANKING.value: unranked.count(),
    }
