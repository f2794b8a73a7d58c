"""A version once more, without something that turned out to be wrong: a person, a file, a guideline."""

from __future__ import annotations

import dataclasses

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import DatasetKind, DatasetVersion, GuidelineVersion, TaskKind

from .dataset_rows import count_selected
from .datasets import freeze_dataset, require_ready
from .recipes import Recipe

WITHOUT = ("annotator", "import", "guideline_version")


def rebuild_without(
    *, version: DatasetVersion, what: str, which: str, acting_user, idempotency_key: str = ""
) -> DatasetVersion:
    """Freeze the next version of the dataset by the recipe of `version`, less one thing; `version` is its
    parent. The dataset's own recipe stays.

    `what` is one of WITHOUT, `which` a pseudonym, the id of an import, or a guideline version's number. The
    rows are selected anew: work accepted meanwhile comes in, and the difference to the parent shows it.
    Raises Conflict (not ready), Invalid (nothing of it in the version, or nothing left).
    """
    require_ready(version)
    if what not in WITHOUT:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(WITHOUT)}, field="what")
    _require_inside(version, what, which)
    recipe = Recipe.from_json(version.recipe)
    if what == "annotator":
        changes: dict = {"exclude_annotators": (*recipe.exclude_annotators, which)}
        without = which
    elif what == "import":
        changes = {"exclude_imports": (*recipe.exclude_imports, int(which))}
        without = version.dataset.project.imports.get(pk=int(which)).filename
    else:
        ids = _guideline_versions(version, recipe, int(which))
        changes = {"exclude_guideline_versions": (*recipe.exclude_guideline_versions, *ids)}
        without = _("guideline version %(number)s") % {"number": which}
    return freeze_dataset(
        dataset=version.dataset,
        acting_user=acting_user,
        note=_("v%(number)s without %(what)s") % {"number": version.number, "what": without},
        recipe=dataclasses.replace(recipe, **changes),
        parent=version,
        idempotency_key=idempotency_key,
    )


def _require_inside(version: DatasetVersion, what: str, which: str) -> None:
    """Only what the version holds: a slip of the pen must not freeze an equal version."""
    lineage = version.manifest["statistics"].get("lineage", {})
    if which in lineage.get(f"{what}s", {}) or (what == "import" and _holds_of_file(version, which)):
        return
    raise Invalid(
        _("Nothing in %(version)s is of “%(which)s”.") % {"version": version, "which": which}, field="which"
    )


def _holds_of_file(version: DatasetVersion, which: str) -> bool:
    """Also where only prompts or completions are the file's. Versions from before that was counted are asked
    by their recipe."""
    if "rows_of_files" in version.facts:
        return any(str(source["import"]) == which for source in version.facts["sources"])
    project, kind = version.dataset.project, version.dataset.kind
    if which not in {str(pk) for pk in project.imports.values_list("pk", flat=True)}:
        return False
    recipe = Recipe.from_json(version.recipe)
    fewer = dataclasses.replace(recipe, exclude_imports=(*recipe.exclude_imports, int(which)))
    return count_selected(project, kind, fewer) < count_selected(project, kind, recipe)


def _guideline_versions(version: DatasetVersion, recipe: Recipe, number: int) -> list[int]:
    """The ids behind a number in the rows' source. Edits in a comparison dataset count by the guideline of
    demonstrations."""
    kinds = [TaskKind.DEMONSTRATION if version.dataset.kind == DatasetKind.SFT else TaskKind.RANKING]
    if version.dataset.kind == DatasetKind.COMPARISON and "edits" in recipe.sources:
        kinds.append(TaskKind.DEMONSTRATION)
    found = GuidelineVersion.objects.filter(
        guideline__project=version.dataset.project_id, guideline__kind__in=kinds, number=number
    )
    return list(found.values_list("pk", flat=True))
