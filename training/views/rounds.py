"""Rounds: the loop as a picture, with the very batch, dataset version or run of each step."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from django.contrib import messages
from django.db.models import F, Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse

from annotate.errors import DomainError, NotFound
from annotate.forms import add_domain_error
from annotate.words import _
from labeling.access import project_route
from labeling.list_pages import Column, answer_list
from labeling.listing import Filter, Listing
from labeling.permissions import Action
from training.models import Round, RoundStatus, RoundStep, RoundStepKind, RoundStepStatus
from training.round_forms import RoundForm
from training.services.round_steps import look
from training.services.rounds import cancel_round, create_round, start_step
from training.views.ordering import OrderPage

ICONS = {
    RoundStepKind.DEMONSTRATE: "edit",
    RoundStepKind.SFT_DATASET: "dataset",
    RoundStepKind.SFT_RUN: "runs",
    RoundStepKind.SAMPLE: "sparkles",
    RoundStepKind.RANK: "scale",
    RoundStepKind.COMPARISON_DATASET: "dataset",
    RoundStepKind.REWARD_RUN: "trophy",
    RoundStepKind.PPO_RUN: "runs",
    RoundStepKind.SAMPLE_AGAIN: "sparkles",
    RoundStepKind.RANK_AGAIN: "scale",
}
# Words of components/loop.html for the states of a step.
LOOP_STATES = {RoundStepStatus.ACTIVE: "running", RoundStepStatus.SKIPPED: "waiting"}
COLUMNS: list[Column] = [
    ("number", lambda round: round.number),
    ("status", lambda round: round.status),
    ("steps_done", lambda round: round.done_count),
    ("steps", lambda round: round.step_count),
    ("now", lambda round: round.current.kind if round.current else ""),
    ("by", lambda round: round.created_by.name if round.created_by else ""),
    ("begun", lambda round: round.created_at),
    ("finished", lambda round: round.finished_at),
]


def find_round(project, number: int) -> Round:
    round = project.rounds.filter(number=number).select_related("project", "created_by").first()
    if round is None:
        raise NotFound(_("There is no round %(number)s in this project.") % {"number": number})
    return round


@project_route(Action.VIEW_RUNS)
def rounds(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    listing = Listing(
        request,
        project.rounds.prefetch_related("steps").select_related("created_by"),
        sorts={
            "newest": (_("Newest first"), "-number"),
            "oldest": (_("Oldest first"), "number"),
            "finished": (_("Finished last"), (F("finished_at").desc(nulls_last=True), "-number")),
        },
        search=_search,
        filters=[Filter("status", _("Status"), [("", _("All")), *RoundStatus.choices])],
    )
    if request.GET.get("format") != "csv":
        _with_steps(listing.page)
    return answer_list(
        request, "training/rounds.html", listing, page="rounds", columns=COLUMNS, prepare=_with_steps
    )


def _search(rows, text: str):
    """By number, who planned it, or what a step made or said."""
    number = Q(number=int(text)) if text.isdecimal() and len(text) < 9 else Q()  # noqa: PLR2004
    steps = RoundStep.objects.filter(
        Q(batch__name__icontains=text)
        | Q(dataset_version__dataset__name__icontains=text)
        | Q(run__name__icontains=text)
        | Q(message__icontains=text)
    )
    found = Q(created_by__display_name__icontains=text) | Q(pk__in=steps.values("round"))
    return rows.filter(found | number)


def _with_steps(rows: Iterable[Any]) -> Iterable[Any]:
    """Rounds, each with how far it is (`done_count`, `step_count`) and the step that it is at (`current`)."""
    for round in rows:
        steps = list(round.steps.all())
        counted = [step for step in steps if step.status != RoundStepStatus.SKIPPED]
        round.done_count = sum(step.status == RoundStepStatus.DONE for step in counted)
        round.step_count = len(counted)
        over = (RoundStepStatus.DONE, RoundStepStatus.SKIPPED)
        round.current = next((step for step in steps if step.status not in over), None)
    return rows


@project_route(Action.MANAGE_ROUNDS, methods=("GET", "HEAD", "POST"))
def round_new(request: HttpRequest, *, project, membership) -> HttpResponse:
    page = OrderPage(request, project)
    if there := page.answered():
        return redirect("training:round_detail", slug=project.slug, number=there[0].number)
    form = RoundForm(request.POST or None, project=project)
    if request.method == "POST" and form.is_valid():
        try:
            given = {"project": project, "plan": form.plan(), "acting_user": request.user}
            round = page.place(lambda order: create_round(**given, order=order), itemgetter(0))
        except DomainError as error:
            add_domain_error(form, error)
        else:
            return redirect("training:round_detail", slug=project.slug, number=round.number)
    status = 422 if request.method == "POST" else 200
    return render(request, "training/round_new.html", {"form": form, "once": page.once}, status=status)


@project_route(Action.VIEW_RUNS)
def round_detail(request: HttpRequest, *, project, membership, number: int) -> HttpResponse:
    round = find_round(project, number)
    steps = [_describe(project, step) for step in _steps(round)]
    context = {
        "round": round,
        "steps": steps,
        "nodes": [entry["node"] for entry in steps],
        "plan": sorted((name, value) for name, value in round.plan.items() if value not in ("", {}, [])),
        "is_running": round.status == RoundStatus.RUNNING,
    }
    return render(request, "training/round_detail.html", context)


def _steps(round: Round):
    return round.steps.select_related("batch", "dataset_version__dataset", "run").order_by("position")


def _describe(project, step: RoundStep) -> dict[str, Any]:
    """What the page shows of a step: a node of the picture, and a row with progress and links."""
    seen = look(step) if step.status == RoundStepStatus.ACTIVE else None
    href, what = _product(project, step)
    note = step.message or (seen.note if seen else "")
    if step.status == RoundStepStatus.SKIPPED:
        note = _("Left out")
    return {
        "step": step,
        "href": href,
        "what": what,
        "note": note,
        "node": {
            "label": step.get_kind_display(),
            "state": LOOP_STATES.get(RoundStepStatus(step.status), str(step.status)),
            "note": note[:80] or what,
            "href": href,
            "icon": ICONS[RoundStepKind(step.kind)],
        },
    }


def _product(project, step: RoundStep) -> tuple[str, str]:
    """(address, name) of what the step has made."""
    if step.run is not None:
        return reverse("training:run_detail", args=[project.slug, step.run.number]), str(step.run)
    if step.dataset_version is not None:
        version = step.dataset_version
        address = reverse("labeling:dataset_version", args=[project.slug, version.dataset_id, version.number])
        return address, f"{version} · {version.row_count:,} rows"
    if step.batch is not None:
        return reverse("labeling:batch_detail", args=[project.slug, step.batch_id]), step.batch.name
    return "", ""


@project_route(Action.MANAGE_ROUNDS, methods=("POST",))
def step_start(request: HttpRequest, *, project, membership, number: int, kind: str) -> HttpResponse:
    """Start a step that waits for a person, or try a failed one again."""
    step = find_round(project, number).steps.filter(kind=kind).select_related("round__project", "run").first()
    if step is None:
        raise NotFound("This round has no such step.")
    start_step(step=step, acting_user=request.user)
    messages.success(request, _("“%(kind)s” was started.") % {"kind": step.get_kind_display()})
    return redirect("training:round_detail", slug=project.slug, number=number)


@project_route(Action.MANAGE_ROUNDS, methods=("POST",))
def round_cancel(request: HttpRequest, *, project, membership, number: int) -> HttpResponse:
    cancel_round(round=find_round(project, number), acting_user=request.user)
    messages.success(request, "The round has ended. What was made in it stays.")
    return redirect("training:round_detail", slug=project.slug, number=number)
