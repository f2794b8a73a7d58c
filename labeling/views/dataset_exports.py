"""Prepared exports: asked for, watched, fetched in parts, handed on by a link that ends."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render

from annotate.accounts.requests import SignedInRequest
from annotate.errors import NotFound
from labeling.access import project_route, public_route
from labeling.downloading import send
from labeling.format_words import formats_in_words
from labeling.formats import EXPORT_FORMATS, SPLITS, formats_for
from labeling.models import DatasetExport, DatasetExportStatus, DatasetKind, DatasetVersion, Project
from labeling.permissions import Action
from labeling.services import background
from labeling.services import dataset_exports as service
from labeling.services.datasets import require_ready
from labeling.services.download_files import download_of_export
from labeling.services.export_encoders import model_choices
from labeling.services.export_packing import ARRAY, GZIP, ZSTANDARD, can_be_array
from labeling.services.export_writing import PARQUET, TOKENS
from labeling.services.progress import Progress

from .datasets import version_of


@project_route(Action.DOWNLOAD_DATASETS, methods=("GET", "POST"))
def dataset_exports(request: SignedInRequest, *, project, membership, pk: int, number: int) -> HttpResponse:
    """The prepared files of a version; a POST asks for one more."""
    version = version_of(project, pk, number)
    if request.method == "POST":
        export = service.prepare_export(
            version=version,
            format=request.POST.get("format", ""),
            split=request.POST.get("split", ""),
            options=_options(request),
            acting_user=request.user,
        )
        background.take_up_if_nobody_does(export)
        return redirect("labeling:dataset_exports", slug=project.slug, pk=pk, number=number)
    require_ready(version)
    context = _context(version)
    template = "_dataset_exports" if request.htmx and request.htmx.target == "exports" else "dataset_exports"
    return render(request, f"labeling/{template}.html", context)


def _options(request: HttpRequest) -> dict[str, Any]:
    """What the form chose, as far as the format has it: other fields of the form say nothing."""
    format, chosen = request.POST.get("format", ""), request.POST
    if format == PARQUET:
        return {"rows": chosen.get("rows", "canonical")}
    if format == TOKENS:
        length = chosen.get("maximum_length", "").strip()
        limit = {"maximum_length": int(length)} if length.isdecimal() and len(length) < 9 else {}
        return {"model": chosen.get("model", ""), **limit}
    export = EXPORT_FORMATS.get(format)
    options: dict[str, Any] = {name: True for name in (GZIP, ZSTANDARD) if chosen.get("packing") == name}
    if ARRAY in chosen and export is not None and can_be_array(format):
        options[ARRAY] = True
    if export is not None and export.marks is not None:
        for name in ("separator", "stop"):
            if name in chosen:  # a text field holds no line break: it is written as \n
                options[name] = chosen[name].replace("\\n", "\n")
        options["leading_space"] = "leading_space" in chosen
    return options


def _context(version: DatasetVersion, **more: Any) -> dict[str, Any]:
    exports = list(version.exports.select_related("created_by", "version__dataset__project"))
    waiting = [each for each in exports if each.status == DatasetExportStatus.WAITING]
    formats = formats_for(version.dataset.kind)
    return {
        "version": version,
        "dataset": version.dataset,
        "exports": [
            {
                "export": each,
                "name": service.filename_of(each),
                "progress": Progress("export", each.pk).read(),
            }
            for each in exports
        ],
        "is_waiting": bool(waiting),
        "formats": formats,
        "formats_in_words": formats_in_words(formats),
        "models": model_choices(version.dataset.project) if version.dataset.kind == DatasetKind.SFT else [],
        "row_formats": [each for each in formats if not each.columns and not each.is_text],
        "splits": [split for split in SPLITS if version.row_counts.get(split)],
        **more,
    }


def _export(project: Project, pk: int) -> DatasetExport:
    exports = DatasetExport.objects.filter(pk=pk, version__dataset__project=project)
    export = exports.select_related("version__dataset__project").first()
    if export is None:
        raise NotFound("There is no such export.")
    return export


@project_route(Action.DOWNLOAD_DATASETS)
def dataset_export_file(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponseBase:
    """The file, all of it or the part that `Range` asks for."""
    return send(request, download_of_export(export=_export(project, pk), acting_user=request.user))


@project_route(Action.DOWNLOAD_DATASETS, methods=("POST",))
def dataset_export_link(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """A link of one hour, shown on the page of the exports."""
    export = _export(project, pk)
    path, ends_at = service.make_link(export=export, acting_user=request.user)
    link = {"url": request.build_absolute_uri(path), "ends_at": ends_at, "name": service.filename_of(export)}
    return render(request, "labeling/dataset_exports.html", _context(export.version, link=link))


@public_route
def dataset_link(request: HttpRequest, token: str) -> HttpResponseBase:
    """What a link leads to: one file, until the link ends."""
    export, user = service.follow_link(token=token)
    return send(request, download_of_export(export=export, acting_user=user, by_link=True))
