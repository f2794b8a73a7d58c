"""Comments on a piece of work, and the leads' queue of open threads."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from annotate.errors import DomainError
from annotate.words import _
from labeling import talk
from labeling.access import project_route
from labeling.listing import Filter, Listing
from labeling.permissions import Action
from labeling.services import comments as service

STATES = [("all", _("All")), ("open", _("Open")), ("resolved", _("Resolved"))]


@project_route(Action.REVIEW)
def comment_threads(request: HttpRequest, *, project, membership) -> HttpResponse:
    """Threads of everybody's work: the open ones, oldest word first, unless asked otherwise."""
    state = request.GET.get("state", "open")
    rows = talk.threads_of(project)
    if "state" not in request.GET:
        rows = rows.filter(is_open=True)
    listing = Listing(
        request,
        rows,
        sorts={
            "waiting": ("Waiting longest first", ("last_comment_at", "pk")),
            "newest": ("Last comment first", ("-last_comment_at", "-pk")),
        },
        search=lambda found, text: found.filter(comments__text__icontains=text).distinct(),
        filters=[Filter("state", "State", STATES, apply=_by_state)],
    )
    if "state" not in request.GET:
        listing.filters[0].value = "open"  # type: ignore[index]
    return render(request, "labeling/comment_threads.html", {"listing": listing, "state": state})


@project_route(Action.VIEW_OWN_WORK, methods=("POST",))
def comment_add(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    submission = service.find_discussed(project=project, membership=membership, user=request.user, pk=pk)
    try:
        service.add_comment(submission=submission, author=request.user, text=request.POST.get("text", ""))
    except DomainError as error:
        messages.error(request, _("Not sent. %(message)s") % {"message": error.message})
    else:
        messages.success(request, "Sent.")
    return redirect(_back(request, project, pk))


@project_route(Action.VIEW_OWN_WORK, methods=("POST",))
def comment_settle(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    """Settled; with `open`, open again."""
    submission = service.find_discussed(project=project, membership=membership, user=request.user, pk=pk)
    is_open = bool(request.POST.get("open"))
    try:
        service.settle_thread(submission=submission, acting_user=request.user, is_open=is_open)
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, "Open again." if is_open else "Settled.")
    return redirect(_back(request, project, pk))


def _by_state(rows, value: str):
    return rows if value == "all" else rows.filter(is_open=value == "open")


def _back(request: HttpRequest, project, pk: int) -> str:
    """The page of this project it was written on, else the piece's own."""
    root = reverse("labeling:project_detail", args=[project.slug])
    back = request.POST.get("back", "")
    if back.startswith(root) and url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        return f"{back}#comments"
    return reverse("labeling:submission_detail", args=[project.slug, pk]) + "#comments"
