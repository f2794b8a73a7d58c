"""Comments on stretches of texts: sent with a ranking, or added later by reviewers and by the author.

A stretch is start..end in Unicode code points of the raw text; the quote is taken from the text here, never
from whoever sent the note. Who may see a submission's notes is who may see the submission.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.urls import reverse

from annotate.errors import Forbidden, Invalid, NotFound
from annotate.words import _, in_a_sentence, later
from labeling.models import Completion, SpanNote, Submission, SubmissionStatus, TaskKind

from .activity import notify, record_event
from .judgments import clean_text

LONGEST_COMMENT = 2_000
MOST_NOTES = 200  # of one person on one submission


@dataclass(frozen=True)
class NewNote:
    """A checked note. `completion` is None for the answer of a demonstration."""

    completion: int | None
    start: int
    end: int
    quote: str
    comment: str


def check_notes(notes: Any, texts: Mapping[int | None, str]) -> list[NewNote]:
    """Notes as sent ({"completion", "start", "end", "comment"}) on these texts, by completion id.

    Raises Invalid (field "notes", details with the number of the note as `row`).
    """
    if not isinstance(notes, list | tuple):
        raise Invalid("Must be a list.", field="notes")
    if len(notes) > MOST_NOTES:
        raise Invalid(_("At most %(most)s notes.") % {"most": MOST_NOTES}, field="notes")
    checked = []
    for number, note in enumerate(notes, start=1):
        try:
            checked.append(_checked(note, texts))
        except Invalid as error:
            detail = {"field": "notes", "row": number, "message": error.message}
            raise Invalid(
                _("Note %(number)s: %(message)s") % {"number": number, "message": error.message},
                field="notes",
                details=[detail],
            ) from error
    return checked


def _checked(note: Any, texts: Mapping[int | None, str]) -> NewNote:
    if not isinstance(note, Mapping):
        raise Invalid("Must be an object.")
    completion = note.get("completion")
    if completion not in texts:
        raise Invalid("Names a text that is not part of this task.")
    text = texts[completion]
    start: Any = note.get("start")
    end: Any = note.get("end")
    if any(isinstance(place, bool) or not isinstance(place, int) for place in (start, end)):
        raise Invalid("Start and end are whole numbers.")
    if not 0 <= start < end <= len(text):
        raise Invalid(_("The stretch must lie within the text's %(n)s characters.") % {"n": f"{len(text):,}"})
    return NewNote(completion, start, end, text[start:end], clean_comment(note.get("comment")))


def clean_comment(comment: Any) -> str:
    if not isinstance(comment, str):
        raise Invalid("Must be text.", field="comment")
    comment = clean_text(comment, "comment").strip()
    if not comment:
        raise Invalid("Write what you want to say about it.", field="comment")
    if len(comment) > LONGEST_COMMENT:
        raise Invalid(_("At most %(most)s characters.") % {"most": f"{LONGEST_COMMENT:,}"}, field="comment")
    return comment


def store_notes(*, submission: Submission, notes: Sequence[NewNote], author) -> None:
    """Inside the submit's transaction: the notes of this revision by its author."""
    SpanNote.objects.bulk_create(_row(submission, note, author) for note in notes)


def carry_notes(*, submission: Submission, since: int) -> None:
    """Inside the caller's transaction: the notes of revision `since` are those of the newest one, whose texts
    are the same: of a ranking that a reviewer fixed, of an answer that stands again.
    """
    notes = SpanNote.objects.filter(submission=submission, revision=since)
    notes.update(revision=submission.revision_count)


@transaction.atomic
def add_note(
    *, submission: Submission, author, start: Any, end: Any, comment: Any, completion: int | None = None
) -> SpanNote:
    """A note on the current revision, by its author or by a reviewer (the caller has checked that they may
    see it).

    Raises Invalid (stretch, comment). The author is told of a reviewer's note, unless their work still
    waits for a decision: then the decision tells them.
    """
    submission = Submission.objects.select_for_update(no_key=True, of=("self",)).get(pk=submission.pk)
    sent = {"completion": completion, "start": start, "end": end, "comment": comment}
    if submission.span_notes.filter(author=author).count() >= MOST_NOTES:
        raise Invalid(
            _("At most %(most)s notes on one piece of work.") % {"most": MOST_NOTES}, field="comment"
        )
    try:
        new = _checked(sent, texts_of(submission))
    except Invalid as error:
        raise Invalid(error.message, field=error.field or "start", hint="Mark the stretch again.") from error
    note = _row(submission, new, author)
    note.save()
    record_event(
        action="span_note.added",
        actor=author,
        obj=note,
        project=submission.project,
        submission=submission.pk,
        start=note.start,
        end=note.end,
    )
    _tell(submission, author)
    return note


@transaction.atomic
def change_note(*, note: SpanNote, acting_user, comment: Any) -> SpanNote:
    """Other words for one's own note. Raises Forbidden for somebody else's, NotFound if it was removed."""
    note = _own(note, acting_user)
    old, note.comment = note.comment, clean_comment(comment)
    if old != note.comment:
        note.save(update_fields=["comment"])
        record_event(
            action="span_note.changed",
            actor=acting_user,
            obj=note,
            project=note.project,
            old={"comment": old},
            new={"comment": note.comment},
        )
    return note


@transaction.atomic
def remove_note(*, note: SpanNote, acting_user) -> None:
    """Take back one's own note; the audit trail keeps what it said."""
    note = _own(note, acting_user)
    facts = {"submission": note.submission_id, "quote": note.quote[:200], "comment": note.comment}
    record_event(action="span_note.removed", actor=acting_user, obj=note, project=note.project, old=facts)
    note.delete()


def texts_of(submission: Submission) -> dict[int | None, str]:
    """The texts of a submission that notes may be about: {completion id, or None for the answer: raw
    text}.
    """
    if submission.kind == TaskKind.DEMONSTRATION:
        return {None: submission.demonstrations.get(is_current=True).text}
    ranking = submission.rankings.get(is_current=True)
    ids = [pk for tier in ranking.tiers for pk in tier] + ranking.unrankable
    return dict(Completion.objects.filter(pk__in=ids).values_list("pk", "text"))


def _row(submission: Submission, note: NewNote, author) -> SpanNote:
    return SpanNote(
        project_id=submission.project_id,
        submission=submission,
        completion_id=note.completion,
        revision=submission.revision_count,
        start=note.start,
        end=note.end,
        quote=note.quote,
        comment=note.comment,
        author=author,
    )


def _own(note: SpanNote, user) -> SpanNote:
    found = (
        SpanNote.objects.select_for_update(no_key=True, of=("self",))
        .select_related("project")
        .filter(pk=note.pk)
        .first()
    )
    if found is None:
        raise NotFound("This note was removed.")
    if found.author_id != user.pk:
        raise Forbidden("Only its author may change a note.")
    return found


def _tell(submission: Submission, author) -> None:
    waits = submission.status == SubmissionStatus.AWAITING_REVIEW
    if submission.annotator is None or submission.annotator_id == author.pk or waits:
        return
    notify(
        user=submission.annotator,
        project=submission.project,
        kind="span_note.added",
        text=later(
            "%(who)s commented on a stretch of your %(kind)s.",
            who=author,
            kind=in_a_sentence(TaskKind(submission.kind).label),
        ),
        path=reverse("labeling:submission_detail", args=[submission.project.slug, submission.pk]),
    )
