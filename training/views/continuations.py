"""New data came in: both ways to learn it, ordered as one, and the report that compares them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from annotate.errors import DomainError
from annotate.forms import add_domain_error
from annotate.words import _
from labeling.access import project_route
from labeling.permissions import Action
from training.continuation_forms import ContinuationForm
from training.models import Stage
from training.services import continuations as service
from training.views.ordering import OrderPage
from training.views.report_tables import COMPARED, models_by_held_out_set
from training.views.runs import find_run

LABELS = {name: label for name, label, _higher in COMPARED}
STAGES = tuple(service.KIND)


@project_route(Action.LAUNCH_RUNS, methods=("GET", "HEAD", "POST"))
def continuation_new(request: HttpRequest, *, project, membership) -> HttpResponse:
    """`stage` in the query string: sft (by default) or reward."""
    asked = request.GET.get("stage", "")
    stage = Stage(asked) if asked in STAGES else Stage.SFT
    page = OrderPage(request, project)
    if there := page.answered():
        return redirect("training:continuation", slug=project.slug, number=there[0].number)
    form = ContinuationForm(request.POST or None, project=project, stage=stage)
    if request.method == "POST" and form.is_valid():
        try:
            given = {"project": project, "stage": stage, "acting_user": request.user, **form.given()}
            pair = page.place(
                lambda order: service.create_continuation(**given, order=order),
                lambda runs: service.continuation_of(runs[0]),
            )
        except DomainError as error:
            add_domain_error(form, error)
        else:
            return redirect("training:continuation", slug=project.slug, number=pair.anew.number)
    stages = [(each, Stage(each).label) for each in STAGES]
    context = {"form": form, "stage": stage, "stages": stages, "once": page.once}
    status = 422 if request.method == "POST" else 200
    return render(request, "training/continuation_new.html", context, status=status)


@project_route(Action.VIEW_RUNS)
def continuation(request: HttpRequest, *, project, membership, number: int) -> HttpResponse:
    """The pair that run `number` belongs to, and what the evaluations say of it."""
    pair = service.continuation_of(find_run(project, number))
    there = service.evaluations_of(pair)
    verdict = service.verdict_of(pair)
    ended = [run for run in there.values() if run.metrics]
    context = {
        "pair": pair,
        "runs": [("A", _("trains anew"), pair.anew), ("B", _("goes on"), pair.onward)],
        "evaluations": sorted(there.values(), key=lambda run: run.number),
        "held_out": models_by_held_out_set(ended),
        "verdict": verdict,
        "measure": LABELS[verdict["metric"]],
        "sentences": sentences(pair, verdict),
        "differences": _differences(pair),
    }
    return render(request, "training/continuation.html", context)


def sentences(pair: service.Continuation, verdict: dict[str, Any]) -> list[dict[str, Any]]:
    """What the figures come to, a line each: {"text", "is_good"}; empty while figures are missing."""
    if not verdict["is_complete"]:
        return []
    measure = str(LABELS[verdict["metric"]]).lower()
    found = []
    for which, letter in ((service.ANEW, "A"), (service.ONWARD, "B")):
        lost = verdict["forgotten"][which]
        said = {"letter": letter, "measure": measure, "by": f"{abs(lost):.4f}", "data": pair.former}
        text = (
            _("%(letter)s forgot: its %(measure)s on %(data)s is %(by)s worse than the former checkpoint’s.")
            if lost > 0
            else _("%(letter)s forgot nothing: its %(measure)s on %(data)s is better by %(by)s.")
        )
        found.append({"text": text % said, "is_good": lost <= 0})
    for held_out, version in pair.sets.items():
        ahead = verdict["ahead"][held_out]
        said = {"measure": measure, "by": f"{abs(ahead):.4f}", "data": version}
        text = (
            _("On %(data)s going on (B) is ahead by %(by)s (%(measure)s).")
            if ahead > 0
            else _("On %(data)s training anew (A) is ahead by %(by)s (%(measure)s).")
        )
        found.append({"text": text % said, "is_good": True})
    return found


def _differences(pair: service.Continuation) -> list[tuple[str, Any, Any]]:
    """Hyperparameters in which A and B differ."""
    ours, theirs = pair.anew.hyperparameters, pair.onward.hyperparameters
    return [
        (name, ours.get(name), theirs.get(name)) for name in sorted(ours) if ours[name] != theirs.get(name)
    ]
