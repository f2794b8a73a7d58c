"""Views of lists: saved, made the default, deleted. Lists show them (components/listing_views.html)."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from annotate.errors import Invalid
from annotate.forms import whole_number
from annotate.words import _
from labeling.access import project_route, signed_in_route
from labeling.models import Membership, Project, SavedView
from labeling.permissions import Action
from labeling.saved_views import lists_of, page_address
from labeling.services import saved_views as service


@project_route(Action.SAVE_VIEWS, methods=("POST",))
def view_save(request: HttpRequest, *, project, membership) -> HttpResponse:
    return _save(request, project, membership)


@project_route(Action.SAVE_VIEWS, methods=("POST",))
def view_default(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    """Open the list with this view from now on; with `clear`, no more."""
    return _open_with(request, project, membership, pk)


@project_route(Action.SAVE_VIEWS, methods=("POST",))
def view_delete(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    return _delete(request, project, membership, pk)


# The same for lists that span projects, whose views are one's own.
@signed_in_route
@require_POST
def own_view_save(request: HttpRequest) -> HttpResponse:
    return _save(request, None, None)


@signed_in_route
@require_POST
def own_view_default(request: HttpRequest, pk: int) -> HttpResponse:
    return _open_with(request, None, None, pk)


@signed_in_route
@require_POST
def own_view_delete(request: HttpRequest, pk: int) -> HttpResponse:
    return _delete(request, None, None, pk)


# --- Inside ---------------------------------------------------------------------------------------------
def _save(request: HttpRequest, project: Project | None, membership: Membership | None) -> HttpResponse:
    form = request.POST
    try:
        view = service.save_view(
            project=project,
            membership=membership,
            acting_user=request.user,
            page=form.get("page", ""),
            name=form.get("name", ""),
            query=form.get("query", ""),
            is_shared=bool(form.get("is_shared")),
            is_default=bool(form.get("is_default")),
        )
    except Invalid as error:
        if form.get("page") not in lists_of(project):
            raise
        messages.error(request, _("Not saved. %(message)s") % {"message": error.message})
        back = _page_of(request, project, form["page"])
        return redirect(f"{back}?{service.clean_query(form.get('query', ''))}")
    messages.success(request, _("The view “%(name)s” is saved.") % {"name": view.name})
    return redirect(_address(request, project, view))


def _open_with(
    request: HttpRequest, project: Project | None, membership: Membership | None, pk: int
) -> HttpResponse:
    view = service.find_view(project=project, membership=membership, user=request.user, pk=pk)
    clear = bool(request.POST.get("clear"))
    service.set_default(view=view, acting_user=request.user, is_default=not clear)
    said = _("The list opens as usual again.") if clear else _("The list opens with “%(name)s” from now on.")
    messages.success(request, said % {"name": view.name})
    return redirect(_address(request, project, view))


def _delete(
    request: HttpRequest, project: Project | None, membership: Membership | None, pk: int
) -> HttpResponse:
    view = service.find_view(project=project, membership=membership, user=request.user, pk=pk)
    service.delete_view(view=view, acting_user=request.user)
    messages.success(request, _("The view “%(name)s” is deleted.") % {"name": view.name})
    return redirect(f"{_page_of(request, project, view.page)}?view=")


def _page_of(request: HttpRequest, project: Project | None, page: str) -> str:
    return page_address(project=project, page=page, of=whole_number(request.POST.get("of")))


def _address(request: HttpRequest, project: Project | None, view: SavedView) -> str:
    query = f"{view.query}&" if view.query else ""
    return f"{_page_of(request, project, view.page)}?{query}view={view.pk}"
