"""Prompts of a project, for leads: the list, and one prompt with everything that was made with it."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render

from annotate.errors import Invalid, NotFound
from annotate.words import _
from labeling import list_columns
from labeling.access import project_route
from labeling.list_pages import answer_list
from labeling.listing import Filter, Listing
from labeling.models import Completion, Prompt, Submission
from labeling.permissions import Action
from labeling.services import lineage
from labeling.services import prompts as service

SOURCES = [("", _("All")), ("imports", _("Imported")), ("people", _("Made here"))]
STATES = [("", _("In use")), ("archived", _("Archived")), ("unused", _("In no batch yet"))]
MOST_SHOWN = 50  # of each thing on a prompt's page


def _count(rows: QuerySet) -> Coalesce:
    """How many rows refer to a prompt, counted only for the prompts of the page."""
    counted = (
        rows.filter(prompt=OuterRef("pk")).order_by().values("prompt").annotate(n=Count("pk")).values("n")
    )
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def _narrow_source(rows: QuerySet, value: str) -> QuerySet:
    return rows.filter(import_record__isnull=value == "people")


def _narrow_state(rows: QuerySet, value: str) -> QuerySet:
    return rows.filter(archived_at=None, tasks=None) if value == "unused" else rows.exclude(archived_at=None)


@project_route(Action.VIEW_PROMPTS)
def prompts(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    rows = project.prompts.written()
    if request.GET.get("state") not in dict(STATES[1:]):
        rows = rows.active()
    categories = project.prompts.exclude(category="").order_by("category").values_list("category", flat=True)
    listing = Listing(
        request,
        rows.annotate(
            completion_count=_count(Completion.objects.all()), judgment_count=_count(Submission.objects.all())
        ),
        sorts={
            "newest": (_("Newest first"), "-id"),
            "oldest": (_("Oldest first"), "id"),
            "category": (_("Category"), ("category", "id")),
        },
        search=lambda found, text: found.search(text),
        filters=[
            Filter(
                "category",
                _("Category"),
                [("", _("All")), *((name, name) for name in categories.distinct()[:200])],
            ),
            Filter("source", _("Source"), SOURCES, _narrow_source),
            Filter("state", _("State"), STATES, _narrow_state),
        ],
    )
    return answer_list(
        request, "labeling/prompts.html", listing, page="prompts", columns=list_columns.PROMPTS
    )


def _prompt(project, pk: int) -> Prompt:
    prompt = project.prompts.written().select_related("import_record").filter(pk=pk).first()
    if prompt is None:
        raise NotFound("There is no such prompt.")
    return prompt


@project_route(Action.VIEW_PROMPTS)
def prompt_detail(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    prompt = _prompt(project, pk)
    submissions = list(
        prompt.submissions.select_related("annotator", "import_record").order_by("-id")[:MOST_SHOWN]
    )
    versions = {version.pk: version for version in lineage.versions_with_prompt(prompt=prompt)}
    for submission in submissions:
        versions |= {version.pk: version for version in lineage.versions_containing(submission=submission)}
    context = {
        "prompt": prompt,
        "completions": prompt.completions.order_by("-id")[:MOST_SHOWN],
        "completion_count": prompt.completions.count(),
        "tasks": prompt.tasks.select_related("batch").order_by("-id")[:MOST_SHOWN],
        "submissions": submissions,
        "submission_count": prompt.submissions.count(),
        "versions": sorted(versions.values(), key=lambda version: -version.pk),
    }
    return render(request, "labeling/prompt_detail.html", context)


CHANGES = {
    "archive": (service.archive_prompt, _("Archived: it gets into no new batch and no new dataset version.")),
    "restore": (service.restore_prompt, _("Back in use.")),
}


@project_route(Action.MANAGE_BATCHES, methods=("POST",))
def prompt_change(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    """`change` is archive or restore."""
    prompt = _prompt(project, pk)
    if request.POST.get("change") not in CHANGES:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(CHANGES)}, field="change")
    change, said = CHANGES[request.POST["change"]]
    change(prompt=prompt, acting_user=request.user)
    messages.success(request, said)
    return redirect("labeling:prompt_detail", slug=project.slug, pk=prompt.pk)
