"""Recipes of datasets: made, counted, changed."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render

from annotate.accounts.requests import SignedInRequest
from annotate.errors import DomainError
from annotate.forms import add_domain_error, whole_number
from labeling.access import project_route
from labeling.data_forms import RecipeForm
from labeling.dataset_page import counted_rows, recipe_conflict
from labeling.formats import SPLITS
from labeling.models import DatasetKind
from labeling.permissions import Action
from labeling.services import datasets as service
from labeling.services.dataset_recipes import newest_revision
from labeling.services.recipe_counting import count_by_reason
from labeling.services.recipe_kinds import checked_recipe
from labeling.services.selection_counts import preview_counts

from .datasets import dataset_of

CHOICES = "recipe-choices"
SHOWN = ["name", "kind", *SPLITS]  # before the choices


@project_route(Action.FREEZE_DATASETS, methods=("GET", "POST"))
def dataset_new(request: SignedInRequest, *, project, membership) -> HttpResponse:
    """The form; as a fragment its choices alone, which are others where another kind was chosen."""
    if request.htmx and request.htmx.target == CHOICES:
        form = RecipeForm(project=project, initial=_lists(request))
        return render(request, "labeling/_recipe_choices.html", {"form": form, "shown": SHOWN})
    is_sent = request.method == "POST"
    initial = {"kind": request.GET.get("kind")}
    form = RecipeForm(request.POST if is_sent else None, project=project, initial=initial, is_sent=is_sent)
    if is_sent and form.is_valid():
        data = form.cleaned_data
        try:
            dataset = service.create_dataset(
                project=project,
                kind=data["kind"],
                name=data["name"],
                recipe=form.recipe(),
                acting_user=request.user,
            )
        except DomainError as error:
            if error.field == "fractions":
                error.field = "train"
            add_domain_error(form, error)
        else:
            return redirect("labeling:dataset_detail", slug=project.slug, pk=dataset.pk)
    context = {"form": form, "shown": SHOWN, "kinds": DatasetKind.choices}
    return render(request, "labeling/dataset_new.html", context, status=422 if is_sent else 200)


@project_route(Action.FREEZE_DATASETS)
def dataset_count(request: SignedInRequest, *, project, membership) -> HttpResponse:
    """How many rows the form's recipe selects right now, as a fragment. `watched`: only how far the count of
    all rows is, until it is over."""
    changed = request.GET.get("dataset", "")
    dataset = dataset_of(project, int(changed)) if changed.isdecimal() and len(changed) < 19 else None
    asked = {**_lists(request), "name": request.GET.get("name") or "-"}
    form = RecipeForm(asked, project=project, dataset=dataset)
    watched = "watched" in request.GET
    context: dict[str, Any] = {"problem": "", "counts": None, "watched": watched}
    if form.is_valid():
        try:
            recipe = checked_recipe(project, form.cleaned_data["kind"], form.recipe())
            found = count_by_reason(project=project, kind=form.cleaned_data["kind"], recipe=recipe)
            context |= {"filtered": found.result, "counting": found.progress}
            if watched and found.progress:
                return render(request, "labeling/_recipe_progress.html", context)
            context |= counted_rows(preview_counts(project, form.cleaned_data["kind"], recipe))
        except DomainError as error:
            context["problem"] = error.message
    else:
        field, errors = next(iter(form.errors.items()))
        label = f"{form.fields[field].label}: " if field in form.fields else ""
        context["problem"] = f"{label}{errors[0]}"
    return render(request, "labeling/_dataset_count.html", context)


@project_route(Action.FREEZE_DATASETS, methods=("GET", "POST"))
def dataset_recipe(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """The form of a dataset's recipe; what is saved is its next revision. `after`: the revision it was filled
    in from; `over`: a newer one that somebody was shown, and chose to replace."""
    dataset = dataset_of(project, pk)
    is_sent = request.method == "POST"
    newest = newest_revision(dataset)
    if newest is not None:
        dataset.recipe = newest.recipe  # the fields show the revision that `after` names, no other one
    form = RecipeForm(request.POST if is_sent else None, project=project, dataset=dataset)
    after = whole_number(request.POST.get("after")) if is_sent else newest.number if newest is not None else 0
    mine = None
    if is_sent and form.is_valid():
        try:
            service.change_recipe(
                dataset=dataset,
                recipe=form.recipe(),
                note=request.POST.get("revision_note", ""),
                after=whole_number(request.POST.get("over")) or after,
                acting_user=request.user,
            )
        except DomainError as error:
            if error.code == "recipe_changed":
                mine = checked_recipe(project, dataset.kind, form.recipe()).to_json()
            else:
                error.field = "train" if error.field == "fractions" else error.field
                add_domain_error(form, error)
        else:
            return redirect("labeling:dataset_detail", slug=project.slug, pk=pk)
    context = {
        "form": form,
        "dataset": dataset,
        "after": after,
        "conflict": recipe_conflict(project, dataset, seen=after, mine=mine) if is_sent else None,
        "revision_note": request.POST.get("revision_note", ""),
        "shown": SHOWN,
    }
    return render(request, "labeling/dataset_recipe.html", context, status=422 if is_sent else 200)


def _lists(request: SignedInRequest) -> dict[str, Any]:
    """The query as a form wants it: lists for fields of several choices, the last value else."""
    several = {
        "sources",
        "decisions",
        "batches",
        "imports",
        "categories",
        "guideline_versions",
        "annotators",
        "exclude_annotators",
        "languages",
        "fixes",
        "include_fields",
    }
    query = request.GET
    return {name: query.getlist(name) if name in several else query.get(name) for name in query}
