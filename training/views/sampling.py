"""Completions from checkpoints into a ranking batch, in one form."""

from __future__ import annotations

from operator import itemgetter

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from annotate.errors import DomainError
from annotate.forms import add_domain_error
from labeling.access import project_route
from labeling.permissions import Action
from labeling.services.written_prompts import batch_prompt_ids
from training.forms import SampleForm
from training.models import TrainingRun
from training.services.orders import Order
from training.services.sampling import sample_completions
from training.views.ordering import OrderPage


@project_route(Action.LAUNCH_RUNS, methods=("GET", "HEAD", "POST"))
def sample_new(request: HttpRequest, *, project, membership) -> HttpResponse:
    initial = {
        "checkpoints": request.GET.getlist("checkpoint"),
        "prompts_version": request.GET.get("prompts_version"),
    }
    page = OrderPage(request, project)
    if there := page.answered():
        return redirect("training:run_detail", slug=project.slug, number=there[0].number)
    form = SampleForm(request.POST or None, project=project, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            run = page.place(lambda order: _sample(request, project, form, order), itemgetter(0))
        except DomainError as error:
            add_domain_error(form, error)
        else:
            return redirect("training:run_detail", slug=project.slug, number=run.number)
    status = 422 if request.method == "POST" else 200
    return render(request, "training/sample_new.html", {"form": form, "once": page.once}, status=status)


def _sample(request: HttpRequest, project, form: SampleForm, order: Order) -> TrainingRun:
    data = form.cleaned_data
    if data["batch"] is not None:
        prompts = batch_prompt_ids(data["batch"])[: data["prompt_limit"] or None]
    else:
        prompts = data["prompts_version"]
    return sample_completions(
        project=project,
        checkpoints=list(data["checkpoints"]),
        prompts=prompts,
        splits=[data["split"] or "train"],
        **form.hyperparameters(),
        batch_plan=form.batch_plan(),
        name=data["name"],
        acting_user=request.user,
        order=order,
    )
