"""One task for leads: who has it and why, and everything a lead may do to it. The queue of skipped tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import Exists, F, OuterRef
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import ngettext

from annotate.accounts.requests import SignedInRequest
from annotate.errors import DomainError, Invalid, NotFound
from annotate.forms import whole_number
from annotate.words import _
from labeling import list_columns, talk, task_reports
from labeling.access import project_route
from labeling.list_pages import answer_list
from labeling.listing import Filter, Listing
from labeling.models import AssignmentStatus, Skip, SkipReason, Task, TaskKind
from labeling.permissions import Action
from labeling.services import gold, skips, task_control
from labeling.services.blind import completions_in_order
from labeling.services.forms import current_version

from .consensus_card import consensus_card

ID_DIGITS = 16  # the longest number of a slot


@project_route(Action.MANAGE_BATCHES)
def task_detail(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    task = find_task(project, pk)
    answer = getattr(task, "gold_answer", None)
    completions = []
    slots = task_reports.slots_of(task)
    talks = talk.talks_on(task, request.user)
    if task.kind == TaskKind.RANKING:
        ids = task.task_completions.order_by("position").values_list("completion_id", flat=True)
        completions = _with_answer(completions_in_order(list(ids)), answer)
    context = {
        "task": task,
        "slots": slots,
        "holders": [each.assignment for each in slots if each.assignment.annotator is not None],
        "talks": talks,
        "said": sum(each.own for each in talks),
        "candidates": task_reports.candidates(task),
        "skips": task.skips.select_related("user").order_by("-pk"),
        "waits": task_reports.waits_for_decision(task),
        "answer": answer,
        "completion_flags": current_version(project, task.batch.layout).definition.completion_flags,
        "completions": completions,
        "consensus": consensus_card(task),
        "results": task.submissions.filter(gold_result__isnull=False).select_related(
            "annotator", "gold_result"
        )[:50],
        "effective_priority": task.batch.priority if task.priority is None else task.priority,
    }
    return render(request, "labeling/task_detail.html", context)


@project_route(Action.MANAGE_BATCHES)
def tasks_skipped(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    """Tasks whose skips wait for a lead's decision."""
    listing = Listing(
        request,
        task_reports.skipped_tasks(project).prefetch_related("skips__user"),
        sorts={
            "parked": (_("Parked first"), (F("parked_at").desc(nulls_last=True), "pk")),
            "skipped": (_("Most skipped"), ("-skip_count", "pk")),
            "oldest": (_("Oldest first"), "pk"),
        },
        search=lambda rows, text: rows.filter(prompt__preview__icontains=text),
        filters=[
            Filter("kind", _("Kind"), [("", _("All")), *TaskKind.choices]),
            Filter("reason", _("Reason"), [("", _("All")), *SkipReason.offered()], apply=_skipped_for),
        ],
    )
    return answer_list(
        request,
        "labeling/tasks_skipped.html",
        listing,
        page="skipped",
        columns=list_columns.SKIPPED_TASKS,
    )


@project_route(Action.MANAGE_BATCHES, methods=("POST",))
def task_change(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """`change` is one of CHANGES, with the fields it needs. What is wrong is said on the task's page."""
    task = find_task(project, pk)
    change = CHANGES.get(request.POST.get("change", ""))
    if change is None:
        raise Invalid("There is no such change.", field="change")
    try:
        said, pk = change(request, project, task)
    except DomainError as error:
        messages.error(request, f"{error.message} {error.hint or ''}".strip())
    else:
        messages.success(request, said)
    return redirect("labeling:task_detail", slug=project.slug, pk=pk)


def find_task(project, pk: int) -> Task:
    """One of the project's tasks with what a page needs beside it, or NotFound."""
    rows = project.tasks.select_related("prompt", "batch", "gold_answer", "repeat_of")
    task = rows.filter(pk=pk).first()
    if task is None:
        raise NotFound("There is no such task.")
    task.project = project
    return task


# --- Changes: (request, project, task) -> (what to say, the task to show) -----------------------------------
def _assign(request, project, task: Task) -> tuple[str, int]:
    member = project.memberships.filter(pk=whole_number(request.POST.get("member"))).first()
    if member is None:
        raise Invalid("Choose a person.", field="member")
    task_control.assign_task(task=task, membership=member, acting_user=request.user)
    return _("%(name)s gets it next.") % {"name": member.user.name}, task.pk


def _unassign(request, project, task: Task) -> tuple[str, int]:
    text = request.POST.get("slot", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= ID_DIGITS
    slot = task.assignments.filter(pk=int(text)).first() if is_number else None
    if slot is None:
        raise Invalid("Choose a slot of this task.", field="slot")
    slot = task_control.unassign_slot(assignment=slot, acting_user=request.user)
    if slot.status == AssignmentStatus.SUBMITTED:
        return _("Taken back. It waits for review again: rejected there, it goes to somebody else."), task.pk
    return _("Taken back. The slot is free for others."), task.pk


def _overlap(request, project, task: Task) -> tuple[str, int]:
    overlap = whole_number(request.POST.get("overlap"))
    task_control.change_overlap(task=task, overlap=overlap, acting_user=request.user)
    said = ngettext("%(n)s person judges this task.", "%(n)s people judge this task.", overlap)
    return said % {"n": overlap}, task.pk


def _priority(request, project, task: Task) -> tuple[str, int]:
    text = request.POST.get("priority", "").strip()
    try:
        priority = int(text) if text else None
    except ValueError:
        raise Invalid("A whole number, or nothing for that of its batch.", field="priority") from None
    task_control.change_priority(task=task, priority=priority, acting_user=request.user)
    return _("Saved. Its open slots follow."), task.pk


def _simple(act: Callable[..., Any], said: str) -> Callable[..., tuple[str, int]]:
    def change(request, project, task: Task) -> tuple[str, int]:
        act(task=task, acting_user=request.user)
        return said, task.pk

    return change


def _rewrite(request, project, task: Task) -> tuple[str, int]:
    """The last message, which is the user's, gets another text; the turns before it stay."""
    *before, last = task.prompt.messages or [{"role": "user", "content": ""}]
    text = request.POST.get("prompt", "")
    new = skips.rewrite_prompt(
        task=task, messages=[*before, {**last, "content": text}], acting_user=request.user
    )
    return _("The old prompt is archived. This is the task of the new one."), new.pk


def _gold(request, project, task: Task) -> tuple[str, int]:
    form = request.POST
    common = {"task": task, "acting_user": request.user, "note": form.get("note", "")}
    if task.kind == TaskKind.DEMONSTRATION:
        gold.mark_gold(
            **common,
            minimum_score=whole_number(form.get("minimum_score")) or None,
            reference=form.get("reference", ""),
        )
        return _("The task is gold."), task.pk
    places: dict[int, list[int]] = {}
    unrankable, flags = [], {}
    for completion_id in task.task_completions.values_list("completion_id", flat=True):
        place = whole_number(form.get(f"place-{completion_id}"))
        if place:
            places.setdefault(place, []).append(completion_id)
        else:
            unrankable.append(completion_id)
        if chosen := form.getlist(f"flags-{completion_id}"):
            flags[completion_id] = chosen
    gold.mark_gold(
        **common,
        tiers=[places[place] for place in sorted(places)],
        unrankable=unrankable,
        flags=flags,
        checks_flags="checks_flags" in form,
    )
    return _("The known answer is stored."), task.pk


CHANGES: dict[str, Callable[..., tuple[str, int]]] = {
    "assign": _assign,
    "unassign": _unassign,
    "overlap": _overlap,
    "priority": _priority,
    "reopen": _simple(task_control.reopen_task, "Open again: it is being handed out."),
    "close": _simple(task_control.close_task, "Closed. What was submitted stays."),
    "release": _simple(skips.release_task, "Released: others get it again."),
    "rewrite": _rewrite,
    "gold": _gold,
    "retire_gold": _simple(gold.retire_gold, "Retired. Its results stay."),
}


# --- Inside -------------------------------------------------------------------------------------------------
def _skipped_for(rows, reason: str):
    return rows.filter(Exists(Skip.objects.filter(task=OuterRef("pk"), reason=reason)))


def _with_answer(completions: list, answer) -> list:
    """Completions with the place and flags that the known answer gives them, for the form."""
    tiers = answer.tiers if answer is not None else []
    places = {pk: place for place, tier in enumerate(tiers, start=1) for pk in tier}
    for completion in completions:
        completion.place = places.get(completion.pk, "")
        completion.known_flags = answer.flags.get(str(completion.pk), []) if answer is not None else []
    return completions
