"""Who may do which work: screening sets, verdicts, languages, bounds of a day."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from annotate.accounts.requests import SignedInRequest
from annotate.errors import DomainError, Forbidden, Invalid, NotFound
from annotate.forms import add_domain_error, whole_number
from annotate.words import _
from labeling.access import project_route
from labeling.models import BatchStatus, ScreeningSet, TaskPurpose
from labeling.permissions import Action
from labeling.qualification_forms import BoundsForm, ScreeningForm
from labeling.qualification_reports import everybody, with_attempts
from labeling.services import qualification as service
from labeling.services.caps import set_caps
from labeling.services.screening import open_sets


@project_route(Action.QUALIFY_PEOPLE)
def qualification(request: HttpRequest, *, project, membership) -> HttpResponse:
    """The open sets, where everybody stands with them, and the form that opens another."""
    return _page(request, project)


def _page(request: HttpRequest, project, form: ScreeningForm | None = None) -> HttpResponse:
    sets = [(each, everybody(each)) for each in with_attempts(open_sets(project).select_related("batch"))]
    unused = project.batches.filter(
        purpose=TaskPurpose.SCREENING, status=BatchStatus.OPEN, screening_set=None
    )
    context = {
        "sets": sets,
        "form": form or ScreeningForm(batches=unused),
        "has_batches": unused.exists(),
        "settings": project.settings,
    }
    return render(request, "labeling/qualification.html", context, status=422 if form else 200)


@project_route(Action.QUALIFY_PEOPLE, methods=("POST",))
def screening_open(request: SignedInRequest, *, project, membership) -> HttpResponse:
    form = ScreeningForm(
        request.POST, batches=project.batches.filter(purpose=TaskPurpose.SCREENING, screening_set=None)
    )
    if form.is_valid():
        try:
            service.open_screening_set(acting_user=request.user, **form.cleaned_data)
        except DomainError as error:
            add_domain_error(form, error)
        else:
            messages.success(request, "The screening is open.")
            return redirect("labeling:qualification", slug=project.slug)
    return _page(request, project, form)


@project_route(Action.QUALIFY_PEOPLE, methods=("POST",))
def screening_close(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    service.close_screening_set(screening=_screening(project, pk), acting_user=request.user)
    messages.success(request, "Closed. Nobody is screened for this kind now.")
    return redirect("labeling:qualification", slug=project.slug)


@project_route(Action.QUALIFY_PEOPLE, methods=("POST",))
def screening_decide(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """`decision` (pass, fail, retry) about `member`, with a note."""
    screening = _screening(project, pk)
    member = project.memberships.filter(pk=whole_number(request.POST.get("member"))).first()
    if member is None:
        raise Invalid("Choose a person.", field="member")
    if member.user_id == request.user.pk:
        raise Forbidden("Nobody qualifies themselves.", code="own_work")
    service.decide_qualification(
        screening=screening,
        membership=member,
        decision=request.POST.get("decision", ""),
        note=request.POST.get("note", ""),
        acting_user=request.user,
    )
    messages.success(request, _("Stored. %(name)s is told.") % {"name": member.user.name})
    return redirect("labeling:qualification", slug=project.slug)


@project_route(Action.QUALIFY_PEOPLE, methods=("POST",))
def member_bounds(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """`change` is bounds (tasks and hours of a day) or language (`code`, `confirmed`)."""
    member = project.memberships.select_related("user").filter(pk=pk).first()
    if member is None:
        raise NotFound("There is no such person in this project.")
    if request.POST.get("change") == "language":
        service.confirm_language(
            membership=member,
            code=request.POST.get("code", ""),
            confirmed="confirmed" in request.POST,
            acting_user=request.user,
        )
        messages.success(request, "Saved. New hand-outs follow.")
    else:
        form = BoundsForm(request.POST)
        if form.is_valid():
            set_caps(membership=member, acting_user=request.user, **form.cleaned_data)
            messages.success(request, "Saved. New hand-outs follow.")
        else:
            messages.error(request, " ".join(str(e) for errors in form.errors.values() for e in errors))
    return redirect("labeling:person", slug=project.slug, pk=pk)


@project_route(Action.VIEW_OWN_WORK, methods=("POST",))
def my_languages(request: SignedInRequest, *, project, membership) -> HttpResponse:
    """What a person declares, as codes with commas or blanks between them."""
    if membership.pk is None:
        raise Forbidden("You are no member of this project.", code="not_a_member")
    codes = request.POST.get("languages", "").replace(",", " ").split()
    try:
        service.declare_languages(membership=membership, codes=codes)
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, "Saved. A lead confirms your languages.")
    return redirect("labeling:work", slug=project.slug)


# --- Inside -------------------------------------------------------------------------------------------------
def _screening(project, pk: int) -> ScreeningSet:
    screening = project.screening_sets.select_related("project", "batch").filter(pk=pk).first()
    if screening is None:
        raise NotFound("There is no such screening.")
    return screening
