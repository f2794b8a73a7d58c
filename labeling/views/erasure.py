"""The page on which an admin erases who somebody is: what goes, what stays, and their user name typed."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache

from annotate.accounts.requests import SignedInRequest
from annotate.errors import DomainError
from annotate.forms import add_domain_error
from annotate.words import _
from labeling.access import project_route
from labeling.forms import ErasureForm
from labeling.permissions import Action
from labeling.services.erasure import erase_person, measure_extent, require_erasable

from .people import find_member


@never_cache
@project_route(Action.ERASE_PEOPLE, methods=("GET", "HEAD", "POST"))
def person_erase(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    member = find_member(project, pk)
    form = ErasureForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            erase_person(
                user=member.user, acting_user=request.user, confirmation=form.cleaned_data["confirm"]
            )
        except DomainError as error:
            add_domain_error(form, error)
        else:
            said = _("Erased. What they did stays under %(pseudonym)s.")
            messages.success(request, said % {"pseudonym": member.user.pseudonym})
            return redirect("labeling:person", slug=project.slug, pk=member.pk)
    context = {"member": member, "form": form, "extent": measure_extent(member.user), "why_not": None}
    try:
        require_erasable(user=member.user, acting_user=request.user)
    except DomainError as error:
        context["why_not"] = error
    status = 422 if request.method == "POST" else 200
    return render(request, "labeling/person_erase.html", context, status=status)
