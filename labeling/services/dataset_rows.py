"""From accepted work to canonical rows: what a recipe selects, in an order that depends on content only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.db.models.functions import Cast

from labeling.formats import comparison_row, prompt_group, prompt_row, sft_row
from labeling.models import (
    Completion,
    DatasetKind,
    Demonstration,
    Project,
    Prompt,
    Ranking,
    SpanNote,
    SubmissionStatus,
    TaskKind,
)

from .adjudicated_rows import with_settled_orders
from .bulk_reading import json_text_of, parsed, with_ids
from .completion_rows import completion_rows, select_answered
from .dataset_extras import edit_row, none_ranked, notes_by_judgment, with_notes
from .dataset_origins import Origin, imports_of
from .prompt_fields import with_fields
from .prompts import chunked
from .recipes import Recipe
from .restrictions import on_edits, on_judgments, on_prompts, restrict, with_decision
from .selected_rows import Selected, count_turns

FETCH = 500
# Llama 2's "margin small" (2307.09288, table 27) for the four words people choose from.
MARGINS = {"significantly": 1.0, "clearly": 2 / 3, "slightly": 1 / 3, "negligibly": 0.0}


def select(project: Project, kind: str, recipe: Recipe) -> QuerySet:
    """The rows a recipe selects: Demonstrations, Rankings, or Prompts (also of completions), not ordered.
    Edits are apart."""
    if kind == DatasetKind.COMPLETIONS:
        return select_answered(project, recipe)
    if kind == DatasetKind.PROMPTS:
        return restrict(Prompt.objects.active().filter(project=project), on_prompts(project, recipe))
    model = Demonstration if kind == DatasetKind.SFT else Ranking
    return restrict(accepted(model, project), on_judgments(model, recipe))


def select_edits(project: Project, kind: str, recipe: Recipe) -> QuerySet:
    """Answers made of a model's draft, each of which is a pair in a comparison dataset that asks for them."""
    rows = accepted(Demonstration, project).filter(started_from__isnull=False)
    if kind != DatasetKind.COMPARISON or "edits" not in recipe.sources:
        return rows.none()
    return restrict(rows, on_edits(recipe))


def count_selected(project: Project, kind: str, recipe: Recipe) -> int:
    return select(project, kind, recipe).count() + select_edits(project, kind, recipe).count()


def accepted(model: type[Demonstration] | type[Ranking], project: Project) -> QuerySet:
    """All that a dataset could hold of them."""
    return with_decision(
        model.objects.filter(
            is_current=True, submission__project=project, submission__status=SubmissionStatus.ACCEPTED
        )
    )


def canonical_rows(project: Project, kind: str, recipe: Recipe) -> Iterator[Selected]:
    """The selected rows in canonical form, ordered by prompt digest, then age. Memory stays flat."""
    rows = _bare_rows(project, kind, recipe)
    return with_fields(rows, recipe.include_fields) if recipe.include_fields else rows


def _bare_rows(project: Project, kind: str, recipe: Recipe) -> Iterator[Selected]:
    if kind == DatasetKind.COMPLETIONS:
        return completion_rows(project, recipe)
    rows = select(project, kind, recipe)
    if kind == DatasetKind.PROMPTS:
        return _prompt_rows(rows)
    if kind == DatasetKind.SFT:
        return _demonstration_rows(project, rows)
    rankings = _ranking_rows(project, rows, with_scores=recipe.include_scores)
    if recipe.rankings == "adjudicated":
        rankings = with_settled_orders(rankings, project)
    return chain(rankings, _edit_rows(select_edits(project, kind, recipe)))


def _prompt_rows(rows: QuerySet) -> Iterator[Selected]:
    fields = ("pk", json_text_of("messages"), "category", "language", "import_record_id")
    values = rows.order_by("digest").values_list(*fields)
    for pk, text, category, language, import_id in values.iterator(chunk_size=FETCH):
        messages = parsed(text)
        row = prompt_row(id=str(pk), prompt_id=str(pk), messages=messages)
        characters = sum(len(message["content"]) for message in messages)
        group, turns, origin = prompt_group(messages), count_turns(messages), Origin(prompt=import_id)
        yield Selected(group, row, pk, category, characters, turns, language=language, origin=origin)


# What lineage needs of every judgment, in this order.
_LINEAGE = (
    "submission_id", "submission__prompt_id", json_text_of("submission__prompt__messages"),
    "submission__prompt__category", "submission__prompt__language",
    "revision",
    "submission__annotator__pseudonym", "guideline_version__number", "decision",
    "submission__import_record_id",
    "submission__task__batch_id", json_text_of("answers"), "form_version__number",
    "submission__task__batch__writes_prompt", "submission__prompt__import_record_id",
)  # fmt: skip
_REVISION, _IMPORT = 5, 9  # their places


class _Judged(NamedTuple):
    """The prompt that a row's judgment is of."""

    submission_id: int
    prompt_id: int
    messages: list[dict[str, str]]
    category: str
    language: str
    imported_with: int | None  # the judgment
    prompt_imported_with: int | None

    @classmethod
    def of(cls, values: tuple) -> _Judged:
        return cls(
            values[0], values[1], parsed(values[2]), values[3], values[4],
            values[_IMPORT], values[len(_LINEAGE) - 1],
        )  # fmt: skip

    def selected(
        self,
        row: dict[str, Any] | None,
        characters: int,
        left_out: str = "",
        completions: tuple[int, ...] = (),
    ) -> Selected:
        return Selected(
            prompt_group(self.messages),
            row,
            self.submission_id,
            self.category,
            characters,
            count_turns(self.messages),
            left_out,
            self.language,
            None,
            Origin(self.imported_with, self.prompt_imported_with, completions),
        )


def _in_order(rows: QuerySet, *fields: str | Cast) -> Iterator[tuple]:
    # Hexadecimal digests sort alike under every collation; ties are judgments of one prompt, by age.
    ordered = rows.order_by("submission__prompt__digest", "submission_id")
    return ordered.values_list(*_LINEAGE, *fields).iterator(chunk_size=FETCH)


def _source(values: tuple) -> dict[str, Any]:
    (submission_id, _, _, _, _, revision, pseudonym, guideline, decision, import_id, batch_id, answers, form,
     writes_prompt, _) = values[: len(_LINEAGE)]  # fmt: skip
    source = {
        "judgment": submission_id,
        "revision": revision,
        "annotator": pseudonym,
        "guideline_version": guideline,
        "review": decision,
        "import": import_id,
        "batch": batch_id,
    }
    # Only where there are some: rows without are the bytes they were before there were questions.
    if answers != "{}" and (asked := parsed(answers)):
        source |= {"answers": asked, "form_version": form}
    if writes_prompt:
        source["prompt_written"] = True  # by the annotator, together with the answer
    return source


def _notes_of(chunk: list[tuple], kind: TaskKind) -> dict[int, list[dict[str, Any]]]:
    return notes_by_judgment(((values[0], values[_REVISION]) for values in chunk), kind)


def _has_notes(project: Project) -> bool:
    """Few projects have some; the others are not asked for them with every chunk."""
    return SpanNote.objects.filter(submission__project=project).exists()


def _demonstration_rows(project: Project, rows: QuerySet) -> Iterator[Selected]:
    has_notes = _has_notes(project)
    for chunk in chunked(_in_order(rows, "started_from__import_record_id", "text"), FETCH):
        notes = _notes_of(chunk, TaskKind.DEMONSTRATION) if has_notes else {}
        for values in chunk:
            judged, text = _Judged.of(values), values[-1]
            row = sft_row(
                id=str(judged.submission_id),
                prompt_id=str(judged.prompt_id),
                messages=judged.messages,
                answer=text,
                source=_source(values),
            )
            noted = with_notes(row, notes.get(judged.submission_id))
            yield judged.selected(noted, len(text), completions=imports_of(values[-2:-1]))


def _edit_rows(rows: QuerySet) -> Iterator[Selected]:
    draft_fields = ("id", "text", "generator", "import_record_id")
    for values in _in_order(rows, "text", *(f"started_from__{name}" for name in draft_fields)):
        judged = _Judged.of(values)
        text, *draft, import_id = values[-5:]
        size = len(text) + len(draft[1])
        if text.split() == draft[1].split():
            yield judged.selected(None, size, "the draft was not changed")
            continue
        row = edit_row(
            submission_id=judged.submission_id,
            prompt_id=judged.prompt_id,
            messages=judged.messages,
            draft=(draft[0], draft[1], draft[2]),
            text=text,
            source=_source(values),
        )
        yield judged.selected(row, size, completions=imports_of([import_id]))


def _ranking_rows(project: Project, rows: QuerySet, *, with_scores: bool) -> Iterator[Selected]:
    has_notes = _has_notes(project)
    fields = map(json_text_of, ("scores", "unrankable_reasons", "tiers", "unrankable", "margins"))
    for chunk in chunked(_in_order(rows, *fields), FETCH):
        orders = [(parsed(values[-3]), parsed(values[-2])) for values in chunk]
        completions = _completions_of(orders)
        notes = _notes_of(chunk, TaskKind.RANKING) if has_notes else {}
        for values, (tiers, unrankable) in zip(chunk, orders, strict=True):
            selected = _ranking_row(values, tiers, unrankable, completions, with_scores=with_scores)
            if selected.row is not None and values[0] in notes:
                selected = replace(selected, row=with_notes(selected.row, notes[values[0]]))
            yield selected


def _completions_of(
    orders: list[tuple[list[list[int]], list[int]]],
) -> dict[int, tuple[str, str, int | None]]:
    """{completion id: (text, generator, import)} of all completions ranked in these (tiers, unrankable)."""
    wanted = {pk for tiers, unrankable in orders for tier in (*tiers, unrankable) for pk in tier}
    fields = ("pk", "text", "generator", "import_record_id")
    return {pk: held for pk, *held in with_ids(Completion.objects.order_by(), wanted).values_list(*fields)}


def _ranking_row(
    values: tuple,
    tiers: list[list[int]],
    unrankable: list[int],
    completions: dict[int, tuple[str, str, int | None]],
    *,
    with_scores: bool,
) -> Selected:
    judged = _Judged.of(values)
    reasons = parsed(values[-4])
    # By id: the order in which they were shown must not reach the dataset.
    ids = sorted({*chain.from_iterable(tiers), *unrankable})
    shown = [(pk, *completions[pk]) for pk in ids]
    characters = sum([len(text) for _, text, *_ in shown])
    if sum(map(len, tiers)) < 2:
        why = none_ranked(reasons) if not tiers else "fewer than two completions ranked"
        return judged.selected(None, characters, why)
    rank_of = {pk: rank for rank, tier in enumerate(tiers, start=1) for pk in tier}
    row = comparison_row(
        id=str(judged.submission_id),
        prompt_id=str(judged.prompt_id),
        messages=judged.messages,
        completions=[
            {"id": str(pk), "text": text, "generator": generator} for pk, text, generator, _ in shown
        ],
        ranks=[rank_of.get(pk) for pk in ids],
        margins=None if values[-1] == "[]" else _margins(parsed(values[-1]), len(tiers)),
        unrankable_reasons=reasons,
        source=_source(values),
    )
    if with_scores and (scores := parsed(values[-5])):
        row["scores"] = [scores.get(str(pk)) for pk in ids]
    return judged.selected(row, characters, completions=imports_of([each[-1] for each in shown]))


def _margins(margins: list, tiers: int) -> list[float | None] | None:
    """One number a boundary; None where none was given."""
    if len(margins) != tiers - 1 or not any(margin not in (None, "") for margin in margins):
        return None
    # float: a database may hand a whole number back as an int, and the bytes must not depend on which.
    return [_margin(margin) for margin in margins]


def _margin(margin: str | float | None) -> float | None:
    if margin in (None, ""):
        return None
    return MARGINS[margin] if isinstance(margin, str) else float(margin)
