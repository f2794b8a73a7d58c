"""Appeals: authors make and withdraw them beside their work, reviewers decide on them."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render

from annotate.errors import DomainError, Forbidden, Invalid, NotFound
from annotate.forms import whole_number
from annotate.words import _
from labeling import list_columns
from labeling.access import project_route
from labeling.list_pages import answer_list
from labeling.listing import Filter, Listing
from labeling.models import Appeal, AppealStatus
from labeling.permissions import Action
from labeling.services import appeals as service
from labeling.services.appeal_rules import check_may_decide

from . import side_by_side
from .history import find_submission
from .presenting import labels, revisions_of


@project_route(Action.REVIEW)
def appeals(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    rows = project.appeals.select_related("submission__prompt", "author", "review__reviewer", "decided_by")
    status = request.GET.get("status", AppealStatus.OPEN)
    listing = Listing(
        request,
        rows.filter(status=AppealStatus.OPEN) if "status" not in request.GET else rows,
        sorts={"oldest": (_("Oldest first"), "pk"), "newest": (_("Newest first"), "-pk")},
        search=lambda found, text: (
            found.filter(text__icontains=text)
            | found.filter(author__display_name__icontains=text)
            | found.filter(submission__prompt__preview__icontains=text)
        ),
        filters=[Filter("status", _("State"), [("all", _("All")), *AppealStatus.choices], apply=_by_status)],
    )
    if "status" not in request.GET:
        listing.filters[0].value = AppealStatus.OPEN  # type: ignore[index]
    return answer_list(
        request,
        "labeling/appeals.html",
        listing,
        page="appeals",
        columns=list_columns.APPEALS,
        context={"status": status},
    )


@project_route(Action.REVIEW, methods=("GET", "HEAD", "POST"))
def appeal(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    """The appeal with the work, the decision and the history. POST decides."""
    found = _find(project, pk)
    error = None
    if request.method == "POST":
        try:
            service.decide_appeal(
                appeal=found,
                reviewer=request.user,
                outcome=request.POST.get("outcome", ""),
                note=request.POST.get("note", ""),
                active_seconds=whole_number(request.POST.get("active_seconds")),
            )
        except Invalid as invalid:
            error = invalid
        else:
            messages.success(request, "Decided. Author and reviewer are told.")
            return _next_appeal(request, project)
    submission = find_submission(project, found.submission_id)
    revisions = revisions_of(submission, reveal=True)
    answers = side_by_side.answers_of(submission)
    may_decide, only_reviewer, why_not = _standing_of(found, request.user)
    context = {
        "appeal": found,
        "submission": submission,
        "revisions": revisions,
        "current": revisions[-1],
        "history": answers[0].history,
        "reason_labels": labels(project.settings.return_reasons, found.review.reasons),
        "may_decide": may_decide,
        "only_reviewer": only_reviewer,
        "why_not": why_not,
        "error": error,
        "sent": request.POST if error else {},
    }
    return render(request, "labeling/appeal.html", context, status=422 if error else 200)


@project_route(Action.VIEW_OWN_WORK, methods=("POST",))
def appeal_open(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    """The author objects to the decision on their piece."""
    submission = _own_submission(request, project, pk)
    try:
        service.open_appeal(submission=submission, author=request.user, text=request.POST.get("text", ""))
    except Invalid as error:
        messages.error(request, error.message)
    else:
        messages.success(request, "Your appeal waits for a reviewer. You are told what they decide.")
    return redirect("labeling:submission_detail", slug=project.slug, pk=pk)


@project_route(Action.VIEW_OWN_WORK, methods=("POST",))
def appeal_withdraw(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    submission = _own_submission(request, project, pk)
    found = Appeal.objects.filter(submission=submission).select_related("submission").first()
    if found is None:
        raise NotFound("There is no appeal about this.")
    service.withdraw_appeal(appeal=found, author=request.user)
    messages.success(request, "Withdrawn. The decision stands.")
    return redirect("labeling:submission_detail", slug=project.slug, pk=pk)


def _by_status(rows, value: str):
    return rows if value == "all" else rows.filter(status=value)


def _find(project, pk: int) -> Appeal:
    rows = project.appeals.select_related("review__reviewer", "author", "submission", "decided_by")
    found = rows.filter(pk=pk).first()
    if found is None:
        raise NotFound("There is no such appeal.")
    found.project = project
    return found


def _own_submission(request: HttpRequest, project, pk: int):
    submission = find_submission(project, pk)
    if submission.annotator_id != request.user.pk:
        raise NotFound("There is no such submission.")
    return submission


def _standing_of(found: Appeal, user) -> tuple[bool, bool, DomainError | None]:
    """(may decide, is the only reviewer, why not)"""
    if not found.is_open:
        return False, False, None
    try:
        return True, check_may_decide(found, user), None
    except Forbidden as error:
        return False, False, error


def _next_appeal(request: HttpRequest, project) -> HttpResponse:
    """The oldest open one that is not against oneself, else the list."""
    rows = project.appeals.filter(status=AppealStatus.OPEN).exclude(author=request.user)
    pk = rows.exclude(review__reviewer=request.user).order_by("pk").values_list("pk", flat=True).first()
    if pk is None:
        return redirect("labeling:appeals", slug=project.slug)
    return redirect("labeling:appeal", slug=project.slug, pk=pk)
