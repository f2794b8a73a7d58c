"""Imports: upload, look at the first rows, confirm, watch."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext

from annotate.accounts.requests import SignedInRequest
from annotate.errors import DomainError, NotFound
from annotate.forms import add_domain_error, whole_number
from annotate.streaming import stream_file
from annotate.words import _
from labeling import list_columns
from labeling.access import project_route
from labeling.data_forms import UploadForm
from labeling.formats import FORMATS
from labeling.list_pages import answer_list
from labeling.listing import Filter, Listing
from labeling.models import ImportKind, ImportRecord, ImportStatus, Project
from labeling.permissions import Action
from labeling.preparation_words import title_of_fix
from labeling.services import background
from labeling.services import import_faults as faults
from labeling.services import imports as service
from labeling.services.import_licences import change_licence
from labeling.services.import_preview import FIELD_GROUPS, MAPPABLE_FIELDS, Preview, preview_import
from labeling.services.preparations import preparation_of
from labeling.services.progress import Progress

MAP = "map-"  # prefix of the mapping's inputs: map-prompt = column
MOST_AT_ONCE = 3  # files that a person waits for; more are brought in behind their back
MOST_LISTED = 12  # columns in a list to choose from; of more, a name is typed and found
RAW_ROWS, RAW_COLUMNS = 3, 60  # of the file as it is, shown beside the mapping
STOP_POLLING = 286  # htmx: swap, and ask no more


@project_route(Action.IMPORT)
def imports(request: SignedInRequest, *, project, membership) -> HttpResponseBase:
    listing = Listing(
        request,
        project.imports.select_related("created_by"),
        sorts={
            "newest": (_("Newest first"), "-id"),
            "name": (_("File name"), ("filename", "-id")),
            "rows": (_("Most rows"), ("-rows_read", "-id")),
        },
        search=lambda rows, text: rows.filter(filename__icontains=text),
        filters=[
            Filter("kind", _("Kind"), [("", _("All")), *ImportKind.choices]),
            Filter("status", _("Status"), [("", _("All")), *ImportStatus.choices]),
        ],
    )
    return answer_list(
        request, "labeling/imports.html", listing, page="imports", columns=list_columns.IMPORTS
    )


@project_route(Action.IMPORT, methods=("GET", "POST"))
def import_new(request: SignedInRequest, *, project, membership) -> HttpResponse:
    form = UploadForm(request.POST or None, request.FILES or None, initial={"kind": ImportKind.PROMPTS})
    if request.method == "POST" and form.is_valid():
        try:
            records = [
                service.upload_file(
                    project=project,
                    kind=form.cleaned_data["kind"],
                    file=file,
                    filename=file.name,
                    licence=form.cleaned_data["licence"],
                    acting_user=request.user,
                )
                for file in form.cleaned_data["files"]
            ]
        except DomainError as error:
            add_domain_error(form, _on_field(error))
        else:
            response = redirect("labeling:import_detail", slug=project.slug, pk=records[0].pk)
            if others := ",".join(str(record.pk) for record in records[1:]):
                response["Location"] += f"?with={others}"
            return response
    status = 422 if request.method == "POST" else 200
    return render(request, "labeling/import_new.html", {"form": form}, status=status)


def _on_field(error: DomainError) -> DomainError:
    error.field = "files" if error.field == "file" else error.field
    return error


def _record(project: Project, pk: int) -> ImportRecord:
    record = project.imports.select_related("created_by").filter(pk=pk).first()
    if record is None:
        raise NotFound("There is no such import.")
    return record


def _companions(project: Project, query) -> list[ImportRecord]:
    """The files that were uploaded together with this one and wait for the same confirmation."""
    ids = [number for text in query.get("with", "").split(",")[:1_000] if (number := whole_number(text))]
    return list(project.imports.filter(pk__in=ids, status=ImportStatus.UPLOADED).order_by("pk"))


def _choices(query, record: ImportRecord) -> dict:
    """Kind, format and column mapping as chosen on the preview, else those of the record."""
    kind = query.get("kind", record.kind)
    kind = kind if kind in ImportKind.values else record.kind
    chosen = {
        name.removeprefix(MAP): value for name, value in query.items() if name.startswith(MAP) and value
    }
    if "kind" not in query:  # not chosen on the page: as it was read before, by a dry run or a failed import
        chosen = dict(record.column_mapping)
    format = query.get("format", record.format)
    return {
        "kind": kind,
        "format": format if format in FORMATS else "",
        "column_mapping": {ours: theirs for ours, theirs in chosen.items() if ours in MAPPABLE_FIELDS[kind]},
    }


def _mapping(choices: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """What a kind's fields are for, with each field and the column chosen for it."""
    fields = MAPPABLE_FIELDS[choices["kind"]]
    groups = [
        (words, [(field, choices["column_mapping"].get(field, "")) for field in group if field in fields])
        for words, group in FIELD_GROUPS
    ]
    return [(words, group) for words, group in groups if group]


def _raw_rows(preview: Preview) -> list[list[tuple[str, str]]]:
    """The file's first rows, column by column and before any mapping."""
    if preview.detection is None:
        return []
    return [
        [
            (column, _as_text(row[column]))
            for column in preview.detection.columns[:RAW_COLUMNS]
            if column in row
        ]
        for row in preview.detection.sample_rows[:RAW_ROWS]
    ]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


@project_route(Action.IMPORT)
def import_detail(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """Before it is confirmed the preview (`kind`, `format`, `map-…` change it), afterwards how it goes or
    went."""
    record = _record(project, pk)
    context: dict[str, Any] = {"record": record, "progress": Progress("import", record.pk).read()}
    preparation = preparation_of(record)
    if preparation is not None:
        context["fixes"] = [title_of_fix(name) for name in preparation.fixes]
        context["carried_out"] = [(title_of_fix(name), count) for name, count in preparation.counts.items()]
    if record.status in (ImportStatus.UPLOADED, ImportStatus.FAILED):
        choices = _choices(request.GET, record)
        lenient = bool(request.GET.get("leave_out_faulty_rows") or record.report)
        preview = preview_import(import_record=record, leave_out_faulty_rows=lenient, **choices)
        columns = preview.detection.columns if preview.detection else ()
        context |= {
            "preview": preview,
            "report": record.report,
            "choices": choices,
            "companions": _companions(project, request.GET),
            "kinds": ImportKind.choices,
            "formats": [(name, gettext(words)) for name, words in FORMATS.items()],
            "columns": columns,
            "lenient": bool(request.GET.get("leave_out_faulty_rows")) or record.leave_out_faulty_rows,
            "mapping": _mapping(choices),
            "searched": len(columns) > MOST_LISTED,
            "raw_rows": _raw_rows(preview),
        }
        if request.htmx:
            return render(request, "labeling/_import_preview.html", context)
    return render(request, "labeling/import_detail.html", context)


@project_route(Action.IMPORT, methods=("POST",))
def import_confirm(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """Confirm this file, and those uploaded with it (`with`), all to be read alike."""
    record = _record(project, pk)
    choices = _choices(request.POST, record)
    records = [record, *_companions(project, request.POST)]
    for each in records:
        service.confirm_import(
            import_record=each,
            acting_user=request.user,
            leave_out_faulty_rows=bool(request.POST.get("leave_out_faulty_rows")),
            dry_run=bool(request.POST.get("dry_run")),
            **choices,
        )
        run = service.run_or_ring(import_record=each, wait=len(records) <= MOST_AT_ONCE)
        background.take_up_if_nobody_does(run)
    if len(records) > 1 and not request.POST.get("dry_run"):
        messages.info(request, _("%(n)s files were confirmed.") % {"n": len(records)})
        return redirect("labeling:imports", slug=project.slug)
    return redirect("labeling:import_detail", slug=project.slug, pk=record.pk)


@project_route(Action.IMPORT, methods=("POST",))
def import_discard(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    record = _record(project, pk)
    service.discard_import(import_record=record, acting_user=request.user)
    messages.success(request, _("%(filename)s was discarded.") % {"filename": record.filename})
    return redirect("labeling:imports", slug=project.slug)


@project_route(Action.IMPORT, methods=("POST",))
def import_licence(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """State or correct its licence; versions that were frozen keep theirs."""
    record = _record(project, pk)
    change_licence(import_record=record, licence=request.POST.get("licence", ""), acting_user=request.user)
    messages.success(request, _("The licence was saved. Frozen versions keep the one of then."))
    return redirect("labeling:import_detail", slug=project.slug, pk=record.pk)


@project_route(Action.IMPORT)
def import_faults(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponseBase:
    """All faulty rows of an import as CSV, beyond those that its page lists."""
    record = _record(project, pk)
    return stream_file(
        request,
        faults.faults_as_csv(record),
        filename=faults.filename_of(record),
        media_type="text/csv; charset=utf-8",
    )


@project_route(Action.IMPORT)
def import_progress(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """The state of one import as a fragment, asked for every second while it runs."""
    record = _record(project, pk)
    is_over = record.status not in (ImportStatus.WAITING, ImportStatus.RUNNING)
    context = {"record": record, "progress": Progress("import", record.pk).read()}
    response = render(
        request, "labeling/_import_progress.html", context, status=STOP_POLLING if is_over else 200
    )
    if is_over:
        response["HX-Refresh"] = "true"
    return response
