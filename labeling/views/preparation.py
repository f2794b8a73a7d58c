"""Preparation: what a look through an uploaded file or a frozen version found, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from annotate.accounts.requests import SignedInRequest
from annotate.errors import Invalid
from annotate.forms import whole_number
from annotate.words import _
from labeling.access import project_route
from labeling.models import (
    DatasetVersion,
    ImportRecord,
    ImportStatus,
    Preparation,
    PreparationStatus,
    Project,
    TaskKind,
)
from labeling.permissions import Action, can
from labeling.preparation import gaps
from labeling.preparation_words import FINDINGS, FIXES, meaning_of, title_of, title_of_fix
from labeling.services import background
from labeling.services import preparations as service
from labeling.services.export_encoders import model_choices
from labeling.services.preparation_options import DEFAULT_CONTEXT
from labeling.services.progress import Progress

from .datasets import version_of as load_version
from .imports import MAP, _choices, _record

MOST_BARS = 20
GROUPS_A_PAGE = 10
GAPS = {"categories": "category", "languages": "language"}  # what a batch can be asked to fill
MOST_EVALUATION_CHOICES = 100
COVERAGE = {
    "categories": _("Categories"),
    "languages": _("Languages"),
    "sources": _("Sources"),
    "annotators": _("People"),
}


@project_route(Action.IMPORT, methods=("GET", "POST"))
def import_preparation(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """The report on an uploaded file; a POST has it made, read as chosen on the preview."""
    record = _record(project, pk)
    here = reverse("labeling:import_preparation", args=[project.slug, pk])
    if request.method == "POST":
        return _ask(request, record, here, **_choices(request.POST, record))
    preparation = service.preparation_of(record)
    options = preparation.options if preparation is not None else {}
    query = {"kind": options.get("kind", record.kind), "format": options.get("format", "")}
    query |= {f"{MAP}{ours}": theirs for ours, theirs in options.get("columns", {}).items()}
    back = f"{reverse('labeling:import_detail', args=[project.slug, pk])}?{urlencode(query)}"
    is_open = record.status in (ImportStatus.UPLOADED, ImportStatus.FAILED)
    extra = {"record": record, "back": back, "may_decide": is_open, "reads": query}
    decide = reverse("labeling:import_decide", args=[project.slug, pk])
    return _show(request, project, record, preparation, here=here, decide=decide, **extra)


@project_route(Action.IMPORT, methods=("POST",))
def import_decide(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    return _decide(
        request, _record(project, pk), reverse("labeling:import_preparation", args=[project.slug, pk])
    )


@project_route(Action.VIEW_DATASETS, methods=("GET", "POST"))
def version_preparation(
    request: SignedInRequest, *, project, membership, pk: int, number: int
) -> HttpResponse:
    """The report on a frozen version; its fixes go into the recipe, for the next version."""
    version = load_version(project, pk, number)
    here = reverse("labeling:version_preparation", args=[project.slug, pk, number])
    if request.method == "POST":
        return _ask(request, version, here)
    back = reverse("labeling:dataset_version", args=[project.slug, pk, number])
    extra = {"version": version, "back": back, "may_decide": can(membership, Action.FREEZE_DATASETS)}
    decide = reverse("labeling:version_decide", args=[project.slug, pk, number])
    preparation = service.preparation_of(version)
    return _show(request, project, version, preparation, here=here, decide=decide, **extra)


@project_route(Action.FREEZE_DATASETS, methods=("POST",))
def version_decide(request: SignedInRequest, *, project, membership, pk: int, number: int) -> HttpResponse:
    here = reverse("labeling:version_preparation", args=[project.slug, pk, number])
    return _decide(request, load_version(project, pk, number), here)


def _ask(
    request: SignedInRequest, subject: ImportRecord | DatasetVersion, here: str, **reading
) -> HttpResponse:
    typed = request.POST.get("context", "").strip()
    context = whole_number(typed) if typed else None
    if typed and not context:
        raise Invalid(_("A number of tokens."), field="context")
    evaluation = [number for text in request.POST.getlist("evaluation") if (number := whole_number(text))]
    preparation = service.ask_for_report(
        subject=subject,
        acting_user=request.user,
        context=context,
        tokenizer=request.POST.get("tokenizer", ""),
        evaluation=evaluation,
        **reading,
    )
    background.take_up_if_nobody_does(preparation)
    return redirect(here)


def _decide(request: SignedInRequest, subject: ImportRecord | DatasetVersion, here: str) -> HttpResponse:
    """`finding` and `choice`: "apply:NAME OF THE FIX", "ignore" or "open"."""
    finding = request.POST.get("finding", "")
    decision, _colon, fix = request.POST.get("choice", "").partition(":")
    service.decide(subject=subject, finding=finding, decision=decision, fix=fix, acting_user=request.user)
    return redirect(f"{here}#{finding}")


def _show(
    request: SignedInRequest,
    project: Project,
    subject: ImportRecord | DatasetVersion,
    preparation: Preparation | None,
    **extra: Any,
) -> HttpResponse:
    fixes = service.fixes_of(subject, preparation)
    context: dict[str, Any] = {
        "preparation": preparation,
        "fixes": [title_of_fix(name) for name in fixes],
        **extra,
    }
    options = preparation.options if preparation is not None else {}
    imports = project.imports.filter(status=ImportStatus.SUCCEEDED).order_by("-pk")
    context |= {
        "context_tokens": options.get("context", DEFAULT_CONTEXT),
        "typed_context": options.get("context", "") if options.get("context_is_given", True) else "",
        "tokenizer": options.get("tokenizer", ""),
        "tokenizer_name": options.get("tokenizer_name", ""),
        "models": model_choices(project),
        "evaluation": options.get("evaluation", []),
        "imports": imports[:MOST_EVALUATION_CHOICES],
        "is_busy": False,
    }
    if preparation is not None:
        busy = (PreparationStatus.WAITING, PreparationStatus.RUNNING)
        context["is_busy"] = preparation.status in busy
        context["progress"] = Progress("preparation", preparation.pk).read()
        if preparation.report:
            context |= _described(project, preparation, fixes, request.GET)
            context["paged"] = next((key for key in request.GET if key in FINDINGS), "")
    template = "labeling/_preparation.html" if request.htmx else "labeling/preparation.html"
    return render(request, template, context)


def _group_page(finding: dict[str, Any], page: str | None) -> Page:
    """Groups of rows that belong together, a few at a time; `page`: the number that somebody asked for."""
    return Paginator(finding["groups"], GROUPS_A_PAGE).get_page(page)


def _described(
    project: Project, preparation: Preparation, fixes: list[str], pages: Mapping[str, str]
) -> dict[str, Any]:
    """The report with words for its findings, what was decided about each, and bars for the coverage.
    `pages`: {finding: the page of its groups}."""
    findings = []
    for finding in preparation.report["findings"]:
        applied = [fix["key"] for fix in finding["fixes"] if fix["key"] in fixes]
        findings.append(
            finding
            | {
                "title": title_of(finding),
                "meaning": meaning_of(finding),
                "fixes": [fix | {"words": FIXES[fix["key"]]} for fix in finding["fixes"]],
                "applied": applied,
                "is_ignored": finding["key"] in preparation.ignored,
                "group_page": _group_page(finding, pages.get(finding["key"])),
            }
        )
    coverage = {**preparation.report["coverage"]}
    coverage["sources"] = _with_file_names(project, coverage.get("sources", {}))
    lengths = coverage.get("lengths", {})
    return {
        "report": preparation.report,
        "findings": findings,
        "undecided": sum(not (each["applied"] or each["is_ignored"]) for each in findings),
        "bars": [
            (key, title, _bars(coverage[key]))
            for key, title in COVERAGE.items()
            if len(coverage.get(key, {})) > 1
        ],
        "gaps": {key: _gaps(coverage.get(key, {}), field) for key, field in GAPS.items()},
        "lengths": {
            "x": [int(edge) for edge in lengths],
            "series": [{"name": str(_("rows")), "key": "rows", "values": list(lengths.values())}],
        },
    }


def _gaps(counts: dict[str, int], field: str) -> list[dict[str, Any]]:
    """Where there are few rows: the name, how many would do, and the form of a batch to have them written."""
    return [
        {
            "name": name,
            "lacking": lacking,
            "query": urlencode(
                {
                    "kind": TaskKind.DEMONSTRATION,
                    "writes_prompt": "on",
                    "name": _("More rows: %(name)s") % {"name": name},
                    "limit": lacking,
                    field: name,
                }
            ),
        }
        for name, lacking in gaps(counts).items()
    ]


def _with_file_names(project: Project, counts: dict[str, int]) -> dict[str, int]:
    """Sources as a recipe names them ("import 3"), each with the name of its file."""
    ids = {name: int(name.removeprefix("import ")) for name in counts if name.startswith("import ")}
    names = dict(project.imports.filter(pk__in=ids.values()).values_list("pk", "filename"))
    return {
        f"{name}: {names[ids[name]]}" if ids.get(name) in names else name: count
        for name, count in counts.items()
    }


def _bars(counts: dict[str, int]) -> list[tuple[str, int]]:
    return [(name, count) for name, count in list(counts.items())[:MOST_BARS]]
