"""Late work: complete, but its slot had gone to somebody else. A lead may still take it."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict, Forbidden, NotFound
from annotate.forms import whole_number
from annotate.words import in_a_sentence, later
from labeling.models import (
    Assignment,
    AssignmentStatus,
    Draft,
    FormDefinition,
    FormVersion,
    GuidelineAcknowledgement,
    JudgmentOrigin,
    ReviewReason,
    Submission,
    SubmissionStatus,
    Task,
    TaskKind,
)

from . import digests, ledger, review_ledger
from .activity import notify, record_event
from .answer_checks import check_answer, subject_of
from .answers import answers_from_fields
from .blind import notes_from_public, public_ids, ranking_from_fields
from .draft_shapes import readable_fields, texts_of_field
from .forms import current_version
from .judgments import Content, check_prompt_flags, check_ranking
from .ranking_signals import refresh_signals
from .revisions import add_judgment, prompt_for
from .slots import add_slot, lock_task, shown_order
from .span_notes import NewNote, check_notes, store_notes
from .written_prompts import written_in


@transaction.atomic
def accept_late_draft(*, draft: Draft, acting_user) -> Submission:
    """Take late work in: the task gets one slot more, by the lead's own decision, and the work is accepted.

    Raises Conflict if it is no longer waiting, Invalid if it breaks rules that changed since, Forbidden for
    one's own work.
    """
    task = lock_task(draft.task_id)
    draft = _locked(draft, acting_user)
    form = draft.form_version or current_version(task.project, task.batch.layout)
    fields = readable_fields(draft)
    content, notes = _content(draft, fields, task, form.definition)
    flags = check_prompt_flags(texts_of_field(fields.get("prompt_flags")), form.definition)
    slot = _extra_slot(draft, task, form)
    submission = Submission.objects.create(
        project=task.project,
        kind=task.kind,
        prompt_id=prompt_for(content, task.project, task.prompt_id, draft.user, task),
        task=task,
        assignment=slot,
        annotator=draft.user,
        status=SubmissionStatus.ACCEPTED,
        review_reason=ReviewReason.LATE,
        prompt_flags=flags,
        active_seconds=draft.active_seconds,
        decided_at=timezone.now(),
    )
    judgment = add_judgment(
        submission,
        content,
        JudgmentOrigin.ORIGINAL,
        draft.user,
        slot,
        slot.guideline_version_id,
        draft.active_seconds,
        form,
    )
    store_notes(submission=submission, notes=notes, author=draft.user)
    refresh_signals(submission, task)
    ledger.lock_people(draft.user, acting_user)
    ledger.book_late_piece(submission=submission, batch_id=task.batch_id, user=draft.user)
    review_ledger.book_late_decision(draft=draft, task=task, by=acting_user, submission=submission)
    draft.delete()
    record_event(
        action="submission.late_accepted",
        actor=acting_user,
        obj=submission,
        project=task.project,
        task=task.pk,
        slot=slot.slot,
        status=str(submission.status),
        prompt_flags=flags,
        digests={"judgment": digests.of_judgment(judgment, submission)},
    )
    notify(
        user=submission.annotator,
        project=task.project,
        kind="submission.accepted",
        text=later(
            "%(who)s accepted the %(kind)s that you submitted late.",
            who=acting_user,
            kind=in_a_sentence(TaskKind(task.kind).label),
        ),
        path=reverse("labeling:submission_detail", args=[task.project.slug, submission.pk]),
    )
    return submission


@transaction.atomic
def dismiss_late_draft(*, draft: Draft, acting_user) -> None:
    """Late work is not needed: it leaves the lead's list. The text stays with its author."""
    task = lock_task(draft.task_id)
    draft = _locked(draft, acting_user)
    Draft.objects.filter(pk=draft.pk).update(is_late=False)
    review_ledger.book_late_decision(draft=draft, task=task, by=acting_user)
    record_event(
        action="submission.late_dismissed",
        actor=acting_user,
        obj=draft.task,
        project=draft.task.project,
        annotator=draft.user_id,
    )


def _locked(draft: Draft, acting_user) -> Draft:
    if draft.user_id == acting_user.pk:
        raise Forbidden("Nobody decides on their own work.", code="own_work")
    found = (
        Draft.objects.select_for_update(no_key=True, of=("self",))
        .select_related("user", "task__project", "form_version")
        .filter(pk=draft.pk)
        .first()
    )
    if found is None:
        raise NotFound("There is no such late work any more.")
    if not found.is_late:
        raise Conflict("Somebody decided on this already.", code="already_decided")
    return found


def _content(
    draft: Draft, body: dict[str, Any], task: Task, form: FormDefinition
) -> tuple[Content, list[NewNote]]:
    if task.kind == TaskKind.DEMONSTRATION:
        counted = body.get("pasted_characters")
        content = check_answer(
            text=body.get("text", ""),
            subject=subject_of(task, task.project, draft.user),
            form=form,
            answers=answers_from_fields(body, form),
            pasted_characters=whole_number(counted) if counted is not None else None,
            confirmed=None,
            **written_in(body, task.batch),
        )
        return content, []
    names = public_ids(task)
    order, _ = shown_order(task=task, user=draft.user)
    fields = ranking_from_fields(body, names, form, order)
    texts: dict[int | None, str] = dict(task.completions.values_list("pk", "text"))
    notes = check_notes(notes_from_public(body.get("notes", []), names), texts)
    return check_ranking(completion_ids=list(names.values()), form=form, **fields), notes


def _extra_slot(draft: Draft, task: Task, form: FormVersion) -> Assignment:
    """A slot beyond the overlap, already filled."""
    if Assignment.objects.filter(task=task, annotator=draft.user).exists():
        raise Conflict("This person has judged the task meanwhile.", code="already_decided")
    read = GuidelineAcknowledgement.objects.filter(
        user=draft.user, version__guideline__project=task.project_id, version__guideline__kind=task.kind
    ).order_by("-version__number")
    presentation: dict = {"why": "late"}
    if task.kind == TaskKind.RANKING:
        presentation["order"], presentation["seed"] = shown_order(task=task, user=draft.user)
    task.overlap += 1
    task.save(update_fields=["overlap"])
    return add_slot(
        task,
        status=AssignmentStatus.SUBMITTED,
        annotator=draft.user,
        submitted_at=timezone.now(),
        presentation=presentation,
        form_version=form,
        guideline_version_id=read.values_list("version_id", flat=True).first(),
    )
