"""Notes on stretches: added, changed and removed from the page of a submission or of its review."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from annotate.accounts.requests import SignedInRequest
from annotate.errors import Invalid, NotFound
from annotate.forms import whole_number
from annotate.words import _
from labeling import queues
from labeling.access import project_route
from labeling.models import SpanNote, Submission
from labeling.noted_texts import ANSWER
from labeling.permissions import Action, can
from labeling.services import span_notes

from .history import find_submission


@project_route(Action.VIEW_OWN_WORK, methods=("POST",))
def span_note_add(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    submission = find_submission(project, pk)
    if submission.annotator_id != request.user.pk and not can(membership, Action.REVIEW):
        raise NotFound("There is no such submission.")
    form = request.POST
    try:
        span_notes.add_note(
            submission=submission,
            author=request.user,
            completion=completion_named(submission, form.get("text", "")),
            start=whole_number(form.get("start")),
            end=whole_number(form.get("end")),
            comment=form.get("comment", ""),
        )
    except Invalid as error:
        messages.error(request, _("The note was not added. %(message)s") % {"message": error.message})
    else:
        messages.success(request, "The note is added.")
    return _back(request, project, submission.pk)


@project_route(Action.VIEW_OWN_WORK, methods=("POST",))
def span_note_change(request: SignedInRequest, *, project, membership, pk: int) -> HttpResponse:
    """Other words for one's own note, or away with it (`remove`)."""
    note = SpanNote.objects.filter(project=project, author=request.user, pk=pk).first()
    if note is None:
        raise NotFound("There is no such note of yours.")
    if request.POST.get("remove"):
        span_notes.remove_note(note=note, acting_user=request.user)
        messages.info(request, "The note is removed.")
    else:
        try:
            span_notes.change_note(
                note=note, acting_user=request.user, comment=request.POST.get("comment", "")
            )
        except Invalid as error:
            messages.error(request, _("The note was not changed. %(message)s") % {"message": error.message})
        else:
            messages.success(request, "The note is changed.")
    return _back(request, project, note.submission_id)


def completion_named(submission: Submission, key: str) -> int | None:
    """The completion with this public id, or None for the answer itself. Raises Invalid for neither."""
    if key in (ANSWER, ""):
        return None
    for completion in queues.completions_of(submission):
        if str(completion.public_id) == key.lower():
            return completion.pk
    raise Invalid("Names a text that is not part of this submission.", field="text")


def _back(request: SignedInRequest, project, pk: int) -> HttpResponse:
    name = "review_submission" if request.POST.get("from") == "review" else "submission_detail"
    return redirect(f"labeling:{name}", slug=project.slug, pk=pk)
