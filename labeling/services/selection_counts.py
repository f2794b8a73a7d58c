"""What a recipe selects, counted; and what its selection leaves out, by reason.

Each row that a dataset of the kind could hold meets the recipe's restrictions in the order of REASONS, and
counts once: under the first that it does not meet, or as selected. So the reasons and the selected rows sum
up to all accepted work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max, QuerySet, Subquery

from labeling.models import (
    UNJUDGED,
    DatasetKind,
    DatasetVersion,
    Demonstration,
    Project,
    Prompt,
    Ranking,
)

from .completion_rows import select_kept, with_text, without_imported
from .dataset_rows import accepted, select, select_edits
from .prompt_fields import count_fields
from .recipes import Recipe
from .restrictions import (
    REASONS,
    Restrictions,
    met_before_the_first_that_fails,
    on_completions,
    on_edits,
    on_judgments,
    on_prompts,
)
from .snapshots import one_snapshot

MOST_WHILE_WAITING = 20_000  # rows of a project; a tenth of a second


@dataclass(frozen=True)
class SelectionCount:
    """Rows, as a version holds them: of completions the prompts that have one with text."""

    selected: int
    left_out: dict[str, int]  # {reason: rows} in the order of REASONS; none are not named


def count_selection(project: Project, kind: str, recipe: Recipe) -> SelectionCount:
    """Counted in one query, and one more of edits where the recipe asks for those. Call it inside one
    snapshot with what else is to be of the same moment."""
    restrictions = _restrictions(project, kind, recipe)
    met = _count_by_met(_could_be_rows(project, kind, restrictions))
    selected = met.pop(len(restrictions), 0)
    names = list(restrictions)
    left_out = {names[place]: rows for place, rows in met.items()}
    if kind == DatasetKind.COMPARISON and "edits" in recipe.sources:
        restrictions = on_edits(recipe)
        drafts = accepted(Demonstration, project).filter(started_from__isnull=False)
        met = _count_by_met(drafts.annotate(met=met_before_the_first_that_fails(restrictions)))
        selected += met.pop(len(restrictions), 0)
        names = list(restrictions)
        for place, rows in met.items():
            left_out[names[place]] = left_out.get(names[place], 0) + rows
    return SelectionCount(selected, {REASONS[name]: left_out[name] for name in REASONS if name in left_out})


def _restrictions(project: Project, kind: str, recipe: Recipe) -> Restrictions:
    if kind == DatasetKind.PROMPTS:
        return on_prompts(project, recipe)
    if kind == DatasetKind.COMPLETIONS:
        return on_completions(recipe)
    return on_judgments(Demonstration if kind == DatasetKind.SFT else Ranking, recipe)


def _could_be_rows(project: Project, kind: str, restrictions: Restrictions) -> QuerySet:
    """All but the edits, with `met` of each."""
    met = met_before_the_first_that_fails(restrictions)
    if kind == DatasetKind.COMPLETIONS:
        # A prompt is left out by what leaves out the last of its completions.
        best = with_text(project).annotate(met=met).order_by().values("prompt").annotate(best=Max("met"))
        return Prompt.objects.filter(project=project).annotate(met=Subquery(best.values("best")))
    if kind == DatasetKind.PROMPTS:
        return Prompt.objects.active().filter(project=project).annotate(met=met)
    return accepted(Demonstration if kind == DatasetKind.SFT else Ranking, project).annotate(met=met)


def _count_by_met(rows: QuerySet) -> dict[int, int]:
    counted = rows.order_by().values("met").annotate(rows=Count("pk")).values_list("met", "rows")
    return {met: count for met, count in counted if met is not None}  # None: a prompt without completions


def reasons_of(version: DatasetVersion) -> dict[str, int] | None:
    """What was counted when the version was frozen; None for one from before it was."""
    found = version.facts.get("not_selected")
    return None if found is None else {each["reason"]: each["rows"] for each in found}


def takes_long_to_count(project: Project, kind: str) -> bool:
    """Whether so much is there that a page had better be shown before it is counted."""
    rows = {DatasetKind.PROMPTS: project.prompts, DatasetKind.COMPLETIONS: project.completions}
    return rows.get(DatasetKind(kind), project.submissions).order_by()[MOST_WHILE_WAITING:][:1].exists()


def preview_counts(project: Project, kind: str, recipe: Recipe) -> dict[str, Any]:
    """How many rows a recipe selects now, in all and by source, and how many its selection leaves out by
    reason; all of one moment.

    Of completions: rows that hold text; those that hold a completion of a file are from imports.
    """
    with one_snapshot():
        return _preview_counts(project, kind, recipe)


def _preview_counts(project: Project, kind: str, recipe: Recipe) -> dict[str, Any]:
    counted = count_selection(project, kind, recipe)
    if kind == DatasetKind.COMPLETIONS:
        rows: QuerySet = select_kept(project, recipe)
        people = without_imported(rows, project, recipe).count()
    else:
        rows = select(project, kind, recipe)
        imported = "import_record" if kind == DatasetKind.PROMPTS else "submission__import_record"
        people = rows.filter(**{f"{imported}__isnull": True}).count()
    edits = select_edits(project, kind, recipe).count()
    imports = counted.selected - edits - people
    prompt = "pk" if kind in UNJUDGED else "submission__prompt"
    return {
        "rows": counted.selected,
        "prompts": rows.order_by().values(prompt).distinct().count(),
        "not_selected": counted.left_out,
        **({"fields": count_fields(rows, prompt == "pk", names)} if (names := recipe.include_fields) else {}),
        "by_source": {"people": people, "imports": imports, **({"edits": edits} if edits else {})},
    }
