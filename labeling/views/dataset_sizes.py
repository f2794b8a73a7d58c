"""How large a version is in tokens of a chosen tokenizer, and how long a run on it may take."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from annotate.accounts.requests import SignedInRequest
from labeling.access import project_route
from labeling.dataset_page import sizes_context
from labeling.permissions import Action
from labeling.services import background
from labeling.services.dataset_sizes import measure_sizes
from labeling.services.datasets import require_ready

from .datasets import version_of


@project_route(Action.VIEW_DATASETS, methods=("GET", "POST"))
def dataset_sizes(request: SignedInRequest, *, project, membership, pk: int, number: int) -> HttpResponse:
    """The sizes that were counted (`sizes` chooses); a POST has them counted by the tokenizer of `model`."""
    version = version_of(project, pk, number)
    if request.method == "POST":
        sizes = measure_sizes(version=version, model=request.POST.get("model", ""), acting_user=request.user)
        background.take_up_if_nobody_does(sizes)
        page = reverse("labeling:dataset_version", args=[project.slug, pk, number])
        return redirect(f"{page}?sizes={sizes.pk}#sizes")
    require_ready(version)
    context = {"version": version, "dataset": version.dataset}
    context |= sizes_context(version, request.GET.get("sizes", ""))
    is_fragment = request.htmx and request.htmx.target == "sizes"
    template = "labeling/_dataset_sizes.html" if is_fragment else "labeling/dataset_sizes.html"
    return render(request, template, context)
