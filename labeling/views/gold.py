"""Gold for leads: the tasks with a known answer, how people do on them, demonstrations that want a score."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render

from annotate.accounts.requests import SignedInRequest
from annotate.errors import Conflict, DomainError, Forbidden, Invalid
from annotate.forms import whole_number
from annotate.words import _
from labeling import list_columns, task_reports
from labeling.access import project_route
from labeling.list_pages import answer_list
from labeling.listing import Filter, Listing
from labeling.models import TaskKind
from labeling.permissions import Action
from labeling.services.gold import HIGHEST_SCORE, LOWEST_SCORE, score_demonstration
from labeling.textdiff import word_diff

from .history import find_submission
from .review import go_on, kept_of, review_query

PURPOSES = [("gold", _("Gold")), ("screening", _("Screening"))]


@project_route(Action.MANAGE_BATCHES)
def gold(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    listing = Listing(
        request,
        task_reports.known_tasks(project),
        sorts={
            "missed": (_("Most missed"), ("-missed_count", "id")),
            "newest": (_("Newest first"), ("-gold_answer__created_at", "-id")),
            "agreement": (_("Lowest agreement"), (F("mean_agreement").asc(nulls_last=True), "id")),
        },
        search=lambda rows, text: rows.filter(prompt__preview__icontains=text),
        filters=[
            Filter("kind", _("Kind"), [("", _("All")), *TaskKind.choices]),
            Filter("purpose", _("Purpose"), [("", _("All")), *PURPOSES]),
        ],
    )
    context = {
        "unscored": task_reports.unscored(project, request.user).order_by().count(),
        "settings": project.settings,
    }
    return answer_list(
        request,
        "labeling/gold.html",
        listing,
        page="gold",
        columns=list_columns.KNOWN_ANSWERS,
        context=context,
    )


@project_route(Action.REVIEW, methods=("GET", "HEAD", "POST"))
def gold_score(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """A gold or screening demonstration beside the reference. POST stores a lead's score and goes on to the
    next; one that was scored before can be scored anew."""
    submission = find_submission(project, pk)
    error: DomainError | None = None
    if request.method == "POST":
        try:
            score_demonstration(
                submission=submission,
                score=whole_number(request.POST.get("score")),
                acting_user=request.user,
                active_seconds=whole_number(request.POST.get("active_seconds")),
            )
        except (Invalid, Conflict, Forbidden) as problem:
            error = problem
        else:
            messages.success(request, _("The score is stored."))
            return go_on(request, project, request.POST, after=submission)
    return _score_page(request, project, submission, error)


def _score_page(request, project, submission, error: DomainError | None) -> HttpResponse:
    answer = getattr(submission.task, "gold_answer", None)
    result = getattr(submission, "gold_result", None)
    if answer is None or result is None or submission.kind != TaskKind.DEMONSTRATION:
        messages.error(
            request, error.message if error else str(_("This answer is not one that a lead scores."))
        )
        return redirect("labeling:submission_detail", slug=project.slug, pk=submission.pk)
    text = submission.current.text
    source = request.POST if error else request.GET
    context = {
        "submission": submission,
        "answer": answer,
        "result": result,
        "text": text,
        "changes": word_diff(answer.reference, text) if answer.reference else [],
        "scores": range(LOWEST_SCORE, HIGHEST_SCORE + 1),
        "guideline": submission.current.guideline_version,
        "is_own": submission.annotator_id == request.user.pk,
        "query": review_query(source),
        "kept": kept_of(source),
        "error": error,
    }
    return render(request, "labeling/gold_score.html", context, status=error.status if error else 200)
