"""The list of one's projects, opening a project, notifications."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotate.accounts.requests import SignedInRequest
from annotate.errors import DomainError, Forbidden
from annotate.forms import add_domain_error
from labeling.access import signed_in_route
from labeling.forms import NewProjectForm
from labeling.listing import Listing
from labeling.models import AssignmentStatus, BatchStatus, Membership, Project
from labeling.permissions import can_create_projects
from labeling.services.notifications import mark_all_read, open_notification
from labeling.services.projects import create_project


@signed_in_route
@require_safe
def project_list(request: SignedInRequest) -> HttpResponse:
    """One's projects; somebody with just one is taken there at once."""
    rows = (
        Project.objects.visible_to(request.user)
        .active()
        .annotate(
            open_slots=Count(
                "assignments",
                filter=Q(
                    assignments__status=AssignmentStatus.OPEN, assignments__batch__status=BatchStatus.OPEN
                ),
            )
        )
    )
    roles = dict(Membership.objects.filter(user=request.user).values_list("project_id", "role"))
    projects: list[Any] = list(rows)  # each with `role`, for the page
    for project in projects:
        project.role = roles.get(project.pk, "admin" if request.user.is_superuser else "")
    may_create = can_create_projects(request.user)
    if len(projects) == 1 and not may_create and "all" not in request.GET:
        return redirect("labeling:project_detail", slug=projects[0].slug)
    return render(request, "labeling/project_list.html", {"projects": projects, "may_create": may_create})


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
def notifications(request: SignedInRequest) -> HttpResponse:
    listing = Listing(
        request,
        request.user.notifications.select_related("project"),
        sorts={"newest": ("Newest first", "-id"), "oldest": ("Oldest first", "id")},
        search=lambda rows, text: rows.filter(text__icontains=text),
    )
    return render(request, "labeling/notifications.html", {"listing": listing})


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
