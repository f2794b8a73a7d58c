"""The work screens: what waits, the task in hand, submit and the next one at once, skip, guideline gate."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.gzip import gzip_page

from annotate.accounts.preferences import preferences_of
from annotate.accounts.requests import SignedInRequest
from annotate.errors import Conflict, DomainError, Gone, Invalid, NotFound
from annotate.forms import whole_number
from labeling import queues
from labeling.access import project_route
from labeling.asking import asked, pairwise_inputs, set_aside_field, settle
from labeling.guideline_reading import earlier_read
from labeling.models import (
    Assignment,
    AssignmentStatus,
    GuidelineVersion,
    Layout,
    MembershipStatus,
    SkipReason,
    TaskKind,
)
from labeling.permissions import Action, can, paused
from labeling.quality_page import categories_of
from labeling.sections import sections_of
from labeling.services import assignments, submissions, work_again
from labeling.services.answers import answers_from_fields
from labeling.services.blind import notes_from_public, public_ids, ranking_from_fields
from labeling.services.draft_shapes import texts_of_field
from labeling.services.forms import form_shown
from labeling.services.guidelines import acknowledge_version, current_version
from labeling.services.pairwise import strengths
from labeling.services.slots import lost_lease, shown_order
from labeling.services.written_prompts import written_in
from labeling.talk import THREAD, Talk, piece_in_hand, piece_of, talk_of
from labeling.textdiff import line_diff
from labeling.waiting import desk_of
from labeling.worksheet import Worksheet, is_in_hand, open_worksheet

from .kept import kept_words
from .presenting import labels
from .work_forms import flat_fields, initial_inputs, stretches_of, to_confirm

ID_DIGITS = 16  # the longest number of a slot
SCREENS = {
    Layout.DEMONSTRATION: "labeling/work_demonstration.html",
    Layout.RANKING: "labeling/work_ranking.html",
    Layout.PAIRWISE: "labeling/work_pairwise.html",
}


@project_route(Action.VIEW_OWN_WORK)
def work(request: SignedInRequest, *, project, membership) -> HttpResponse:
    """What waits for this person, per kind, and what they did today."""
    desk = desk_of(project=project, user=request.user, membership=membership)
    returned = list(queues.returned_work(user=request.user, project=project)[:20])
    may_work, may_manage = can(membership, Action.WORK), can(membership, Action.MANAGE_BATCHES)
    idle = may_work and not may_manage and not (desk.total or returned or desk.full_day)
    if idle:
        work_again.note_empty_page(membership=membership)
    context = {
        "waiting": desk.waiting,
        "total": desk.total,
        "is_held_back": desk.is_held_back,
        "returned": returned,
        "today": queues.day_of_work(project=project, user=request.user),
        "goal": preferences_of(request.user)["daily_goal"],
        "may_work": may_work,
        "may_manage": may_manage,
        "is_new_here": idle and not request.user.submissions.filter(project=project).exists(),
        "done": _done(request, project),
        "standings": desk.standings,
        "full_day": desk.full_day,
        "leads": [] if may_work else _leads(project),
        "asks_languages": membership.pk is not None and project.settings.match_languages,
        "languages": membership.languages.all() if membership.pk else [],
    }
    return render(request, "labeling/work.html", context)


@project_route(Action.WORK, methods=("POST",))
def work_next(request: SignedInRequest, *, project, membership) -> HttpResponse:
    """Claim the next task and go there."""
    return _go_on(request, project, request.POST.get("kind") or None, asked=True)


@project_route(Action.WORK, methods=("GET", "HEAD", "POST"))
def work_guideline(request: SignedInRequest, *, project, membership, kind: str) -> HttpResponse:
    """Read the guideline in force; POST acknowledges it and goes on to the next task of the kind."""
    version = current_version(project, kind) if kind in TaskKind.values else None
    if version is None:
        raise NotFound("There is no published guideline of this kind.")
    if request.method == "POST":
        if request.POST.get("version") != str(version.pk):
            # Published while this person was reading: they have not seen the text in force.
            return redirect("labeling:work_guideline", slug=project.slug, kind=kind)
        acknowledge_version(version=version, user=request.user)
        return _go_on(request, project, kind)
    context = {
        "version": version,
        "kind": kind,
        "kind_label": TaskKind(kind).label,
        "is_read": version.acknowledgements.filter(user=request.user).exists(),
        "sections": sections_of(version.markdown),
        **_changes(version, request.user),
    }
    return render(request, "labeling/work_guideline.html", context)


@project_route(Action.VIEW_OWN_WORK)
@gzip_page
def work_task(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """The work screen of an assignment in hand; else what became of it."""
    assignment = _assignment(request, project, pk)
    if assignment.annotator_id == request.user.pk and assignment.status == AssignmentStatus.SUBMITTED:
        error = lost_lease(assignment, request.user)
        unsent = assignment.task.drafts.filter(user=request.user).exclude(body={})
        if error.code == "taken_back" and unsent.exists():
            return _lost(request, assignment, error)
        return redirect("labeling:submission_detail", slug=project.slug, pk=assignment.submission.pk)
    if not can(membership, Action.WORK):
        return _lost(request, assignment, paused())
    if not is_in_hand(assignment, request.user):
        return _lost(request, assignment, lost_lease(assignment, request.user))
    sheet = open_worksheet(assignment=assignment, user=request.user, project=project)
    if assignment.status == AssignmentStatus.RETURNED:
        context = {
            "sheet": sheet,
            "assignment": assignment,
            "reason_labels": _reasons(sheet),
            "talk": _talk(sheet, request.user),
        }
        return render(request, "labeling/work_returned.html", context)
    return _screen(request, sheet)


@project_route(Action.WORK, methods=("POST",))
def work_take_up(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """Take up work that was returned."""
    assignment = _assignment(request, project, pk)
    try:
        assignments.lease_assignment(assignment=assignment, user=request.user)
    except assignments.GuidelineUnread as error:
        return redirect("labeling:work_guideline", slug=project.slug, kind=error.kind)
    return redirect("labeling:work_task", slug=project.slug, pk=pk)


@project_route(Action.WORK, methods=("GET", "HEAD", "POST"))
@gzip_page
def work_submit(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """Store the work, then the next task of the same kind at once. What is wrong comes back as 422."""
    if request.method != "POST":
        return redirect("labeling:work_task", slug=project.slug, pk=pk)  # a reload after a refused submit
    assignment = _assignment(request, project, pk)
    try:
        _submit(request, assignment)
    except Invalid as error:
        if error.code == "idempotency_key_reused":
            raise
        sheet = open_worksheet(assignment=assignment, user=request.user, project=project)
        return _screen(request, sheet, error=error)
    return _go_on(request, project, assignment.kind, done=assignment.pk)


@project_route(Action.WORK, methods=("POST",))
def work_skip(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    assignment = _assignment(request, project, pk)
    reason, note = request.POST.get("reason", ""), request.POST.get("note", "")
    seconds = whole_number(request.POST.get("active_seconds"))
    assignments.skip_assignment(
        assignment=assignment, user=request.user, reason=reason, note=note, active_seconds=seconds
    )
    messages.info(request, "Skipped. You will not be handed this task again.")
    return _go_on(request, project, assignment.kind)


@project_route(Action.WORK, methods=("POST",))
def work_release(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """Stop for now: the task goes back, the draft stays."""
    assignments.release_assignment(
        assignment=_assignment(request, project, pk),
        user=request.user,
        active_seconds=whole_number(request.POST.get("active_seconds")),
    )
    messages.info(request, "The task is given back. Your draft is kept.")
    return redirect("labeling:work", slug=project.slug)


@project_route(Action.WORK, methods=("POST",))
def work_preview(request: SignedInRequest, *, project, membership) -> HttpResponse:
    """The answer as readers will see it."""
    text = request.POST.get("text", "")[: project.settings.response_max_characters]
    return render(request, "labeling/_work_preview.html", {"text": text})


# --- Inside -------------------------------------------------------------------------------------------------
def _assignment(request: SignedInRequest, project, pk: int) -> Assignment:
    """One that this person holds or held; others do not exist for them."""
    rows = Assignment.objects.filter(project=project, pk=pk)
    rows = rows.select_related(
        "task__prompt", "task__starting_draft", "batch", "guideline_version", "form_version"
    )
    assignment = rows.first()
    if assignment is None or (
        assignment.annotator_id != request.user.pk
        and not assignment.task.drafts.filter(user=request.user).exists()
    ):
        raise NotFound("There is no such task in your hands.")
    assignment.project = project
    return assignment


def _go_on(
    request: SignedInRequest, project, kind: str | None, done: int | None = None, *, asked: bool = False
) -> HttpResponse:
    """To the next task; to the guideline that must be read first; or home where nothing waits. Who has asked
    with a button reads that nothing was left: the page they see may look as before.
    """
    query = f"?done={done}" if done else ""
    try:
        assignment = assignments.claim_next(user=request.user, project=project, kind=kind)
    except assignments.GuidelineUnread as error:
        return redirect("labeling:work_guideline", slug=project.slug, kind=error.kind)
    except Conflict as error:
        if error.code != "day_is_full":
            raise
        return redirect(reverse("labeling:work", args=[project.slug]) + query)  # the page says so
    if assignment is None:
        if asked:
            messages.info(request, "Nothing is left for you at this moment.")
        return redirect(reverse("labeling:work", args=[project.slug]) + query)
    return redirect(reverse("labeling:work_task", args=[project.slug, assignment.pk]) + query)


def _submit(request: SignedInRequest, assignment: Assignment) -> None:
    form = request.POST
    common: dict[str, Any] = {
        "assignment": assignment,
        "user": request.user,
        "fence": whole_number(form.get("fence")),
        "idempotency_key": form.get("idempotency_key", ""),
        "prompt_flags": form.getlist("prompt_flags"),
        "active_seconds": whole_number(form.get("active_seconds")),
    }
    definition = form_shown(assignment, request.user, common["fence"]).definition
    fields = flat_fields(form)
    if assignment.kind == TaskKind.DEMONSTRATION:
        submissions.submit_demonstration(
            **common,
            text=form.get("text", ""),
            answers=answers_from_fields(fields, definition),
            pasted_characters=whole_number(form["pasted_characters"])
            if "pasted_characters" in form
            else None,
            confirmed_warnings=[name for name in form.get("confirmed_warnings", "").split(",") if name],
            **written_in(form, assignment.batch),
        )
        return
    names = public_ids(assignment.task)
    order, _ = shown_order(task=assignment.task, user=request.user)
    ranking = ranking_from_fields(fields, names, definition, order)
    notes = notes_from_public(form.get("notes", ""), names)
    submissions.submit_ranking(**common, **ranking, notes=notes)


def _talk(sheet: Worksheet, user) -> Talk | None:
    """What was said about one's work; None where nobody has said a word yet and it did not come back (a
    query): the screen then offers to ask.
    """
    submission, slot = sheet.submission, sheet.assignment
    if submission is not None and submission.annotator_id == user.pk:
        return talk_of(piece_of(submission), user)
    if THREAD.first(task=slot.task_id, person=user.pk) is None:
        return None
    return talk_of(piece_in_hand(slot, user), user, slot=slot.pk)


def _screen(request: SignedInRequest, sheet: Worksheet, error: Invalid | None = None) -> HttpResponse:
    sent = request.POST if error is not None else None
    assignment = sheet.assignment
    fields: dict[str, Any] = dict(sheet.fields)
    if sent is not None:
        fields = flat_fields(sent) | {"prompt_flags": sent.getlist("prompt_flags")}
    draft = sheet.draft
    names = [str(each.public_id) for each in sheet.completions]
    letters = {public: chr(ord("A") + index) for index, public in enumerate(names)}
    fields, set_aside = settle(fields, sheet.version, letters)
    wrong = error.field if error else None
    context = {
        "sheet": sheet,
        "assignment": assignment,
        "fields": fields,
        "initial": initial_inputs(fields),
        "chosen_flags": texts_of_field(fields.get("prompt_flags")),
        "completions": [
            {"id": public, "text": each.text, "asked": asked(sheet.form, public, fields, wrong)}
            for public, each in zip(names, sheet.completions, strict=True)
        ],
        "asked": asked(sheet.form, "task", fields, wrong),
        "set_aside": set_aside,
        "set_aside_field": set_aside_field(set_aside),
        "error": error,
        "to_confirm": to_confirm(error, confirmed=sent.get("confirmed_warnings", "") if sent else ""),
        "stretches": stretches_of(error, fields),
        "categories": categories_of(assignment.project) if sheet.writes_prompt else [],
        "active_seconds": draft.active_seconds if draft else 0,
        "revision": draft.revision if draft else 0,
        "idempotency_key": (sent and sent.get("idempotency_key")) or uuid.uuid4(),
        "skip_reasons": SkipReason.offered(),
        "reason_labels": _reasons(sheet),
        "talk": _talk(sheet, request.user),
        "done": _done(request, assignment.project),
        "today": queues.day_of_work(project=assignment.project, user=request.user),
        "preferences": preferences_of(request.user),
        "sections": sections_of(sheet.guideline.markdown) if sheet.guideline else (),
        "earlier_version": earlier_read(sheet.guideline, request.user),
    }
    if sheet.form.layout == Layout.PAIRWISE:
        context["pairwise"] = pairwise_inputs(fields, names)
        context["strengths"] = strengths(allow_ties=sheet.form.allow_ties)
    response = render(request, SCREENS[Layout(sheet.form.layout)], context, status=422 if error else 200)
    if error:
        response["HX-Push-Url"] = "false"  # the address stays that of the task
        response["HX-Reswap"] = "outerHTML"  # not to the top: the field that is wrong comes into view
    return response


def _changes(version: GuidelineVersion, user) -> dict[str, Any]:
    """What changed since the version this person read last; nothing for the first they read."""
    number = earlier_read(version, user)
    if number is None:
        return {}
    earlier = version.guideline.versions.get(number=number)
    return {"earlier": earlier, "changes": line_diff(earlier.markdown, version.markdown)}


def _reasons(sheet: Worksheet) -> list[str]:
    """Why it was returned, in words."""
    return labels(sheet.settings.return_reasons, sheet.returned.reasons) if sheet.returned else []


def _leads(project) -> list[str]:
    """The names of those who may let somebody work again."""
    members = project.memberships.filter(status=MembershipStatus.ACTIVE).select_related("user")
    return [each.user.name for each in members.order_by("pk") if can(each, Action.MANAGE_PEOPLE)]


def _lost(request: SignedInRequest, assignment: Assignment, error: DomainError) -> HttpResponse:
    """What became of a task that is no longer this person's, and the words they had written."""
    talk = talk_of(piece_in_hand(assignment, request.user), request.user, slot=assignment.pk)
    draft = assignment.task.drafts.filter(user=request.user).first()
    context = {
        "assignment": assignment,
        "error": error,
        "draft": draft,
        "kept": kept_words(draft, assignment.task),
        "talk": talk if talk.thread is not None else None,
        "status": error.status,
        "leads": _leads(assignment.project) if error.code == "paused" else [],
    }
    status = error.status if error.code == "paused" else Gone.default_status
    return render(request, "labeling/work_lost.html", context, status=status)


def _done(request: SignedInRequest, project) -> int | None:
    """The assignment that was just handed in (`?done=`), whose copy in the browser may be forgotten."""
    text = request.GET.get("done", "")
    if not (text.isascii() and text.isdigit() and len(text) <= ID_DIGITS):
        return None
    pk = int(text)
    handed_in = Assignment.objects.filter(
        project=project, pk=pk, annotator=request.user, status=AssignmentStatus.SUBMITTED
    )
    return pk if handed_in.exists() else None
