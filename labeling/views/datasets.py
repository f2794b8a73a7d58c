"""Datasets: recipes, freezing, and the pages of a frozen version."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.db.models import Count, Max, Q
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render

from annotate.accounts.requests import SignedInRequest
from annotate.errors import Conflict, DomainError, NotFound
from annotate.forms import whole_number
from annotate.words import _
from labeling import list_columns
from labeling.access import project_route
from labeling.dataset_page import counted_rows, described_recipe, revision_history, sizes_context
from labeling.downloading import send, send_version
from labeling.format_words import formats_of_kind
from labeling.formats import SPLITS
from labeling.list_pages import answer_list
from labeling.listing import Filter, Listing
from labeling.models import (
    UNJUDGED,
    Dataset,
    DatasetExport,
    DatasetKind,
    DatasetVersion,
    DatasetVersionStatus,
    Project,
    TaskKind,
)
from labeling.permissions import Action, can
from labeling.services import background, dataset_browse, lineage, verification
from labeling.services import datasets as service
from labeling.services.download_files import download_of_manifest
from labeling.services.progress import Progress
from labeling.services.recipes import DECISIONS, Recipe
from labeling.services.selection_counts import preview_counts, reasons_of, takes_long_to_count

MOST_CATEGORIES = 30  # bars in the table of categories


@project_route(Action.VIEW_DATASETS)
def datasets(request: SignedInRequest, *, project, membership) -> HttpResponseBase:
    listing = Listing(
        request,
        project.datasets.annotate(
            version_count=Count("versions", filter=Q(versions__same_as=None)),
            last_at=Max("versions__created_at"),
        ),
        sorts={"newest": (_("Newest first"), "-id"), "name": (_("Name"), ("name", "id"))},
        search=lambda rows, text: rows.filter(name__icontains=text),
        filters=[Filter("kind", _("Kind"), [("", _("All")), *DatasetKind.choices])],
    )
    return answer_list(
        request,
        "labeling/datasets.html",
        listing,
        page="datasets",
        columns=list_columns.DATASETS,
        context={"may_freeze": can(membership, Action.FREEZE_DATASETS)},
    )


def dataset_of(project: Project, pk: int) -> Dataset:
    dataset = project.datasets.filter(pk=pk).first()
    if dataset is None:
        raise NotFound("There is no such dataset.")
    return dataset


def version_of(project: Project, pk: int, number: int) -> DatasetVersion:
    versions = DatasetVersion.objects.filter(dataset=dataset_of(project, pk), number=number)
    version = versions.select_related(
        "dataset__project", "created_by", "parent", "same_as", "recipe_revision"
    ).first()
    if version is None:
        raise NotFound("There is no such dataset version.")
    return version


@project_route(Action.VIEW_DATASETS)
def dataset_detail(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """`counted`: with the count of what the recipe selects, however long it takes. The page of a project with
    many rows is shown without, and asks for it then; only who may freeze sees it."""
    dataset = dataset_of(project, pk)
    recipe = Recipe.from_json(dataset.recipe).resolved_for(project)
    may_freeze = can(membership, Action.FREEZE_DATASETS)
    is_counted = may_freeze and ("counted" in request.GET or not takes_long_to_count(project, dataset.kind))
    counts = preview_counts(project, dataset.kind, recipe) if is_counted else None
    context = {
        "dataset": dataset,
        "recipe": described_recipe(project, recipe.to_json()),
        **counted_rows(counts),
        "versions": dataset.versions.made().select_related("recipe_revision").order_by("-number"),
        "history": revision_history(project, dataset),
        "once": uuid.uuid4().hex,
        "may_freeze": may_freeze,
    }
    return render(request, "labeling/dataset_detail.html", context)


@project_route(Action.FREEZE_DATASETS, methods=("POST",))
def dataset_freeze(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """`once` is of one page that was loaded: its form sent twice is one freeze."""
    version = service.freeze_dataset(
        dataset=dataset_of(project, pk),
        acting_user=request.user,
        note=request.POST.get("note", ""),
        force=request.POST.get("force") == "1",
        idempotency_key=request.POST.get("once", ""),
    )
    background.take_up_if_nobody_does(version)
    return redirect("labeling:dataset_version", slug=project.slug, pk=pk, number=version.number)


@project_route(Action.VIEW_DATASETS)
def dataset_version(request: SignedInRequest, *, project, membership, pk: int, number: int) -> HttpResponse:
    """The page of a version; `split`, `q` and `page` choose the rows shown."""
    version = version_of(project, pk, number)
    if version.same_as is not None:
        said = _("Nothing is new: v%(number)s has the very same rows and hash, so no other version was made.")
        messages.info(request, said % {"number": version.same_as.number})
        return redirect("labeling:dataset_version", slug=project.slug, pk=pk, number=version.same_as.number)
    context: dict[str, Any] = {
        "once": uuid.uuid4().hex,
        "version": version,
        "dataset": version.dataset,
        "recipe": described_recipe(project, version.recipe),
        "may_download": can(membership, Action.DOWNLOAD_DATASETS),
        "may_freeze": can(membership, Action.FREEZE_DATASETS),
        "may_preview": can(membership, Action.LAUNCH_RUNS) and version.dataset.kind not in UNJUDGED,
        "progress": Progress("dataset", version.pk).read(),
    }
    if version.status == DatasetVersionStatus.READY:
        context |= _rows_context(request, version)
        if request.htmx and request.htmx.target == "rows":
            return render(request, "labeling/_dataset_rows.html", context)
        context |= _statistics_context(project, version) | sizes_context(
            version, request.GET.get("sizes", "")
        )
        context["usages"] = lineage.usages_of(version)
        context["formats"] = context["formats_in_words"] = formats_of_kind(version.dataset.kind)
    return render(request, "labeling/dataset_version.html", context)


def _rows_context(request: SignedInRequest, version: DatasetVersion) -> dict[str, Any]:
    splits = [split for split in SPLITS if version.row_counts.get(split)]
    split = request.GET.get("split", "")
    split = split if split in SPLITS else (splits or SPLITS)[0]
    page = request.GET.get("page", "1")
    text = request.GET.get("q", "").strip()
    row_id = request.GET.get("row", "")
    field, value = request.GET.get("field", ""), request.GET.get("value", "none")
    shown = None
    try:
        if (
            row_id
            and not (text or field)
            and (found := dataset_browse.find_row(version=version, row_id=row_id))
        ):
            split, shown = found
            page = str((shown - 1) // dataset_browse.PER_PAGE + 1)
        rows = dataset_browse.browse_rows(
            version=version, split=split, text=text, field=field, value=value, page=whole_number(page) or 1
        )
    except DomainError as error:  # gone or changed: the page says so, and still shows what the database knows
        return {"splits": splits, "split": split, "q": text, "rows": None, "files_problem": error.message}
    for _number, row in rows.rows:
        row["shown_fields"] = [
            (name, dataset_browse.value_as_text(each)) for name, each in row.get("fields", {}).items()
        ]
        is_ranking = "ranks" in row and not row.get("edited_draft")
        row["guideline_kind"] = TaskKind.RANKING.value if is_ranking else TaskKind.DEMONSTRATION.value
        if "ranks" in row:  # best first, what could not be ranked last
            pairs = zip(row["completions"], row["ranks"], strict=True)
            row["shown"] = sorted(pairs, key=lambda pair: (pair[1] is None, pair[1] or 0))
        else:
            row["shown"] = [(each, None) for each in row.get("completions", ())]
    chosen = {"field": field, "value": value} if field else {}
    return {"splits": splits, "split": split, "q": text, "rows": rows, "shown_row": shown, **chosen}


def _statistics_context(project: Project, version: DatasetVersion) -> dict[str, Any]:
    statistics = version.manifest["statistics"]
    edges = sorted({int(edge) for counts in statistics["lengths"].values() for edge in counts})
    lengths = {
        "x": edges,
        "series": [
            {
                "name": split,
                "key": split,
                "values": [statistics["lengths"][split].get(str(edge), 0) for edge in edges],
            }
            for split in SPLITS
        ],
    }
    names = {name for counts in statistics["categories"].values() for name in counts}
    categories = [
        (name or "none", [statistics["categories"][split].get(name, 0) for split in SPLITS]) for name in names
    ]
    categories = sorted(categories, key=lambda row: (-sum(row[1]), row[0]))
    used = statistics.get("lineage", {})
    # Prompts and completions count too; versions from before they did know of judgments only.
    files = used.get("imports", {}) | {
        str(each["import"]): each["rows"] for each in version.facts.get("sources", [])
    }
    imports = project.imports.filter(pk__in=[int(pk) for pk in files])
    not_selected = reasons_of(version)
    return {
        "statistics": statistics,
        "digests": [
            (split, version.manifest["files"][f"{split}.jsonl"]["sha256"])
            for split in SPLITS
            if version.row_counts.get(split)
        ],
        "lengths": lengths,
        "categories": [(name, counts, sum(counts)) for name, counts in categories[:MOST_CATEGORIES]],
        "more_categories": max(0, len(categories) - MOST_CATEGORIES),
        "annotators": sorted(used.get("annotators", {}).items(), key=lambda item: -item[1]),
        "guideline_versions": sorted(
            used.get("guideline_versions", {}).items(), key=lambda item: int(item[0])
        ),
        "reviews": [
            (DECISIONS.get(name, name), count) for name, count in sorted(used.get("reviews", {}).items())
        ],
        "imports": [(record, files[str(record.pk)]) for record in imports],
        "not_selected": list((not_selected or {}).items()),
        "left_out": {
            reason: count
            for reason, count in version.manifest["left_out"].items()
            if reason not in (not_selected or {})  # the people chosen: manifests have always counted those
        },
    }


@project_route(Action.VIEW_DATASETS)
def dataset_progress(request: SignedInRequest, *, project, membership, pk: int, number: int) -> HttpResponse:
    """The state of a freeze as a fragment, asked for every second while it runs."""
    version = version_of(project, pk, number)
    context = {"version": version, "progress": Progress("dataset", version.pk).read()}
    response = render(request, "labeling/_dataset_progress.html", context)
    if version.status != DatasetVersionStatus.FREEZING:
        response["HX-Refresh"] = "true"
    return response


@project_route(Action.VIEW_DATASETS, methods=("POST",))
def dataset_verify(request: SignedInRequest, *, project, membership, pk: int, number: int) -> HttpResponse:
    """Recompute all hashes; the answer is the version's page with a message for each thing that was
    changed."""
    version = version_of(project, pk, number)
    if version.status != DatasetVersionStatus.READY:
        raise Conflict("Only a ready version can be verified.", code="version_not_ready")
    problems = verification.verify_version(version=version)
    for problem in problems:
        messages.error(request, f"{version}: {problem}.")
    if not problems:
        messages.success(request, _("Every byte of %(version)s is as it was frozen.") % {"version": version})
    return redirect("labeling:dataset_version", slug=project.slug, pk=pk, number=number)


@project_route(Action.DOWNLOAD_DATASETS)
def dataset_download(
    request: SignedInRequest, *, project, membership, pk: int, number: int
) -> HttpResponseBase:
    """A version in an export `format`, all of it or one `split`, whole or in parts; a large one is prepared
    first, and the page of prepared files shows how far it is."""
    version = version_of(project, pk, number)
    answer = send_version(
        request,
        version=version,
        format=request.GET.get("format", "canonical"),
        split=request.GET.get("split") or None,
        acting_user=request.user,
    )
    if isinstance(answer, DatasetExport):
        messages.info(request, _("The file is being written. Download it here as soon as it is ready."))
        return redirect("labeling:dataset_exports", slug=project.slug, pk=pk, number=number)
    return answer


@project_route(Action.VIEW_DATASETS)
def dataset_manifest(
    request: SignedInRequest, *, project, membership, pk: int, number: int
) -> HttpResponseBase:
    """manifest.json, byte for byte: the SHA-256 of these bytes is the version's."""
    return send(request, download_of_manifest(version=version_of(project, pk, number)))
