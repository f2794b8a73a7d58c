"""The list of one's projects, opening a project, notifications."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotate.accounts.requests import SignedInRequest
from annotate.errors import DomainError, Forbidden
from annotate.forms import add_domain_error
from annotate.words import _
from labeling import list_columns
from labeling.access import signed_in_route
from labeling.forms import NewProjectForm
from labeling.list_pages import answer_list
from labeling.listing import Filter, Listing
from labeling.models import AssignmentStatus, BatchStatus, Membership, Project
from labeling.permissions import can_create_projects
from labeling.services.notifications import mark_all_read, open_notification
from labeling.services.projects import create_project

PROJECT_STATES = [("", _("In use")), ("archived", _("Archived"))]
MOST_NAMED = 200  # projects in a drop-down


@signed_in_route
@require_safe
def project_list(request: SignedInRequest) -> HttpResponseBase:
    """One's projects; somebody with just one is taken there at once."""
    open_slots = Q(assignments__status=AssignmentStatus.OPEN, assignments__batch__status=BatchStatus.OPEN)
    rows = Project.objects.visible_to(request.user).annotate(
        open_slots=Count("assignments", filter=open_slots)
    )
    if request.GET.get("state") != "archived":
        rows = rows.active()
    listing = Listing(
        request,
        rows,
        sorts={
            "name": (_("Name"), ("name", "id")),
            "newest": (_("Newest first"), "-id"),
            "open": (_("Most open work first"), ("-open_slots", "name", "id")),
        },
        search=lambda found, text: found.filter(Q(name__icontains=text) | Q(description__icontains=text)),
        filters=[Filter("state", _("State"), PROJECT_STATES, lambda rows, _: rows.exclude(archived_at=None))],
    )
    roles = dict(Membership.objects.filter(user=request.user).values_list("project_id", "role"))

    def with_roles(found: Iterable[Any]) -> list[Any]:
        """Each with `role`, for page and CSV."""
        projects = list(found)
        for project in projects:
            project.role = roles.get(project.pk, "admin" if request.user.is_superuser else "")
        return projects

    projects = with_roles(listing.page)
    may_create = can_create_projects(request.user)
    if len(projects) == 1 and not may_create and not request.GET:
        return redirect("labeling:project_detail", slug=projects[0].slug)
    context = {"listing": listing, "projects": projects, "may_create": may_create}
    return answer_list(
        request,
        "labeling/project_list.html",
        listing,
        page="projects",
        columns=list_columns.PROJECTS,
        context=context,
        prepare=with_roles,
    )


@signed_in_route
@require_http_methods(["GET", "POST"])
def project_new(request: SignedInRequest) -> HttpResponse:
    if not can_create_projects(request.user):
        raise Forbidden("Only site staff may open projects.", hint="Ask the person who runs this site.")
    form = NewProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            project = create_project(acting_user=request.user, **form.cleaned_data)
        except DomainError as error:
            add_domain_error(form, error)
        else:
            messages.success(request, "The project is open. Here is what it needs next.")
            return redirect("labeling:project_detail", slug=project.slug)
    status = 422 if request.method == "POST" else 200
    return render(request, "labeling/project_new.html", {"form": form}, status=status)


@signed_in_route
@require_safe
def notifications(request: SignedInRequest) -> HttpResponseBase:
    listing = Listing(
        request,
        request.user.notifications.select_related("project"),
        sorts={"newest": (_("Newest first"), "-id"), "oldest": (_("Oldest first"), "id")},
        search=lambda rows, text: rows.filter(text__icontains=text),
        filters=[
            Filter(
                "state",
                _("State"),
                [("", _("All")), ("new", _("New")), ("read", _("Read"))],
                apply=lambda rows, value: rows.filter(read_at__isnull=value == "new"),
            ),
            Filter("project", _("Project"), [("", _("All")), *_named(request.user)]),
        ],
    )
    return answer_list(
        request,
        "labeling/notifications.html",
        listing,
        page="notifications",
        columns=list_columns.NOTIFICATIONS,
    )


def _named(user) -> list[tuple[str, str]]:
    rows = Project.objects.visible_to(user).order_by("name").values_list("pk", "name")
    return [(str(pk), name) for pk, name in rows[:MOST_NAMED]]


@signed_in_route
@require_POST
def notifications_read(request: SignedInRequest) -> HttpResponse:
    mark_all_read(user=request.user)
    return redirect("labeling:notifications")


@signed_in_route
@require_safe
def notification_open(request: SignedInRequest, pk: int) -> HttpResponse:
    """Follow a notification; that reads it."""
    return redirect(open_notification(user=request.user, pk=pk) or "labeling:notifications")
