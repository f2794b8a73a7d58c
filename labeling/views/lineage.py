"""Where a judgment, a prompt or a file comes from, and what came of it."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from annotate.accounts.requests import SignedInRequest
from labeling.access import project_route
from labeling.lineage_page import lineage_of
from labeling.models import Project
from labeling.permissions import Action


@project_route(Action.VIEW_DATASETS)
def judgment_lineage(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    return _show(request, project, "judgment", pk)


@project_route(Action.VIEW_DATASETS)
def prompt_lineage(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    return _show(request, project, "prompt", pk)


@project_route(Action.VIEW_DATASETS)
def import_lineage(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    return _show(request, project, "import", pk)


def _show(request: SignedInRequest, project: Project, kind: str, pk: int) -> HttpResponse:
    return render(request, "labeling/lineage.html", {"lineage": lineage_of(project, kind, pk)})
