"""Read side of the pages of datasets: a recipe in words, the sizes of a version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import ngettext

from annotate.words import _
from labeling.formats import SPLITS
from labeling.models import Dataset, DatasetExportStatus, DatasetVersion, GuidelineVersion, Project, TaskKind

from .preparation_words import title_of_fix
from .services.dataset_sizes import time_estimate
from .services.export_encoders import model_choices
from .services.preparation_options import DEFAULT_CONTEXT
from .services.progress import Progress
from .services.recipe_filters import OTHERS, PERSONAL_DATA, weight_lines
from .services.recipes import DECISIONS, DEFAULT_SOURCES, RANKINGS, SOURCES

MOST_REVISIONS = 20


def sizes_context(version: DatasetVersion, chosen: str) -> dict[str, Any]:
    """`chosen`: the id of the sizes to be shown; the newest where it is none of them."""
    every = list(version.sizes.select_related("version__dataset__project")[:50])
    shown = next((each for each in every if str(each.pk) == chosen), every[0] if every else None)
    context: dict[str, Any] = {
        "sizes": shown,
        "other_sizes": [each for each in every if each != shown],
        "models": model_choices(version.dataset.project),
    }
    if shown is None or shown.status != DatasetExportStatus.READY:
        context["sizes_progress"] = Progress("sizes", shown.pk).read() if shown is not None else None
        return context
    found = shown.result["splits"]
    splits = [(name, found[name]) for name in SPLITS if found[name]["rows"] or found[name]["refused"]]
    total = sum(each["rows"] for _name, each in splits)
    return context | {
        "split_sizes": splits,
        "over": sum(each["over"] for _name, each in splits),
        "refused": sum(each["refused"] for _name, each in splits),
        "sized_rows": total,
        "context_tokens": shown.result["context"],
        "estimate": time_estimate(shown),
    }


def described_recipe(project: Project, recipe: dict[str, Any]) -> list[tuple[str, str]]:
    """A recipe in words: only what restricts, then the split."""
    lines = []
    if set(recipe["sources"]) != set(DEFAULT_SOURCES):
        lines.append((_("Sources"), ", ".join(str(SOURCES[name]) for name in recipe["sources"])))
    if len(recipe["decisions"]) < len(DECISIONS):
        lines.append((_("Review"), ", ".join(str(DECISIONS[name]) for name in recipe["decisions"])))
    if recipe["batches"]:
        batches = project.batches.filter(pk__in=recipe["batches"])
        lines.append((_("Batches"), ", ".join(batches.values_list("name", flat=True))))
    if recipe["imports"]:
        imports = project.imports.filter(pk__in=recipe["imports"])
        lines.append((_("Imports"), ", ".join(imports.values_list("filename", flat=True))))
    if recipe["categories"]:
        lines.append((_("Categories"), ", ".join(recipe["categories"])))
    if recipe["guideline_versions"]:
        lines.append((_("Guideline versions"), _("%(n)s chosen") % {"n": len(recipe["guideline_versions"])}))
    if recipe.get("annotators"):
        lines.append((_("Only by"), ", ".join(recipe["annotators"])))
    if recipe["exclude_annotators"]:
        lines.append((_("Without"), ", ".join(recipe["exclude_annotators"])))
    if recipe.get("include_fields"):
        lines.append((_("Fields of prompts"), ", ".join(recipe["include_fields"])))
    if recipe.get("include_scores"):
        lines.append((_("Scores"), _("included, where people gave some")))
    if recipe.get("exclude_imports"):
        files = project.imports.filter(pk__in=recipe["exclude_imports"])
        lines.append((_("Without files"), ", ".join(files.values_list("filename", flat=True))))
    if recipe.get("exclude_guideline_versions"):
        versions = GuidelineVersion.objects.filter(pk__in=recipe["exclude_guideline_versions"])
        numbers = versions.order_by("number").values_list("number", flat=True)
        lines.append((_("Without guideline versions"), ", ".join(str(number) for number in numbers)))
    if recipe["submitted_from"] or recipe["submitted_until"]:
        days = {"first": recipe["submitted_from"] or "…", "last": recipe["submitted_until"] or "…"}
        lines.append((_("Days"), _("%(first)s to %(last)s") % days))
    if recipe.get("rankings") == "adjudicated":
        lines.append((_("Rankings"), RANKINGS["adjudicated"]))
    if recipe.get("include_gold"):
        lines.append((_("Gold"), _("included, with screening and repeated tasks")))
    lines += _described_filters(filters := recipe.get("filters", {}))
    if filters.get("evaluation"):
        named = project.imports.filter(pk__in=filters["evaluation"]).order_by("pk")
        lines.append((_("Evaluation sets"), ", ".join(named.values_list("filename", flat=True))))
    shares = " · ".join(f"{split} {recipe['fractions'][split]:.0%}" for split in SPLITS)
    return [
        *(lines or [(_("Selects"), _("All accepted work"))]),
        (_("Split"), _("%(shares)s, salt “%(salt)s”") % {"shares": shares, "salt": recipe["salt"]}),
    ]


def revision_history(project: Project, dataset: Dataset) -> list[dict[str, Any]]:
    """The newest MOST_REVISIONS of a dataset's recipe, each with what it changed: (name, before, after)."""
    revisions = list(dataset.revisions.select_related("created_by")[: MOST_REVISIONS + 1])
    words = [dict(described_recipe(project, each.recipe)) for each in revisions]
    history = []
    for place, revision in enumerate(revisions[:MOST_REVISIONS]):
        now, before = words[place], words[place + 1] if place + 1 < len(words) else None
        names = [*now, *(name for name in before or {} if name not in now)]
        changes = [
            (name, before.get(name), now.get(name))
            for name in names
            if before is not None and before.get(name) != now.get(name)
        ]
        history.append({"revision": revision, "changes": changes, "is_first": before is None})
    return history


def recipe_conflict(
    project: Project, dataset: Dataset, *, seen: int, mine: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """What became of a recipe since the revision that somebody began from, beside what they would save (None:
    not known). None where nothing did.

    `rows`: (name, as it was, as it is now, mine, whether the last two differ), of all that is not the same.
    """
    revisions = dataset.revisions.select_related("created_by")
    begun = revisions.filter(number=seen).first()
    newer = list(revisions.filter(number__gt=seen if begun else 0)[:MOST_REVISIONS])
    if not newer:
        return None
    was, now, yours = (
        _in_full(project, recipe) if recipe is not None else {}
        for recipe in (begun.recipe if begun else None, newer[0].recipe, mine)
    )
    rows = []
    for name in dict.fromkeys([*now, *was, *yours]):
        told = (was.get(name), now.get(name), yours.get(name))
        if len({value for value, is_known in zip(told, (begun, True, mine), strict=True) if is_known}) > 1:
            rows.append((name, *told, mine is not None and told[1] != told[2]))
    return {"begun": begun, "newer": newer, "newest": newer[0], "rows": rows, "knows_mine": mine is not None}


def _in_full(project: Project, recipe: Mapping[str, Any]) -> dict[str, str]:
    """A recipe in words for who may change it: what is counted elsewhere is named."""
    words = {str(name): str(value) for name, value in described_recipe(project, dict(recipe))}
    words.pop(str(_("Selects")), None)  # said where nothing restricts
    if recipe["guideline_versions"]:
        versions = GuidelineVersion.objects.filter(pk__in=recipe["guideline_versions"])
        named = versions.select_related("guideline").order_by("guideline__kind", "number")
        words[str(_("Guideline versions"))] = ", ".join(
            f"{TaskKind(each.guideline.kind).label} {each.number}" for each in named
        )
    if blocked := recipe.get("filters", {}).get("blocked_words"):
        words[str(_("Blocked words"))] = ", ".join(blocked)
    return words


def _described_filters(filters: dict[str, Any]) -> list[tuple[str, str]]:
    """`filters` of a recipe, which hold only what restricts; blocked words are counted, not shown."""
    lines = []
    if filters.get("languages"):
        lines.append((_("Languages"), ", ".join(filters["languages"])))
    if filters.get("least_characters") or filters.get("most_characters"):
        lines.append(
            (_("Characters"), _span(filters.get("least_characters"), filters.get("most_characters")))
        )
    if words := filters.get("blocked_words"):
        lines.append(
            (_("Blocked words"), ngettext("%(n)s word", "%(n)s words", len(words)) % {"n": len(words)})
        )
    if filters.get("personal_data"):
        what = str(PERSONAL_DATA[filters["personal_data"]])
        lines.append((_("Personal data"), f"{what}, {_('names too')}" if filters.get("names") else what))
    if filters.get("category_most"):
        lines.append((_("Rows of one category"), _capped(filters["category_most"])))
    if filters.get("least_agreement"):
        lines.append((_("Agreement"), _span(f"{filters['least_agreement']:.0%}", None)))
    if filters.get("least_score") is not None or filters.get("most_score") is not None:
        low, high = (
            None if filters.get(name) is None else f"{filters[name]:g}"
            for name in ("least_score", "most_score")
        )
        lines.append((_("Score"), _span(low, high)))
    if filters.get("scored_only"):
        lines.append((_("Scored"), _("only rows with a score")))
    if filters.get("weights"):
        lines.append((_("Weights"), " · ".join(weight_lines(filters["weights"]))))
    if filters.get("fixes"):
        lines.append((_("Fixes"), " · ".join(str(title_of_fix(name)) for name in filters["fixes"])))
    if "drop_over_long" in filters.get("fixes", ()):
        lines.append(
            (_("Context"), _("%(n)s tokens") % {"n": f"{filters.get('context', DEFAULT_CONTEXT):,}"})
        )
    return lines


def _capped(most: int | dict[str, int]) -> str:
    if isinstance(most, int):
        return _span(None, most)
    named = sorted(most.items(), key=lambda item: (item[0] == OTHERS, item[0]))  # all others last
    return " · ".join(
        f"{_('all others') if name == OTHERS else name}: {_span(None, cap) if cap else _('any number')}"
        for name, cap in named
    )


def _span(low: Any, high: Any) -> str:
    """Two bounds in words, None or 0 where there is none."""
    if low and high:
        return _("%(low)s to %(high)s") % {"low": low, "high": high}
    return _("at least %(low)s") % {"low": low} if low else _("at most %(high)s") % {"high": high}


def counted_rows(counts: dict[str, Any] | None) -> dict[str, Any]:
    """What _selected_rows.html needs of `preview_counts`; None where they are still to be asked for."""
    if counts is None:
        return {"counts": None}
    return {
        "counts": counts,
        "field_counts": list(counts.get("fields", {}).items()),
        "not_selected": list(counts["not_selected"].items()),
    }
