"""What of a recipe selects nothing of rows that are nobody's judgment: refused of a new one. Recipes stored
before it was refused are read as ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import BigIntegerField

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import UNJUDGED, DatasetKind, Project

from .evaluation_sets import check_evaluation
from .recipes import Recipe

OF_JUDGMENTS = (
    "decisions", "guideline_versions", "exclude_guideline_versions", "annotators", "exclude_annotators",
)  # fmt: skip
# Fixes of the preparation report, by what a row must have for them to find something to do.
OF_RANKS = ("drop_equal_pairs", "drop_contradictions")
OF_ANSWERS = (
    "drop_empty_answers", "strip_answer_prefix", "strip_answer_suffix", "lead_with_blank", "mark_answer_ends",
)  # fmt: skip
OF_ONE_ANSWER = ("cap_classes",)
FIXES_WITHOUT_USE: Mapping[str, tuple[str, ...]] = {
    DatasetKind.SFT: OF_RANKS,
    DatasetKind.COMPARISON: OF_ONE_ANSWER,
    DatasetKind.PROMPTS: (*OF_RANKS, *OF_ANSWERS, *OF_ONE_ANSWER),
    DatasetKind.COMPLETIONS: OF_RANKS,
}


def fixes_without_use(kind: str) -> tuple[str, ...]:
    """Names of fixes that leave all rows of such a dataset as they are. They are taken, not offered."""
    return FIXES_WITHOUT_USE.get(kind, ())


def sources_without_use(kind: str) -> tuple[str, ...]:
    """Names of sources that a dataset of this kind never has rows of. They are taken, not offered."""
    return () if kind == DatasetKind.COMPARISON else ("edits",)


def entries_without_use(kind: str) -> tuple[str, ...]:
    """Names of entries, also of `filters`, that say nothing of a dataset of this kind."""
    if kind not in UNJUDGED:
        return ()
    # A completion may have an author, a prompt has none.
    used = ("exclude_annotators",) if kind == DatasetKind.COMPLETIONS else ()
    return (*(name for name in OF_JUDGMENTS if name not in used), "least_agreement")


def checked_recipe(project: Project, kind: str, values: Mapping[str, Any] | None) -> Recipe:
    """A recipe that somebody wants for a dataset of this kind. Raises Invalid naming the entry."""
    recipe = Recipe.from_json(values)
    _check_storable(recipe)
    plain, filters = Recipe(), recipe.filters
    for name in entries_without_use(kind):
        if name in filters or getattr(recipe, name, ()) != getattr(plain, name, ()):
            raise Invalid(
                _("“%(name)s” is about judgments, and a dataset of kind %(kind)s holds none.")
                % {"name": name, "kind": kind},
                field=name,
                hint=_("Leave it out: it selects nothing there."),
            )
    if kind in UNJUDGED and "annotator" in filters.get("weights", {}):
        raise Invalid(
            _("Rows of a dataset of kind %(kind)s have no annotator to be weighed by.") % {"kind": kind},
            field="weights",
        )
    if evaluation := recipe.row_filters.evaluation:
        check_evaluation(project, evaluation)
    return recipe.resolved_for(project)


def _check_storable(recipe: Recipe) -> None:
    values = recipe.to_json()
    for name, value in (*values.items(), *values.get("filters", {}).items()):
        if name != "filters" and not _is_storable(value):
            raise Invalid(_("Holds a character or a number that cannot be stored."), field=name)


def _is_storable(value: Any) -> bool:
    """Whether JSON, UTF-8 and PostgreSQL all hold it: no NUL, no half of a surrogate pair, 64 bits."""
    if isinstance(value, str):
        return "\0" not in value and value.encode(errors="ignore").decode() == value
    if isinstance(value, Mapping):
        return all(map(_is_storable, (*value, *value.values())))
    if isinstance(value, list | tuple):
        return all(map(_is_storable, value))
    return not isinstance(value, int) or abs(value) <= BigIntegerField.MAX_BIGINT


def without_useless_entries(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A stored recipe as one that `checked_recipe` takes; it selects the same rows."""
    gone = entries_without_use(kind)
    kept = {name: value for name, value in values.items() if name not in gone}
    if gone and "filters" in kept:
        filters = {name: value for name, value in kept["filters"].items() if name not in gone}
        shares = filters.get("weights", {})
        if "annotator" in shares:
            filters["weights"] = {by: held for by, held in shares.items() if by != "annotator"}
        kept["filters"] = filters
    return kept
