"""Comments on a piece of work, and the leads' queue of open threads."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from annotate.accounts.requests import SignedInRequest
from annotate.errors import DomainError, Invalid, NotFound
from annotate.words import _
from labeling import list_columns, talk
from labeling.access import project_route
from labeling.list_pages import answer_list
from labeling.listing import Filter, Listing
from labeling.models import Comment
from labeling.permissions import Action
from labeling.services import comments as service

ID_DIGITS = 16  # the longest number of a slot
STATES = [("all", _("All")), ("open", _("Open")), ("resolved", _("Resolved"))]


@project_route(Action.REVIEW)
def comment_threads(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    """Threads of everybody's work: the open ones, oldest word first, unless asked otherwise."""
    state = request.GET.get("state", "open")
    rows = talk.threads_of(project)
    if "state" not in request.GET:
        rows = rows.filter(is_open=True)
    listing = Listing(
        request,
        rows,
        sorts={
            "waiting": (_("Waiting longest first"), ("last_comment_at", "pk")),
            "newest": (_("Last comment first"), ("-last_comment_at", "-pk")),
        },
        # Looked up apart: a join would count each comment once for every one that matches.
        search=lambda found, text: found.filter(
            pk__in=Comment.objects.filter(text__icontains=text).values("thread")
        ),
        filters=[Filter("state", _("State"), STATES, apply=_by_state)],
    )
    if "state" not in request.GET:
        listing.filters[0].value = "open"  # type: ignore[index]
    return answer_list(
        request,
        "labeling/comment_threads.html",
        listing,
        page="comments",
        columns=list_columns.COMMENTS,
        context={"state": state},
    )


@project_route(Action.VIEW_OWN_WORK, methods=("POST",))
def comment_add(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """About a submission."""
    piece = service.find_discussed(project=project, membership=membership, user=request.user, pk=pk)
    return _add(request, piece)


@project_route(Action.VIEW_OWN_WORK, methods=("GET", "HEAD", "POST"))
def work_comments(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """About the task in hand, by its slot. GET: the talk as a fragment, with whom one can mention."""
    piece = service.find_in_hand(project=project, membership=membership, user=request.user, pk=pk)
    if request.method == "POST":
        return _add(request, piece)
    context = {
        "talk": talk.talk_of(piece, request.user, slot=pk),
        "back": piece.url_for(request.user),
        "comes_alone": True,
    }
    return render(request, "labeling/_comments.html", context)


@project_route(Action.VIEW_OWN_WORK, methods=("POST",))
def comment_reply(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """In a thread, whatever it is about."""
    piece = service.find_thread(project=project, membership=membership, user=request.user, pk=pk)
    return _add(request, piece)


@project_route(Action.MANAGE_BATCHES, methods=("POST",))
def task_comment(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """To somebody who has the task in hand (`slot`), from its page."""
    if not project.tasks.filter(pk=pk).exists():
        raise NotFound("There is no such task.")
    text = request.POST.get("slot", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= ID_DIGITS
    slot = project.assignments.filter(task=pk, pk=int(text)).first() if is_number else None
    if slot is None:
        raise Invalid("Choose somebody who has this task.", field="slot")
    piece = service.find_in_hand(project=project, membership=membership, user=request.user, pk=slot.pk)
    return _add(request, piece)


@project_route(Action.VIEW_OWN_WORK, methods=("POST",))
def comment_settle(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """Settle a thread; with `open`, open it again."""
    piece = service.find_thread(project=project, membership=membership, user=request.user, pk=pk)
    is_open = bool(request.POST.get("open"))
    try:
        service.settle_thread(piece=piece, acting_user=request.user, is_open=is_open)
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, "Open again." if is_open else "Settled.")
    return redirect(_back(request, piece))


def _add(request: SignedInRequest, piece: talk.Piece) -> HttpResponse:
    """Then back to the page it was written on. In place (htmx) what is wrong is said there, and the words
    stay in the form.
    """
    try:
        service.add_comment(piece=piece, author=request.user, text=request.POST.get("text", ""))
    except DomainError as error:
        if request.htmx:
            raise
        messages.error(request, _("Not sent. %(message)s") % {"message": error.message})
    else:
        if not request.htmx:
            messages.success(request, "Sent.")
    return redirect(_back(request, piece))


def _by_state(rows, value: str):
    return rows if value == "all" else rows.filter(is_open=value == "open")


def _back(request: SignedInRequest, piece: talk.Piece) -> str:
    """The page of this project it was written on, else the one where this person finds the talk."""
    root = reverse("labeling:project_detail", args=[piece.project.slug])
    back = request.POST.get("back", "").partition("#")[0]
    if back.startswith(root) and url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        return f"{back}#comments"
    return piece.url_for(request.user)
