"""A project's front page for leads, its settings, and its audit trail."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from annotate.errors import DomainError
from annotate.forms import add_domain_error
from labeling import dashboard, quality_page, reports, trends
from labeling.access import project_route
from labeling.forms import ProjectForm, SettingsForm
from labeling.permissions import Action, can
from labeling.services import projects as service


@project_route(Action.VIEW_PROJECT)
def project_detail(request: HttpRequest, *, project, membership) -> HttpResponse:
    """Progress, what waits, who did what. Annotators have their own front page: the work."""
    if not can(membership, Action.VIEW_OVERVIEW):
        return redirect("labeling:work", slug=project.slug)
    steps = reports.first_steps(project)
    board = dashboard.dashboard(project)
    context = {
        "board": board,
        "acceptance": trends.acceptance(board.figure),
        "agreement": trends.agreement(quality_page.report_of(project)),
        "charts": dashboard.charts(project),
        "decisions": reports.waiting_decisions(project, request.user),
        "history_days": dashboard.HISTORY_DAYS,
        "steps": steps if not all(step["done"] for step in steps) else [],
        "events": project.audit_events.select_related("actor")[:12],
    }
    return render(request, "labeling/project_detail.html", context)


@project_route(Action.CHANGE_SETTINGS, methods=("GET", "HEAD", "POST"))
def project_settings(request: HttpRequest, *, project, membership) -> HttpResponse:
    about = {"name": project.name, "description": project.description}
    data = request.POST or None
    form = SettingsForm(data, settings=project.settings)
    about_form = ProjectForm(data, initial=about)
    if request.method == "POST" and form.is_valid() and about_form.is_valid():
        try:
            with transaction.atomic():  # all of the page, or nothing
                service.update_project(project=project, acting_user=request.user, **about_form.cleaned_data)
                service.update_settings(project=project, values=form.cleaned_data, acting_user=request.user)
        except DomainError as error:
            add_domain_error(form, error)
        else:
            messages.success(request, "Saved. New hand-outs follow these settings.")
            return redirect("labeling:project_settings", slug=project.slug)
    status = 422 if request.method == "POST" else 200
    context = {"form": form, "about_form": about_form}
    return render(request, "labeling/project_settings.html", context, status=status)


@project_route(Action.CHANGE_SETTINGS, methods=("POST",))
def project_archive(request: HttpRequest, *, project, membership) -> HttpResponse:
    """Put away, or take into use again (`restore`)."""
    if request.POST.get("restore"):
        service.restore_project(project=project, acting_user=request.user)
        messages.success(request, "The project is in use again.")
    else:
        service.archive_project(project=project, acting_user=request.user)
        messages.success(request, "The project is archived. Nothing was deleted.")
    return redirect("labeling:project_settings", slug=project.slug)
