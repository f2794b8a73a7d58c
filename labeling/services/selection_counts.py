"""What a recipe selects, counted; and what its selection leaves out, by reason.

Every restriction is lifted, then they are put back one at a time in the order of REASONS: what the count
loses by each is what that one leaves out of what those before it left in. So a row counts once, under the
first reason that leaves it out, and the reasons and the selected rows sum up to all accepted work.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_noop

from labeling.models import UNJUDGED, DatasetKind, DatasetVersion, Project

from .completion_rows import select_kept, without_imported
from .dataset_rows import count_selected, select, select_edits
from .prompt_fields import count_fields
from .recipe_kinds import entries_without_use
from .recipes import DEFAULT_SOURCES, Recipe
from .snapshots import one_snapshot

OTHER_PEOPLE = gettext_noop("by none of the people chosen")
# {entry of a recipe: why a row is left out by it}. Stored as they are, said in the language of whoever reads
# them. Reviews come late, as they are looked up for each row and each count after them does so again. The
# people chosen are the last: a manifest holds how many those leave out of all that the rest of its recipe
# selects, and must not change.
REASONS = {
    "sources": gettext_noop("of other sources"),
    "imports": gettext_noop("of other files"),
    "exclude_imports": gettext_noop("of files left out"),
    "batches": gettext_noop("of other batches"),
    "categories": gettext_noop("of other categories"),
    "submitted_from": gettext_noop("from before the first day"),
    "submitted_until": gettext_noop("from after the last day"),
    "include_gold": gettext_noop("of gold, screening and repeated tasks"),
    "guideline_versions": gettext_noop("under other guideline versions"),
    "exclude_guideline_versions": gettext_noop("under guideline versions left out"),
    "exclude_annotators": gettext_noop("by people left out"),
    "decisions": gettext_noop("with another outcome of review"),
    "annotators": OTHER_PEOPLE,
}


def count_not_selected(
    project: Project, kind: str, recipe: Recipe, *, selected: int | None = None
) -> dict[str, int]:
    """{reason: rows} of what the recipe's selection leaves out, in the order of REASONS; none are not named.

    A restriction that is in use costs a count, and all of them one more; `selected`, where it is known how
    many are, saves the last. Call it inside one snapshot: rows that come in meanwhile would be of no reason.
    """
    loosened = _without_restrictions(kind, recipe)
    in_use = [name for name in REASONS if getattr(loosened, name) != getattr(recipe, name)]
    found: dict[str, int] = {}
    left = _count_rows(project, kind, loosened) if in_use else 0
    for name in in_use:
        before = left
        loosened = replace(loosened, **{name: getattr(recipe, name)})
        is_last = name == in_use[-1]
        left = selected if is_last and selected is not None else _count_rows(project, kind, loosened)
        if left < before:
            found[REASONS[name]] = before - left
    return found


def _without_restrictions(kind: str, recipe: Recipe) -> Recipe:
    """The same recipe, but every accepted row of the kind fits. Edits are rows of their own that a recipe
    asks for, not some that it leaves out: it has them where it had them."""
    plain = Recipe(sources=(*DEFAULT_SOURCES, *recipe.sources), include_gold=True)
    useless = {*entries_without_use(kind), *(["include_gold"] if kind in UNJUDGED else [])}
    return replace(recipe, **{name: getattr(plain, name) for name in REASONS if name not in useless})


def _count_rows(project: Project, kind: str, recipe: Recipe) -> int:
    """As the preview counts them: of completions those prompts that have one with text."""
    if kind == DatasetKind.COMPLETIONS:
        return select_kept(project, recipe).count()
    return count_selected(project, kind, recipe)


def reasons_of(version: DatasetVersion) -> dict[str, int] | None:
    """What was counted when the version was frozen; None for one from before it was."""
    found = version.facts.get("not_selected")
    return None if found is None else {each["reason"]: each["rows"] for each in found}


def preview_counts(project: Project, kind: str, recipe: Recipe) -> dict[str, Any]:
    """How many rows a recipe selects now, in all and by source (three counting queries), and how many its
    selection leaves out by reason; all of one moment.

    Of completions: rows that hold text; those that hold a completion of a file are from imports.
    """
    with one_snapshot():
        return _preview_counts(project, kind, recipe)


def _preview_counts(project: Project, kind: str, recipe: Recipe) -> dict[str, Any]:
    if kind == DatasetKind.COMPLETIONS:
        rows: QuerySet = select_kept(project, recipe)
        people = without_imported(rows, project, recipe).count()
    else:
        rows = select(project, kind, recipe)
        imported = "import_record" if kind == DatasetKind.PROMPTS else "submission__import_record"
        people = rows.filter(**{f"{imported}__isnull": True}).count()
    edits = select_edits(project, kind, recipe).count()
    total = rows.count()
    prompt = "pk" if kind in UNJUDGED else "submission__prompt"
    return {
        "rows": total + edits,
        "prompts": rows.order_by().values(prompt).distinct().count(),
        "not_selected": count_not_selected(project, kind, recipe, selected=total + edits),
        **({"fields": count_fields(rows, prompt == "pk", names)} if (names := recipe.include_fields) else {}),
        "by_source": {"people": people, "imports": total - people, **({"edits": edits} if edits else {})},
    }
