"""Gold for leads: the tasks with a known answer, how people do on them, demonstrations that want a score."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from annotate.accounts.requests import SignedInRequest
from annotate.errors import DomainError
from annotate.forms import whole_number
from annotate.words import _
from labeling import task_reports
from labeling.access import project_route
from labeling.listing import Filter, Listing
from labeling.models import TaskKind
from labeling.permissions import Action
from labeling.services.gold import score_demonstration

from .history import find_submission

PURPOSES = [("gold", _("Gold")), ("screening", _("Screening"))]


@project_route(Action.MANAGE_BATCHES)
def gold(request: HttpRequest, *, project, membership) -> HttpResponse:
    listing = Listing(
        request,
        task_reports.known_tasks(project),
        sorts={
            "missed": (_("Most missed"), ("-missed_count", "id")),
            "newest": (_("Newest first"), "-gold_answer__created_at"),
            "agreement": (_("Lowest agreement"), ("mean_agreement", "id")),
        },
        search=lambda rows, text: rows.filter(prompt__preview__icontains=text),
        filters=[
            Filter("kind", _("Kind"), [("", _("All")), *TaskKind.choices]),
            Filter("purpose", _("Purpose"), [("", _("All")), *PURPOSES]),
        ],
    )
    context = {
        "listing": listing,
        "unscored": task_reports.unscored(project)[:50],
        "settings": project.settings,
    }
    return render(request, "labeling/gold.html", context)


@project_route(Action.REVIEW, methods=("POST",))
def gold_score(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """A lead's score for a gold or screening demonstration."""
    submission = find_submission(project, pk)
    try:
        score_demonstration(
            submission=submission, score=whole_number(request.POST.get("score")), acting_user=request.user
        )
    except DomainError as error:
        messages.error(request, f"{error.message} {error.hint or ''}".strip())
    else:
        messages.success(request, "The score is stored.")
    return redirect("labeling:gold", slug=project.slug)
