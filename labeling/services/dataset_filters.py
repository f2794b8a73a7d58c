"""A recipe's filters and fixes, carried out on its rows: what is left out says why, and is counted."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from labeling.checks.blocked_words import find_blocked_words
from labeling.checks.personal_data import find_personal_data
from labeling.formats import split_of
from labeling.models import UNJUDGED, Project, Submission
from labeling.preparation import Plan, Rewrite, Unit, masked, row_of_unit, unit_of_row
from labeling.preparation.languages import language_of

from .dataset_rows import canonical_rows
from .masked_rows import with_masked_words
from .preparation_rows import options_for
from .prompts import chunked
from .recipe_filters import OTHERS, Filters
from .recipes import Recipe
from .row_scores import scores_of_rows
from .selected_rows import Selected

CHUNK = 500
TELL_EVERY = 500  # rows


def filtered_rows(
    project: Project,
    kind: str,
    recipe: Recipe,
    changed: Counter | None = None,
    *,
    read: Callable[[int], None] | None = None,
) -> Iterator[Selected]:
    """The rows of `canonical_rows` in their order; what a filter or a fix takes out has no row and says why.

    `changed`, where given, counts rows that were masked or rewritten, by reason. With fixes the rows are read
    twice: what is a duplicate is known only after the last. Call it inside one snapshot. `read(rows
    so far)` is called now and then, in each of the readings.
    """
    changed = Counter() if changed is None else changed
    filters = recipe.row_filters

    def selected_rows() -> Iterator[Selected]:
        return _told(canonical_rows(project, kind, recipe), read)

    def rows(counted: Counter) -> Iterator[Selected]:
        return _screened(kind, recipe, selected_rows(), counted)

    if not recipe.filters:
        return selected_rows()
    if not filters.fixes:
        return rows(changed)
    options = options_for(
        project, context=filters.context, tokenizer=filters.tokenizer, evaluation=filters.evaluation
    )
    kept = (_unit(kind, recipe, selected) for selected in rows(Counter()) if selected.row is not None)
    plan = Plan(kept, filters.fixes, options)
    return _planned(kind, recipe, rows(changed), plan, changed)


def _told(rows: Iterator[Selected], read: Callable[[int], None] | None) -> Iterator[Selected]:
    if read is None:
        return rows
    return _telling(rows, read)


def _telling(rows: Iterator[Selected], read: Callable[[int], None]) -> Iterator[Selected]:
    for number, selected in enumerate(rows):
        if number % TELL_EVERY == 0:
            read(number)
        yield selected


def _unit(kind: str, recipe: Recipe, selected: Selected) -> Unit:
    side = split_of(selected.group, recipe.salt, recipe.fractions)
    return unit_of_row(kind, selected.present_row, side=side, category=selected.category)


def _planned(
    kind: str, recipe: Recipe, rows: Iterator[Selected], plan: Plan, changed: Counter
) -> Iterator[Selected]:
    seen = 0
    for selected in rows:
        if selected.row is None:
            yield selected
            continue
        unit = _unit(kind, recipe, selected)
        kept, reason = plan.carry_out(seen, unit)
        seen += 1
        if kept is None:
            yield _without(selected, f"preparation: {reason}")
        else:
            planned = selected if kept == unit else _with_unit(kind, selected, kept)
            yield _with_masked_comments(planned) if "mask_personal_data" in plan.names else planned
    for name in plan.names:
        if not name.startswith(("drop_", "cap_")) and plan.counts[name]:
            changed[f"preparation: {name}"] += plan.counts[name]


def _without(selected: Selected, reason: str) -> Selected:
    return dataclasses.replace(selected, row=None, left_out=reason, dropped=selected.row)


def _with_unit(kind: str, selected: Selected, unit: Unit) -> Selected:
    row = row_of_unit(kind, selected.present_row, unit)
    learnt = unit.answers or tuple(message["content"] for message in unit.messages)
    return dataclasses.replace(selected, row=row, characters=sum(map(len, learnt)))


def _screened(kind: str, recipe: Recipe, rows: Iterator[Selected], changed: Counter) -> Iterator[Selected]:
    filters = recipe.row_filters
    per_category: Counter = Counter()
    for chunk in chunked(rows, CHUNK):
        languages = _languages(kind, filters, chunk)
        reasons = _from_database(kind, filters, chunk, languages)
        for selected in chunk:
            if selected.row is not None:
                selected = _screen(kind, filters, selected, reasons, changed)
            if selected.row is not None and filters.weights:
                selected = _weigh(kind, recipe, filters, selected, languages)
            if selected.row is not None and (most := filters.most_of(selected.category)):
                per_category[selected.category] += 1
                if per_category[selected.category] > most:
                    selected = _without(selected, f"over {most} rows of its category")
            yield selected


def _languages(kind: str, filters: Filters, chunk: list[Selected]) -> dict[int, str]:
    """{prompt: its language}, where a filter asks for it: as it is marked, else as its text tells."""
    languages: dict[int, str] = {}
    if filters.languages or "language" in filters.weights:
        for selected in chunk:
            row = selected.row
            if row is not None and (prompt := int(row["prompt_id"])) not in languages:
                languages[prompt] = selected.language or language_of(unit_of_row(kind, row).prompt)
    return languages


def _from_database(
    kind: str, filters: Filters, chunk: list[Selected], languages: dict[int, str]
) -> dict[int, str]:
    """{member: why it is left out} by what the rows themselves do not hold."""
    reasons: dict[int, str] = {}
    if filters.by_score:
        scores = scores_of_rows(kind, chunk)
        for selected in chunk:
            if reason := _score_reason(filters, scores.get(selected.member_id)):
                reasons[selected.member_id] = reason
    if filters.languages:
        # What a text tells is a language alone, without a country.
        told = {re.split("[-_]", name)[0].lower() for name in filters.languages}
        for selected in chunk:
            if selected.row is None:
                continue
            language = languages[int(selected.row["prompt_id"])]
            if language not in (filters.languages if selected.language else told):
                reasons[selected.member_id] = "another language" if language else "language not known"
    if filters.least_agreement and kind not in UNJUDGED:
        low = Submission.objects.filter(
            pk__in=[selected.member_id for selected in chunk],
            task__agreement__value__lt=filters.least_agreement,
        )
        reasons |= dict.fromkeys(low.values_list("pk", flat=True), "low agreement on its task")
    return reasons


def _score_reason(filters: Filters, score: float | None) -> str:
    if score is None:
        return "without a score" if filters.scored_only else ""
    if filters.least_score is not None and score < filters.least_score:
        return f"scored under {filters.least_score:g}"
    if filters.most_score is not None and score > filters.most_score:
        return f"scored over {filters.most_score:g}"
    return ""


def _weigh(
    kind: str, recipe: Recipe, filters: Filters, selected: Selected, languages: dict[int, str]
) -> Selected:
    """The row, or without it where its weight thins it out; the first weight that does so is the reason.

    What is kept follows from the prompt and the salt alone: all rows of a prompt whose weights are equal
    go or stay together, and a larger weight keeps all that a smaller one keeps.
    """
    row = selected.present_row
    imported = [f"import {each}" for each in selected.origin.of_kind(kind)]
    names = {
        "category": [selected.category],
        "source": [*imported, "imports"] if imported else ["people"],
        "annotator": [(row.get("source") or {}).get("annotator") or ""],
        "language": [languages.get(int(row["prompt_id"]), "")],
    }
    digest = hashlib.sha256(f"weight\0{recipe.salt}\0{selected.group}".encode("utf-8", "surrogatepass"))
    place = int.from_bytes(digest.digest()[:8], "big") / 2**64
    weight = 1.0
    for by, shares in filters.weights.items():
        name = next((each for each in [*names[by], OTHERS] if each in shares), None)
        if name is None:
            continue
        weight *= shares[name]
        if place >= weight:
            return _without(selected, f"weight {shares[name]:g} of {by} {name}".strip())
    return selected


def _screen(
    kind: str, filters: Filters, selected: Selected, reasons: dict[int, str], changed: Counter
) -> Selected:
    if (reason := reasons.get(selected.member_id)) is not None:
        return _without(selected, reason)
    if selected.characters < filters.least_characters:
        return _without(selected, f"under {filters.least_characters} characters")
    if filters.most_characters and selected.characters > filters.most_characters:
        return _without(selected, f"over {filters.most_characters} characters")
    unit = unit_of_row(kind, selected.present_row)
    if filters.blocked_words and find_blocked_words(unit.text, filters.blocked_words):
        return _without(selected, "a blocked word")
    said = "\n".join([unit.text, *unit.beside])
    names = filters.names
    if filters.personal_data == "keep" or not (found := find_personal_data(said, names=names)):
        return selected
    if filters.personal_data == "drop":
        return _without(selected, "personal data")
    changed[f"personal data: {filters.personal_data}"] += 1
    if filters.personal_data == "mask":
        mask = partial(masked, names=names)
        return _with_masked_comments(
            _with_unit(kind, selected, unit.rewritten(prompt=mask, answer=mask)), mask
        )
    return dataclasses.replace(
        selected, row=_flagged(selected.present_row, sorted({each.kind for each in found}))
    )


def _with_masked_comments(selected: Selected, mask: Rewrite = masked) -> Selected:
    return dataclasses.replace(selected, row=with_masked_words(selected.present_row, mask))


def _flagged(row: dict[str, Any], kinds: list[str]) -> dict[str, Any]:
    """In the row's lineage; a prompt, or its completions together, have none to stand in."""
    if "source" not in row:
        return {**row, "personal_data": kinds}
    return {**row, "source": {**row["source"], "personal_data": kinds}}
