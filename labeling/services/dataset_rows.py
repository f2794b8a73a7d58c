"""From accepted work to canonical rows: what a recipe selects, in an order that depends on content only."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from labeling.formats import comparison_row, prompt_group, prompt_row, ranks_from_tiers, sft_row
from labeling.models import (
    Completion,
    DatasetKind,
    Demonstration,
    GoldResult,
    Project,
    Prompt,
    Ranking,
    Review,
    ReviewDecision,
    SubmissionStatus,
    Task,
    TaskKind,
    TaskPurpose,
)

from .adjudicated_rows import with_settled_orders
from .dataset_extras import edit_row, notes_by_judgment, with_notes
from .prompts import LOOKUP, chunked
from .recipes import DECISIONS, DEFAULT_SOURCES, Recipe

FETCH = 500
# Llama 2's "margin small" (2307.09288, table 27) for the four words people choose from.
MARGINS = {"significantly": 1.0, "clearly": 2 / 3, "slightly": 1 / 3, "negligibly": 0.0}


@dataclass(frozen=True, slots=True)
class Selected:
    """One row of a version to be, with what its statistics need. `left_out` says why where there is no
    row."""

    group: str  # what it is split by
    row: dict[str, Any] | None
    member_id: int  # submission, or prompt in a prompts dataset
    category: str
    characters: int  # of what is learnt: the answer, all completions, or the prompt
    turns: int
    left_out: str = ""
    dropped: dict[str, Any] | None = None  # the row that a filter left out, for a preview to show

    @property
    def present_row(self) -> dict[str, Any]:
        """The row; raises ValueError for one that was left out."""
        if self.row is None:
            raise ValueError(f"member {self.member_id} was left out: {self.left_out}")
        return self.row


def select(project: Project, kind: str, recipe: Recipe) -> QuerySet:
    """The rows a recipe selects: Demonstrations, Rankings or Prompts, not ordered. Edits are apart."""
    if kind == DatasetKind.PROMPTS:
        return _select_prompts(project, recipe)
    model = Demonstration if kind == DatasetKind.SFT else Ranking
    return _from_sources(_accepted(model, project, recipe), recipe, "submission__import_record")


def select_edits(project: Project, kind: str, recipe: Recipe) -> QuerySet:
    """Answers made of a model's draft, each of which is a pair in a comparison dataset that asks for them."""
    rows = _accepted(Demonstration, project, recipe).filter(started_from__isnull=False)
    return rows if kind == DatasetKind.COMPARISON and "edits" in recipe.sources else rows.none()


def count_selected(project: Project, kind: str, recipe: Recipe) -> int:
    return select(project, kind, recipe).count() + select_edits(project, kind, recipe).count()


def _from_sources(rows: QuerySet, recipe: Recipe, column: str) -> QuerySet:
    wanted = set(recipe.sources) & set(DEFAULT_SOURCES)
    if not wanted:
        return rows.none()
    return rows if len(wanted) > 1 else rows.filter(**{f"{column}__isnull": "people" in wanted})


def _accepted(model: type[Demonstration] | type[Ranking], project: Project, recipe: Recipe) -> QuerySet:
    rows: QuerySet = model.objects.filter(
        is_current=True, submission__project=project, submission__status=SubmissionStatus.ACCEPTED
    )
    if not recipe.include_gold:
        rows = _without_known_answer(rows)
    rows = rows.annotate(decision=Subquery(_last_decision()))
    if set(recipe.decisions) != set(DECISIONS):
        rows = rows.filter(_decided(recipe) | Q(submission__import_record__isnull=False))
    if recipe.batches:
        rows = rows.filter(submission__task__batch__in=recipe.batches)
    if recipe.imports:
        rows = rows.filter(submission__import_record__in=recipe.imports)
    if recipe.categories:
        rows = rows.filter(submission__prompt__category__in=recipe.categories)
    if recipe.guideline_versions:
        rows = rows.filter(guideline_version__in=recipe.guideline_versions)
    if recipe.exclude_annotators:
        # Spelled out, because NOT IN over a missing annotator (an import) would leave the row out in SQL.
        rows = rows.filter(
            Q(submission__annotator=None) | ~Q(submission__annotator__pseudonym__in=recipe.exclude_annotators)
        )
    rows = _not_of(rows, "submission__import_record", recipe.exclude_imports)
    rows = _not_of(rows, "guideline_version", recipe.exclude_guideline_versions)
    return _in_time(rows, recipe, "submission__created_at")


def _not_of(rows: QuerySet, column: str, ids: tuple[int, ...]) -> QuerySet:
    """Spelled out as above: a row that has none of the kind stays."""
    return rows.filter(Q(**{column: None}) | ~Q(**{f"{column}__in": ids})) if ids else rows


def _without_known_answer(rows: QuerySet) -> QuerySet:
    """Without what was held against a known answer: a test of the person, not their judgment of the task."""
    tested = GoldResult.objects.filter(submission=OuterRef("submission"))
    special = [TaskPurpose.SCREENING, TaskPurpose.REPEAT]
    is_special = Task.objects.filter(pk=OuterRef("submission__task"), purpose__in=special)
    return rows.filter(~Exists(tested), ~Exists(is_special))


def _last_decision() -> QuerySet:
    decisions = [ReviewDecision.ACCEPTED, ReviewDecision.FIXED]
    reviews = Review.objects.filter(submission=OuterRef("submission"), decision__in=decisions)
    return reviews.order_by("-id").values("decision")[:1]


def _decided(recipe: Recipe) -> Q:
    reviewed = [decision for decision in recipe.decisions if decision != "unreviewed"]
    wanted = Q(decision__in=reviewed)
    return wanted | Q(decision=None) if "unreviewed" in recipe.decisions else wanted


def _select_prompts(project: Project, recipe: Recipe) -> QuerySet:
    rows: QuerySet = Prompt.objects.active().filter(project=project)
    rows = _from_sources(rows, recipe, "import_record")
    if recipe.imports:
        rows = rows.filter(import_record__in=recipe.imports)
    rows = _not_of(rows, "import_record", recipe.exclude_imports)
    if recipe.categories:
        rows = rows.filter(category__in=recipe.categories)
    if recipe.batches:
        asked = Prompt.objects.filter(project=project, tasks__batch__in=recipe.batches)
        written = Prompt.objects.filter(project=project, submissions__task__batch__in=recipe.batches)
        rows = rows.filter(Q(pk__in=asked.values("pk")) | Q(pk__in=written.values("pk")))
    return _in_time(rows, recipe, "created_at")


def _in_time(rows: QuerySet, recipe: Recipe, column: str) -> QuerySet:
    if recipe.begins_at:
        rows = rows.filter(**{f"{column}__gte": recipe.begins_at})
    if recipe.ends_before:
        rows = rows.filter(**{f"{column}__lt": recipe.ends_before})
    return rows


def canonical_rows(project: Project, kind: str, recipe: Recipe) -> Iterator[Selected]:
    """The selected rows in canonical form, ordered by prompt digest, then age. Memory stays flat."""
    rows = select(project, kind, recipe)
    if kind == DatasetKind.PROMPTS:
        return _prompt_rows(rows)
    if kind == DatasetKind.SFT:
        return _demonstration_rows(rows)
    rankings = _ranking_rows(rows, with_scores=recipe.include_scores)
    if recipe.rankings == "adjudicated":
        rankings = with_settled_orders(rankings, project)
    return itertools.chain(rankings, _edit_rows(select_edits(project, kind, recipe)))


def _prompt_rows(rows: QuerySet) -> Iterator[Selected]:
    values = rows.order_by("digest").values_list("pk", "messages", "category")
    for pk, messages, category in values.iterator(chunk_size=FETCH):
        row = prompt_row(id=str(pk), prompt_id=str(pk), messages=messages)
        characters = sum(len(message["content"]) for message in messages)
        yield Selected(prompt_group(messages), row, pk, category, characters, _turns(messages))


# What lineage needs of every judgment, in this order.
_LINEAGE = (
    "submission_id", "submission__prompt_id", "submission__prompt__messages", "submission__prompt__category",
    "revision",
    "submission__annotator__pseudonym", "guideline_version__number", "decision",
    "submission__import_record_id",
    "submission__task__batch_id", "answers", "form_version__number",
    "submission__task__batch__writes_prompt",
)  # fmt: skip


def _in_order(rows: QuerySet, *fields: str) -> Iterator[tuple]:
    # Hexadecimal digests sort alike under every collation; ties are judgments of one prompt, by age.
    ordered = rows.order_by("submission__prompt__digest", "submission_id")
    return ordered.values_list(*_LINEAGE, *fields).iterator(chunk_size=FETCH)


def _source(values: tuple) -> dict[str, Any]:
    (submission_id, _, _, _, revision, pseudonym, guideline, decision, import_id, batch_id, answers, form,
     writes_prompt) = values[: len(_LINEAGE)]  # fmt: skip
    # Only where there are some: rows without are the bytes they were before there were questions.
    asked = {"answers": answers, "form_version": form} if answers else {}
    if writes_prompt:
        asked["prompt_written"] = True  # by the annotator, together with the answer
    return asked | {
        "judgment": submission_id,
        "revision": revision,
        "annotator": pseudonym,
        "guideline_version": guideline,
        "review": decision,
        "import": import_id,
        "batch": batch_id,
    }


def _turns(messages: list[dict[str, str]]) -> int:
    return sum(message["role"] == "user" for message in messages)


def _demonstration_rows(rows: QuerySet) -> Iterator[Selected]:
    for chunk in chunked(_in_order(rows, "text"), FETCH):
        notes = notes_by_judgment(((values[0], values[4]) for values in chunk), TaskKind.DEMONSTRATION)
        for values in chunk:
            submission_id, prompt_id, messages, category = values[:4]
            text = values[-1]
            row = sft_row(
                id=str(submission_id),
                prompt_id=str(prompt_id),
                messages=messages,
                answer=text,
                source=_source(values),
            )
            row = with_notes(row, notes.get(submission_id))
            yield Selected(prompt_group(messages), row, submission_id, category, len(text), _turns(messages))


def _edit_rows(rows: QuerySet) -> Iterator[Selected]:
    for values in _in_order(rows, "text", "started_from_id", "started_from__text", "started_from__generator"):
        submission_id, prompt_id, messages, category = values[:4]
        text, *draft = values[-4:]
        group, turns, size = prompt_group(messages), _turns(messages), len(text) + len(draft[1])
        if text.split() == draft[1].split():
            yield Selected(group, None, submission_id, category, size, turns, "the draft was not changed")
            continue
        row = edit_row(
            submission_id=submission_id,
            prompt_id=prompt_id,
            messages=messages,
            draft=(draft[0], draft[1], draft[2]),
            text=text,
            source=_source(values),
        )
        yield Selected(group, row, submission_id, category, size, turns)


def _ranking_rows(rows: QuerySet, *, with_scores: bool) -> Iterator[Selected]:
    fields = ("scores", "unrankable_reasons", "tiers", "unrankable", "margins")
    for chunk in chunked(_in_order(rows, *fields), FETCH):
        completions = _completions_of(chunk)
        notes = notes_by_judgment(((values[0], values[4]) for values in chunk), TaskKind.RANKING)
        for values in chunk:
            selected = _ranking_row(values, completions, with_scores=with_scores)
            if selected.row is not None and values[0] in notes:
                selected = replace(selected, row=with_notes(selected.row, notes[values[0]]))
            yield selected


def _completions_of(chunk: list[tuple]) -> dict[int, tuple[str, str]]:
    """{completion id: (text, generator)} of all completions ranked in these rows."""
    wanted = {
        pk for *_, tiers, unrankable, _ in chunk for pk in (*(i for tier in tiers for i in tier), *unrankable)
    }
    found = {}
    for ids in chunked(wanted, LOOKUP):
        for pk, text, generator in Completion.objects.filter(pk__in=ids).values_list(
            "pk", "text", "generator"
        ):
            found[pk] = (text, generator)
    return found


def _ranking_row(values: tuple, completions: dict[int, tuple[str, str]], *, with_scores: bool) -> Selected:
    submission_id, prompt_id, messages, category = values[:4]
    scores, reasons, tiers, unrankable, margins = values[-5:]
    # By id: the order in which they were shown must not reach the dataset.
    ids = sorted({pk for tier in tiers for pk in tier} | set(unrankable))
    place = {pk: index for index, pk in enumerate(ids)}
    characters = sum(len(completions[pk][0]) for pk in ids)
    group, turns = prompt_group(messages), _turns(messages)
    if sum(map(len, tiers)) < 2:
        why = _none_ranked(reasons) if not tiers else "fewer than two completions ranked"
        return Selected(group, None, submission_id, category, characters, turns, why)
    row = comparison_row(
        id=str(submission_id),
        prompt_id=str(prompt_id),
        messages=messages,
        completions=[
            {"id": str(pk), "text": completions[pk][0], "generator": completions[pk][1]} for pk in ids
        ],
        ranks=ranks_from_tiers([[place[pk] for pk in tier] for tier in tiers], len(ids)),
        margins=_margins(margins, len(tiers)),
        unrankable_reasons=reasons,
        source=_source(values),
    )
    if with_scores and scores:
        row["scores"] = [scores.get(str(pk)) for pk in ids]
    return Selected(group, row, submission_id, category, characters, turns)


def _none_ranked(reasons: dict[str, Any]) -> str:
    """What a manifest counts work by that ranks nothing: "none can be ranked: wrong_language"."""
    given = sorted({each["reason"] for each in reasons.values()})
    return f"none can be ranked: {', '.join(given)}" if given else "fewer than two completions ranked"


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


def preview_counts(project: Project, kind: str, recipe: Recipe) -> dict[str, Any]:
    """How many rows a recipe selects now, in all and by source (three counting queries)."""
    rows = select(project, kind, recipe)
    imported = "import_record" if kind == DatasetKind.PROMPTS else "submission__import_record"
    people = rows.filter(**{f"{imported}__isnull": True}).count()
    edits = select_edits(project, kind, recipe).count()
    total = rows.count()
    prompt = "pk" if kind == DatasetKind.PROMPTS else "submission__prompt"
    return {
        "rows": total + edits,
        "prompts": rows.order_by().values(prompt).distinct().count(),
        "by_source": {"people": people, "imports": total - people, **({"edits": edits} if edits else {})},
    }
