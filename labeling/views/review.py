"""The review room: what waits and why, one piece after the other, decisions."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse

from annotate.errors import Invalid, NotFound
from annotate.forms import whole_number
from annotate.words import _
from labeling import list_columns, queues, review_queues, talk
from labeling.access import project_route
from labeling.asking import asked, pairwise_inputs
from labeling.list_pages import answer_list
from labeling.listing import Filter, Listing
from labeling.models import (
    Draft,
    Layout,
    ReviewDecision,
    ReviewReason,
    Submission,
    SubmissionStatus,
    TaskKind,
)
from labeling.noted_texts import noted_texts
from labeling.permissions import Action
from labeling.services import late, reviews
from labeling.services.adjudications import standing_adjudication
from labeling.services.answers import answers_from_fields, answers_to_fields
from labeling.services.blind import RANKING_FIELDS, ranking_from_fields, ranking_to_public
from labeling.services.forms import form_behind
from labeling.services.guidelines import current_version
from labeling.services.judgments import margin_choices
from labeling.services.pairwise import strengths
from labeling.services.review_rules import is_undecided
from labeling.services.undo import UNDO_MINUTES
from labeling.services.written_prompts import text_of
from labeling.task_reports import awaits_score
from labeling.unmended import why_unmended

from . import side_by_side
from .history import find_submission
from .presenting import prompt_flag_labels, revisions_of
from .work_forms import flat_fields, initial_inputs

MOST_CHOICES = 200  # in one list of the filters; more are found by searching


@project_route(Action.REVIEW)
def review_queue(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    counts = review_queues.counts_by_reason(project=project, reviewer=request.user)
    reason = request.GET.get("reason", "")
    if reason == ReviewReason.APPEALED:
        return redirect("labeling:appeals", slug=project.slug)
    rows = review_queues.waiting(
        project=project, reviewer=request.user, reason=reason if reason in ReviewReason.values else ""
    )
    sorts = review_queues.sorts(project=project, reason=reason, chosen=request.GET.get("sort", ""))
    listing = Listing(
        request,
        rows.select_related("prompt", "annotator", "task__batch"),
        sorts={name: (sort.label, sort.order) for name, sort in sorts.items()},
        search=partial(review_queues.search, project=project),
        known_count=counts.get(reason if reason in ReviewReason.values else "", 0),
        filters=[
            # The rows are of this reason already.
            Filter("reason", _("Why"), ReviewReason.choices, apply=lambda rows, _: rows, is_hidden=True),
            Filter("kind", _("Kind"), [("", _("All")), *TaskKind.choices]),
            Filter("batch", _("Batch"), _batches(project), apply=review_queues.NARROWING["batch"]),
            Filter("person", _("By"), _people(project), apply=review_queues.NARROWING["person"]),
        ],
    )
    context = {
        "tabs": _tabs(listing, counts, reason),
        "reason": reason,
        "waiting": counts[""],
        "appeals": counts.get(ReviewReason.APPEALED, 0),
        "nav_counts": {"review": counts[""]},  # counted already; the navigation would count again
        "own": review_queues.own_waiting(project=project, person=request.user),
        "late": list(queues.late_drafts(project=project)[:50]),
        "query": review_query(request.GET),
        "undo": last_undoable(request, project),
    }
    return answer_list(
        request,
        "labeling/review_queue.html",
        listing,
        page="review",
        columns=list_columns.review(reason),
        context=context,
    )


@project_route(Action.REVIEW)
def review_next(request: HttpRequest, *, project, membership) -> HttpResponse:
    """To the first piece of the list (behind `after`, within its filters), or back to the queue."""
    after = project.submissions.select_related("annotator", "task__batch")
    return go_on(
        request, project, request.GET, after.filter(pk=whole_number(request.GET.get("after"))).first()
    )


@project_route(Action.REVIEW, methods=("GET", "HEAD", "POST"))
def review_submission(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    """One piece with all that is needed to decide. POST decides and goes on to the next."""
    submission = find_submission(project, pk)
    if request.method == "POST":
        try:
            _decide(request, submission)
        except Invalid as error:
            return _page(request, project, submission, error)
        # The next page says what was decided, with the way back (last_undoable).
        return go_on(request, project, request.POST, after=submission)
    if awaits_score(submission) and submission.annotator_id != request.user.pk:
        address = reverse("labeling:gold_score", args=[project.slug, pk])
        return redirect(address + review_query(request.GET))
    if not is_undecided(submission):
        return redirect("labeling:submission_detail", slug=project.slug, pk=pk)
    return _page(request, project, submission)


@project_route(Action.REVIEW, methods=("POST",))
def review_reopen(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    submission = find_submission(project, pk)
    was_returned = submission.status == SubmissionStatus.RETURNED
    reviews.reopen_submission(submission=submission, reviewer=request.user, note=request.POST.get("note", ""))
    messages.success(request, "It waits for review again.")
    there = "review_submission" if was_returned else "submission_detail"
    return redirect(f"labeling:{there}", slug=project.slug, pk=pk)


@project_route(Action.REVIEW, methods=("POST",))
def review_late(request: HttpRequest, *, project, membership, pk: int) -> HttpResponse:
    """Take in late work, or take it off the list (`dismiss`)."""
    draft = Draft.objects.filter(task__project=project, pk=pk).select_related("task", "user").first()
    if draft is None:
        raise NotFound("There is no such late work any more.")
    if request.POST.get("dismiss"):
        late.dismiss_late_draft(draft=draft, acting_user=request.user)
        messages.info(request, "Taken off the list. The text stays with its author.")
    else:
        late.accept_late_draft(draft=draft, acting_user=request.user)
        messages.success(request, "The late work is accepted.")
    return redirect("labeling:review_queue", slug=project.slug)


# --- Inside -------------------------------------------------------------------------------------------------
def _decide(request: HttpRequest, submission: Submission):
    form = request.POST
    decision = form.get("decision", "")
    common: dict[str, Any] = {
        "submission": submission,
        "revision": whole_number(form.get("revision")),
        "reviewer": request.user,
        "note": form.get("note", ""),
        "active_seconds": whole_number(form.get("active_seconds")),
    }
    match decision:
        case ReviewDecision.ACCEPTED:
            return reviews.accept_submission(**common)
        case ReviewDecision.RETURNED:
            return reviews.return_submission(**common, reasons=form.getlist("reasons"))
        case ReviewDecision.REJECTED:
            reopen = form.get("reopen") == "yes"
            return reviews.reject_submission(**common, reasons=form.getlist("reasons"), reopen=reopen)
        case ReviewDecision.FIXED:
            return reviews.fix_submission(**common, **_fix(submission, form))
    raise Invalid("Choose accept, return, fix or reject.", field="decision")


def _fix(submission: Submission, form) -> dict[str, Any]:
    judgment, fields = submission.current, flat_fields(form)
    definition = form_behind(judgment, submission).definition
    if submission.kind == TaskKind.DEMONSTRATION:
        answers = answers_from_fields(fields, definition)
        return {"text": form.get("text", ""), "answers": answers, "prompt": form.get("prompt")}
    order = _order(judgment, submission)
    return ranking_from_fields(fields, _names(submission), definition, order)


def _order(judgment, submission: Submission) -> list[int]:
    """Completions as its author saw them, or by age where nobody noted it."""
    return judgment.presented_order or sorted(each.pk for each in queues.completions_of(submission))


def _names(submission: Submission) -> dict[str, int]:
    return {str(each.public_id): each.pk for each in queues.completions_of(submission)}


def _page(
    request: HttpRequest, project, submission: Submission, error: Invalid | None = None
) -> HttpResponse:
    revisions = revisions_of(submission, reveal=True)
    judgment = revisions[-1].judgment
    answers = side_by_side.answers_of(submission)
    completions = side_by_side.as_shown(submission, judgment)
    settled = standing_adjudication(submission.task)
    context = {
        "submission": submission,
        "revisions": revisions,
        "current": revisions[-1],
        "answers": answers,
        "peers": answers[1:],
        "grid": side_by_side.rank_grid(answers, completions, settled) if completions else [],
        "settled": settled,
        "history": answers[0].history,
        "prompt_flags": prompt_flag_labels(submission, judgment),
        "talk": talk.talk_of(talk.piece_of(submission), request.user),
        "reasons": project.settings.return_reasons,
        "guideline": judgment.guideline_version or current_version(project, submission.kind),
        "error": error,
        "sent": request.POST if error else {},
        "sent_reasons": request.POST.getlist("reasons") if error else [],
        "fix": _fix_context(request, submission, judgment, error),
        "query": review_query(request.POST if error else request.GET),
        "kept": kept_of(request.POST if error else request.GET),
        "counts_already": submission.status == SubmissionStatus.ACCEPTED,
        "unmended": why_unmended(submission),
        "undo": last_undoable(request, project),
        "is_own": submission.annotator_id == request.user.pk,
        "noted_texts": noted_texts(submission),
    }
    return render(request, "labeling/review_submission.html", context, status=422 if error else 200)


def _fix_context(request: HttpRequest, submission: Submission, judgment, error) -> dict[str, Any]:
    """What the fix form starts from: what was sent, else the judgment that stands."""
    form = form_behind(judgment, submission).definition
    wrong = error.field if error else None
    if submission.kind == TaskKind.DEMONSTRATION:
        fields = flat_fields(request.POST) if error else answers_to_fields(judgment.answers, {})
        text = request.POST.get("text", "") if error else judgment.text
        prompt = None
        if judgment.prompt_id is not None:
            prompt = request.POST.get("prompt", "") if error else text_of(submission.prompt)
        return {"text": text, "prompt": prompt, "asked": asked(form, "task", fields, wrong)}
    names = _names(submission)
    values = {name: getattr(judgment, name) for name in (*RANKING_FIELDS, "answers")}
    fields = ranking_to_public(values, names, as_text=True)
    if error:
        fields = flat_fields(request.POST)
    public = {pk: name for name, pk in names.items()}
    order = [public[pk] for pk in judgment.presented_order or sorted(public)]
    texts = {str(each.public_id): each.text for each in queues.completions_of(submission)}
    return {
        "form": form,
        "completions": [
            {"id": name, "text": texts[name], "asked": asked(form, name, fields, wrong)} for name in order
        ],
        "asked": asked(form, "task", fields, wrong),
        "initial": initial_inputs(fields),
        "pairwise": pairwise_inputs(fields, order) if form.layout == Layout.PAIRWISE else None,
        "strengths": strengths(allow_ties=form.allow_ties),
        "rationale": fields.get("rationale", ""),
        "flags": form.completion_flags,
        "margins": margin_choices(form),
    }


def go_on(request: HttpRequest, project, source, after: Submission | None = None) -> HttpResponse:
    """The next piece of the list the reviewer came from."""
    pk = review_queues.next_after(project=project, reviewer=request.user, chosen=source, after=after)
    if pk is None:
        messages.info(request, "Nothing more waits here.")
        return redirect(reverse("labeling:review_queue", args=[project.slug]))
    return redirect(reverse("labeling:review_submission", args=[project.slug, pk]) + review_query(source))


def last_undoable(request: HttpRequest, project):
    """The reviewer's last decision while it can be taken back, for the notice at the top of the page."""
    return review_queues.last_decision(project=project, reviewer=request.user, minutes=UNDO_MINUTES)


def _tabs(listing: Listing, counts: dict[str, int], reason: str) -> list[dict[str, Any]]:
    """All, and each reason for which something waits (or that is being looked at)."""
    tabs = []
    for key, label in [("", _("All")), *review_queues.SHORT_REASONS.items()]:
        count = counts.get(key, 0)
        if count or key in ("", reason):
            query = listing.query_string(reason=key or None)
            tabs.append({"label": label, "count": count, "query": query, "is_current": key == reason})
    return tabs


def _batches(project) -> list[tuple[str, str]]:
    rows = project.batches.order_by("-pk").values_list("pk", "name")[:MOST_CHOICES]
    return [("", _("All")), *((str(pk), name) for pk, name in rows)]


def _people(project) -> list[tuple[str, str]]:
    rows = project.memberships.select_related("user").order_by("user__display_name")[:MOST_CHOICES]
    return [("", _("Everybody")), *((str(member.user_id), str(member.user)) for member in rows)]


def kept_of(source) -> dict[str, str]:
    return {name: source[name] for name in review_queues.KEPT if source.get(name)}


def review_query(source) -> str:
    """The list's filters and order as a query string, "" without any."""
    kept = kept_of(source)
    return f"?{urlencode(kept)}" if kept else ""
