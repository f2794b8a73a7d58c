"""Completions that wait for an order, or had one that is left out: a row for each prompt, with all of its
completions that a recipe selects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Exists, Func, OuterRef, QuerySet, TextField, Value

from labeling.formats import completions_row, prompt_group
from labeling.models import Completion, Project, Prompt

from .bulk_reading import json_text_of, parsed
from .dataset_origins import Origin, imports_of
from .prompt_fields import steady
from .prompts import chunked
from .recipes import Recipe
from .restrictions import on_completions, restrict
from .selected_rows import Selected, count_turns

FETCH = 200
BLANKS = "".join(filter(str.isspace, map(chr, range(1 << 16))))
NO_TEXT = "a completion without text"
_FIELDS = (
    "prompt_id", "pk", "text", "generator", json_text_of("sampling"), "origin", "checkpoint_key", "run_key",
    "author__pseudonym", "import_record_id",
)  # fmt: skip


class _Stripped(Func):
    """As str.strip: TRIM alone takes nothing but blanks away."""

    function = "TRIM"
    output_field = TextField()

    def as_postgresql(self, compiler, connection, **context):
        return self.as_sql(compiler, connection, function="BTRIM", **context)


def select_completions(project: Project, recipe: Recipe) -> QuerySet[Completion]:
    """What the recipe selects of the completions to active prompts. What it says of judgments (reviews,
    guidelines, whose work) selects nothing here: nobody has judged them."""
    return restrict(completions_of(project), on_completions(recipe))


def completions_of(project: Project) -> QuerySet[Completion]:
    """All that a dataset could hold of them."""
    return Completion.objects.filter(project=project, prompt__archived_at=None)


def select_answered(project: Project, recipe: Recipe) -> QuerySet[Prompt]:
    """The prompts that have such completions: the rows."""
    completions = select_completions(project, recipe).filter(prompt=OuterRef("pk"))
    return Prompt.objects.filter(Exists(completions), project=project)


def select_kept(project: Project, recipe: Recipe) -> QuerySet[Prompt]:
    """The prompts of the rows that a version holds: one of the completions is more than blanks."""
    return Prompt.objects.filter(Exists(_written(project, recipe)), project=project)


def without_imported(rows: QuerySet[Prompt], project: Project, recipe: Recipe) -> QuerySet[Prompt]:
    """Those whose rows hold no completion that came with a file."""
    return rows.exclude(Exists(_written(project, recipe).filter(import_record__isnull=False)))


def with_text(project: Project) -> QuerySet[Completion]:
    """All of more than blanks, of one prompt of an outer query."""
    completions = completions_of(project).filter(prompt=OuterRef("pk"))
    return completions.annotate(bare=_Stripped("text", Value(BLANKS))).exclude(bare="")


def _written(project: Project, recipe: Recipe) -> QuerySet[Completion]:
    return restrict(with_text(project), on_completions(recipe))


def completion_rows(project: Project, recipe: Recipe) -> Iterator[Selected]:
    """The rows by the prompt's digest, their completions by age. Memory: FETCH prompts with theirs. A
    completion of nothing but blanks, which no file can bring in again, is left out and counted."""
    fields = ("pk", json_text_of("messages"), "category", "language", "import_record_id")
    prompts = select_answered(project, recipe).order_by("digest").values_list(*fields)
    for chunk in chunked(prompts.iterator(chunk_size=FETCH), FETCH):
        held: dict[int, list[tuple]] = {values[0]: [] for values in chunk}
        found = select_completions(project, recipe).filter(prompt__in=list(held)).order_by("pk")
        for values in found.values_list(*_FIELDS):
            held[values[0]].append(values)
        for values in chunk:
            yield from _rows_of(values, held[values[0]])


def _rows_of(prompt: tuple, completions: list[tuple]) -> Iterator[Selected]:
    pk, messages, category, language, import_id = prompt
    messages = parsed(messages)
    group, turns = prompt_group(messages), count_turns(messages)

    def selected(row: dict[str, Any] | None, said: list[tuple], left_out: str = "") -> Selected:
        origin = Origin(None, import_id, imports_of(values[-1] for values in said))
        size = sum(len(values[2]) for values in said)
        return Selected(group, row, pk, category, size, turns, left_out, language, None, origin)

    written = [values for values in completions if values[2].strip()]
    for values in completions:
        if not values[2].strip():
            yield selected(None, [values], NO_TEXT)
    if written:
        row = completions_row(
            prompt_id=str(pk), messages=messages, completions=[_completion(values) for values in written]
        )
        yield selected(row, written)


def _completion(values: tuple) -> dict[str, Any]:
    """`source` is lineage, with what there is of it; people appear by pseudonym."""
    _, pk, text, generator, sampling, origin, checkpoint, run, pseudonym, import_id = values
    lineage = {
        "origin": origin,
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "run": None if run is None else str(run),
        "annotator": pseudonym,
        "import": import_id,
    }
    completion: dict[str, Any] = {"id": str(pk), "text": text, "generator": generator}
    if settings := steady(parsed(sampling)):
        completion["sampling"] = settings
    return completion | {"source": {name: each for name, each in lineage.items() if each is not None}}
