"""Read side of the pages of datasets: a recipe in words, the sizes of a version."""

from __future__ import annotations

from typing import Any

from annotate.words import _
from labeling.formats import SPLITS
from labeling.models import DatasetExportStatus, DatasetVersion, GuidelineVersion, Project

from .services.dataset_sizes import time_estimate
from .services.export_encoders import model_choices
from .services.progress import Progress
from .services.recipes import DECISIONS, DEFAULT_SOURCES, SOURCES


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
    if recipe["exclude_annotators"]:
        lines.append((_("Without"), ", ".join(recipe["exclude_annotators"])))
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
    shares = " · ".join(f"{split} {recipe['fractions'][split]:.0%}" for split in SPLITS)
    return [
        *(lines or [(_("Selects"), _("All accepted work"))]),
        (_("Split"), _("%(shares)s, salt “%(salt)s”") % {"shares": shares, "salt": recipe["salt"]}),
    ]
