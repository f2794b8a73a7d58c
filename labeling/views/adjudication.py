"""A ranking task's consensus: all rankings side by side, what they add up to, and the order a lead sets."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from annotate.errors import DomainError, Invalid, NotFound
from annotate.forms import whole_number
from labeling.access import project_route
from labeling.consensus import RULE_NAMES, letters
from labeling.models import Adjudication, Task, TaskKind
from labeling.permissions import Action
from labeling.services.adjudications import adjudicate_task, propose_consensus, standing_adjudication
from labeling.services.blind import RANKING_FIELDS, ranking_from_public, ranking_to_public

from . import side_by_side
from .consensus_card import consensus_card
from .work_forms import initial_inputs

EMPTY: dict[str, Any] = {"margins": [], "scores": {}, "flags": {}, "rationale": ""}


@project_route(Action.REVIEW, methods=("GET", "HEAD", "POST"))
def adjudication(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    """POST settles the order."""
    task = _find(project, pk)
    error: DomainError | None = None
    if request.method == "POST":
        try:
            _settle(request, task)
        except Invalid as invalid:
            error = invalid
        else:
            messages.success(request, "The order is settled. Those who ranked the task are told.")
            return redirect("labeling:adjudication", slug=project.slug, pk=pk)
    return _page(request, project, task, error)


def _settle(request: HttpRequest, task: Task) -> Adjudication:
    form = request.POST
    names = _names(task)
    fields = {name: form[name] for name in ("tiers", "unrankable") if name in form}
    order: dict[str, Any] = {"tiers": [], "unrankable": [], **ranking_from_public(fields, names)}
    return adjudicate_task(
        task=task,
        by=request.user,
        note=form.get("note", ""),
        replaces=whole_number(form.get("replaces")) or None,
        rule=form.get("rule") or None,
        active_seconds=whole_number(form.get("active_seconds")),
        **order,
    )


def _page(request: HttpRequest, project, task: Task, error: DomainError | None) -> HttpResponse:
    submissions = list(task.submissions.select_related("annotator", "prompt", "task").order_by("pk"))
    if not submissions:
        raise NotFound("Nobody has ranked this task yet.")
    for submission in submissions:
        submission.project = project
    # None of them is the one under review here.
    answers = [dataclasses.replace(each, is_this=False) for each in side_by_side.answers_of(submissions[0])]
    completions = list(task.completions.order_by("task_completions__position"))
    standing = standing_adjudication(task)
    rule = request.POST.get("rule") or request.GET.get("rule")
    rule = rule if rule in RULE_NAMES else None
    try:
        proposal = propose_consensus(task, rule)
    except DomainError as problem:  # all rankings were rejected
        proposal, error = None, error or problem
    is_own = any(submission.annotator_id == request.user.pk for submission in submissions)
    context = {
        "task": task,
        "answers": answers,
        "grid": side_by_side.rank_grid(answers, completions, standing),
        "standing": standing,
        "past": task.adjudications.exclude(superseded_at=None).select_related("by").order_by("-pk"),
        "proposal": proposal,
        "proposed_order": letters(proposal.tiers, [each.pk for each in completions]) if proposal else "",
        "proposed_rule": RULE_NAMES[proposal.method] if proposal else "",
        "standing_rule": RULE_NAMES.get(standing.method, standing.method) if standing else "",
        "consensus": consensus_card(task, rule),
        "can_settle": proposal is not None and not is_own,
        "completions": [{"id": str(each.public_id), "text": each.text} for each in completions],
        # Who chose a rule begins from its order, not from the one that stands.
        "initial": _initial(request, task, (proposal if rule else standing) or proposal, error),
        "is_own": is_own,
        "note": request.POST.get("note", "") if error else "",
        "error": error,
    }
    status = 422 if error and request.method == "POST" else 200
    return render(request, "labeling/adjudication.html", context, status=status)


def _initial(request: HttpRequest, task: Task, order: Any, error) -> dict[str, str]:
    """What the board starts from: what was sent, else the standing order, else the proposal."""
    if order is None:
        return {}
    everything = [pk for tier in order.tiers for pk in tier] + list(order.unrankable)
    values = {"tiers": order.tiers, "unrankable": order.unrankable, "touched": everything, **EMPTY}
    fields = ranking_to_public(values, _names(task), as_text=True)
    if error:
        fields |= {name: request.POST[name] for name in RANKING_FIELDS if name in request.POST}
    return initial_inputs(fields)


def _names(task: Task) -> dict[str, int]:
    return {str(each.public_id): each.pk for each in task.completions.all()}


def _find(project, pk: int) -> Task:
    task = project.tasks.filter(pk=pk, kind=TaskKind.RANKING).select_related("prompt", "batch").first()
    if task is None:
        raise NotFound("There is no such ranking task.")
    task.project = project
    return task
