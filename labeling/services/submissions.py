"""Submitting work: once per key, into the slot the person holds, or kept where the slot is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from annotate.errors import Conflict, DomainError, Forbidden, Invalid
from labeling.models import (
    Activity,
    Assignment,
    AssignmentStatus,
    BatchStatus,
    Draft,
    FormDefinition,
    FormVersion,
    JudgmentOrigin,
    Membership,
    ReviewReason,
    Submission,
    SubmissionStatus,
    Task,
    TaskKind,
    TaskPurpose,
)

from . import digests, ledger
from .activity import record_event
from .answer_checks import check_answer, check_confirmed, subject_of
from .appeal_rules import withdraw_moot_appeal
from .blind import content_to_public, notes_to_public, public_ids
from .drafts import sane_seconds
from .forms import form_shown
from .judgments import Content, check_prompt_flags, check_ranking
from .known_answers import reason_to_review, record_result
from .ranking_signals import refresh_signals
from .receipts import body_hash, checked_key, with_answers
from .revisions import add_judgment, begin_revision, prompt_for
from .slots import (
    COMPLETIONS,
    DRAFT,
    deadline,
    finish_task,
    lock_member,
    lock_task,
    lost_lease,
    passed_on_task,
    shown_order,
    version_read,
    was_shown,
)
from .span_notes import check_notes, store_notes
from .submit_statements import (
    DRAFT_DONE,
    RECEIPT,
    SLOT,
    STORED,
    STORED_RECEIPT,
    SUBMISSION,
    SUBMITTED,
    TEXTS,
    note_at_work,
)

LATE_CODES = ("slot_taken", "withdrawn")  # refused, and kept for a lead to accept


@dataclass(frozen=True)
class _Work:
    """One submit request."""

    assignment: Assignment
    user: Any
    fence: int
    key: str
    body_sha256: str
    prompt_flags: Any
    active_seconds: int
    check: Callable[[Task, FormDefinition], Content]
    notes: Any = ()  # comments on stretches of the completions, as sent


def submit_demonstration(
    *,
    assignment: Assignment,
    user,
    fence: int,
    idempotency_key: str,
    text: str,
    prompt: str | None = None,
    category: str = "",
    answers: dict[str, Any] | None = None,
    prompt_flags: Sequence[str] = (),
    active_seconds: int = 0,
    pasted_characters: int | None = None,
    confirmed_warnings: Sequence[str] = (),
) -> Submission:
    """Store an answer; the same key and body again is answered alike. prompt, category: where the task asks
    for the prompt too; answers: to the form's own questions; pasted_characters: None if not counted;
    confirmed_warnings: the checks whose warnings the person has seen (labeling.services.answer_checks).

    Raises Invalid (content, or another body under the same key), Conflict (`slot_taken`: kept as a late
    draft; `stale_lease`, `returned`), Gone (submitted, skipped, closed), Forbidden (paused, never handed
    out).
    """
    if assignment.kind != TaskKind.DEMONSTRATION:
        raise Invalid("This task asks for a ranking.", field="text")
    confirmed = check_confirmed(confirmed_warnings)
    written = {} if prompt is None else {"prompt": prompt, "category": category}
    return _submit(
        _Work(
            assignment=assignment,
            user=user,
            fence=fence,
            key=checked_key(idempotency_key),
            body_sha256=body_hash(assignment, prompt_flags, with_answers({"text": text, **written}, answers)),
            prompt_flags=prompt_flags,
            active_seconds=sane_seconds(active_seconds),
            check=lambda task, form: check_answer(
                text=text,
                subject=subject_of(task, assignment.project, user),
                form=form,
                answers=answers,
                pasted_characters=pasted_characters,
                confirmed=confirmed,
                **written,
            ),
        )
    )


def submit_ranking(
    *,
    assignment: Assignment,
    user,
    fence: int,
    idempotency_key: str,
    tiers: Sequence[Sequence[int]],
    unrankable: Sequence[int] = (),
    unrankable_reasons: dict[int, dict[str, str]] | None = None,
    margins: Sequence[str] = (),
    scores: dict[int, int] | None = None,
    flags: dict[int, list[str]] | None = None,
    touched: Sequence[int] = (),
    rationale: str = "",
    answers: dict[str, Any] | None = None,
    prompt_flags: Sequence[str] = (),
    active_seconds: int = 0,
    notes: Sequence[dict[str, Any]] = (),
) -> Submission:
    """Store a weak order over the task's completions (ids of Completion, best first), and notes on
    stretches of them. Errors as submit_demonstration. A strength of the pairwise screen becomes tiers and
    margins by `pairwise.ranking_of_strength`. Each of `unrankable` needs a reason:
    {id: {"reason": …, "note": …}}.
    """
    if assignment.kind != TaskKind.RANKING:
        raise Invalid("This task asks for a demonstration.", field="tiers")
    fields = {
        "tiers": tiers, "unrankable": unrankable, "unrankable_reasons": unrankable_reasons,
        "margins": margins, "scores": scores, "flags": flags, "touched": touched, "rationale": rationale,
    }  # fmt: skip
    return _submit(
        _Work(
            assignment=assignment,
            user=user,
            fence=fence,
            key=checked_key(idempotency_key),
            body_sha256=body_hash(
                assignment,
                prompt_flags,
                with_answers(fields | ({"notes": notes} if notes else {}), answers),
            ),
            prompt_flags=prompt_flags,
            active_seconds=sane_seconds(active_seconds),
            check=lambda task, form: check_ranking(
                completion_ids=_completion_ids(task), form=form, answers=answers, needs_reasons=True, **fields
            ),
            notes=notes,
        )
    )


def _submit(work: _Work) -> Submission:
    """1. answered before? 2. check the content 3. find the slot 4. store, or keep as a late draft and
    refuse.
    """
    try:
        with transaction.atomic():
            membership = _lock_member(work)
            # Only now that this person's other requests are done: a double click waits for the first one.
            answered = _answered_before(work)
            if answered is not None:
                return answered
            task = lock_task(work.assignment.task_id)
            # What hangs on the task is at hand already: no query for it.
            task.project, task.batch = work.assignment.project, work.assignment.batch
            form = form_shown(work.assignment, work.user, work.fence)
            content = work.check(task, form.definition)
            flags = check_prompt_flags(work.prompt_flags, form.definition)
            notes = check_notes(work.notes, _texts(task)) if work.notes else []
            slot = _slot_for(work, task)
            if isinstance(slot, Assignment):
                submission = _store(work, task, slot, content, flags, membership, form)
                store_notes(submission=submission, notes=notes, author=work.user)
                return submission
            _keep(work, task, content, is_late=slot.code in LATE_CODES)
            refusal = slot
    except IntegrityError as error:
        answered = _answered_before(work)
        if answered is None:
            raise Conflict(
                "Somebody changed this task just now.", code="busy", hint="Send it again."
            ) from error
        return answered
    raise refusal


def _lock_member(work: _Work) -> Membership | None:
    """As lock_member; what was answered while the person could still work here is answered again."""
    try:
        return lock_member(project=work.assignment.project, user=work.user)
    except Forbidden:
        if _answered_before(work) is None:
            raise
        return None


def _answered_before(work: _Work) -> Submission | None:
    receipt = RECEIPT.first(user=work.user.pk, key=work.key)
    if receipt is None:
        return None
    if receipt.body_sha256 != work.body_sha256:
        raise Invalid(
            "This key was used for another submission, which is stored unchanged.",
            code="idempotency_key_reused",
            field="idempotency_key",
            hint="Take a new key for new work.",
        )
    receipt.submission.newest_receipt = receipt
    return receipt.submission


def _slot_for(work: _Work, task: Task) -> Assignment | DomainError:
    """The slot this submission goes into, or the error that says why there is none (its text is kept)."""
    slot = SLOT.first(pk=work.assignment.pk)
    if slot.annotator_id == work.user.pk:
        if slot.status == AssignmentStatus.LEASED and slot.fence == work.fence:
            return slot
        error = lost_lease(slot, work.user)
        if slot.status == AssignmentStatus.VOID or error.code == "taken_back":
            return error
        raise error
    if not was_shown(task_id=task.pk, user=work.user):
        raise Forbidden("This task was not handed to you.", code="not_yours")
    passed_on = passed_on_task(task=task, user=work.user)
    if passed_on is not None:
        return passed_on
    other = Assignment.objects.filter(task=task, annotator=work.user).first()
    if other is not None:
        raise lost_lease(other, work.user)
    return _free_slot(work, task, slot)


def _free_slot(work: _Work, task: Task, slot: Assignment) -> Assignment | DomainError:
    """Another slot of the task that is still nobody's, taken for this person; theirs first."""
    free = list(
        Assignment.objects.select_for_update(no_key=True)
        .filter(Q(reserved_for=None) | Q(reserved_for=work.user), task=task, status=AssignmentStatus.OPEN)
        .exclude(Q(batch__status=BatchStatus.CLOSED) & ~Q(purpose=TaskPurpose.GOLD))
        .order_by("slot")
    )
    if not free:
        if not Assignment.objects.filter(task=task).live().exists() or slot.status == AssignmentStatus.VOID:
            return lost_lease(slot, work.user)
        return Conflict(
            "Your time ran out, and somebody else has this task now.",
            code="slot_taken",
            hint="Your work is kept and marked late; a lead can still accept it.",
        )
    taken = next((each for each in free if each.pk == slot.pk), free[0])
    presentation: dict[str, Any] = {"why": "late"}
    if task.kind == TaskKind.RANKING:
        presentation["order"], presentation["seed"] = shown_order(task=task, user=work.user)
    Assignment.objects.filter(pk=taken.pk).update(
        status=AssignmentStatus.LEASED,
        annotator=work.user,
        fence=F("fence") + 1,
        leased_at=Now(),
        lease_expires_at=deadline(work.assignment.project),
        presentation=presentation,
    )
    taken.presentation, taken.annotator = presentation, work.user
    return taken


def _store(
    work: _Work,
    task: Task,
    slot: Assignment,
    content: Content,
    flags: list[str],
    membership: Membership | None,
    form: FormVersion,
) -> Submission:
    now = timezone.now()
    # Only a slot that was submitted before has one.
    submission = SUBMISSION.first(slot=slot.pk) if slot.submitted_at is not None else None
    draft = DRAFT.first(task=task.pk, user=work.user.pk)
    measured = ledger.measure_draft(draft=draft, assignment=slot, user=work.user, claimed=work.active_seconds)
    seconds = measured.seconds + (draft.booked_seconds if draft is not None else 0)
    prompt_id = prompt_for(content, work.assignment.project, task.prompt_id, work.user, task)
    if submission is None:
        reason = reason_to_review(task=task, annotator=work.user, content=content, prompt_flags=flags)
        submission = STORED.create(
            project=work.assignment.project,
            kind=task.kind,
            prompt_id=prompt_id,
            task=task,
            assignment=slot,
            annotator=work.user,
            status=SubmissionStatus.AWAITING_REVIEW if reason else SubmissionStatus.ACCEPTED,
            review_reason=reason,
            prompt_flags=flags,
            active_seconds=seconds,
            decided_at=None if reason else now,
        )
        origin = JudgmentOrigin.ORIGINAL
    else:
        begin_revision(submission)
        submission.status, submission.review_reason = (
            SubmissionStatus.AWAITING_REVIEW,
            ReviewReason.RESUBMITTED,
        )
        submission.prompt_id, submission.prompt_flags, submission.decided_at = prompt_id, flags, None
        submission.active_seconds, submission.verdict = submission.active_seconds + seconds, ""
        submission.save()
        origin = JudgmentOrigin.RESUBMISSION
        withdraw_moot_appeal(submission)
    version_id = version_read(work.user, slot)
    judgment = add_judgment(submission, content, origin, work.user, slot, version_id, seconds, form)
    ledger.book_submission(submission=submission, measured=measured, batch_id=task.batch_id, user=work.user)
    refresh_signals(submission, task, judgment=judgment, is_new=origin == JudgmentOrigin.ORIGINAL)
    record_result(submission=submission, task=task, content=content, origin=origin)
    SUBMITTED.run(slot=slot.pk, now=now, version=version_id, form=form.pk)
    DRAFT_DONE.run(task=task.pk, user=work.user.pk)
    finish_task(task)
    _finish(work, submission, judgment, membership, now)
    return submission


def _finish(work: _Work, submission: Submission, judgment: Any, membership: Membership | None, now) -> None:
    submission.newest_receipt = STORED_RECEIPT.create(
        user=work.user,
        idempotency_key=work.key,
        body_sha256=work.body_sha256,
        submission=submission,
        revision=submission.revision_count,
    )
    if membership is not None:
        note_at_work(membership, now)
    record_event(
        action="submission.submitted",
        actor=work.user,
        obj=submission,
        project=work.assignment.project,
        revision=submission.revision_count,
        task=submission.task_id,
        status=str(submission.status),
        review_reason=str(submission.review_reason),
        prompt_flags=submission.prompt_flags,
        digests={"judgment": digests.of_judgment(judgment, submission)},
    )


def _keep(work: _Work, task: Task, content: Content, *, is_late: bool) -> None:
    """The words stay, though the slot is gone: as the person's draft, for a lead to look at."""
    names = public_ids(task) if task.kind == TaskKind.RANKING else {}
    body = content_to_public(content, names, as_text=True)
    if work.notes:
        body["notes"] = notes_to_public(work.notes, names)
    draft, _ = Draft.objects.update_or_create(
        task=task,
        user=work.user,
        defaults={"body": body, "is_late": is_late},
    )
    Draft.objects.filter(pk=draft.pk).update(revision=F("revision") + 1)
    ledger.book_unfinished(
        assignment=work.assignment,
        user=work.user,
        activity=Activity.LATE,
        source=f"late:{draft.pk}:{draft.revision + 1}",
        claimed=work.active_seconds,
    )
    record_event(
        action="submission.refused",
        actor=work.user,
        obj=task,
        project=work.assignment.project,
        is_late=is_late,
    )


def _texts(task: Task) -> dict[int | None, str]:
    return dict(TEXTS.all(task=task.pk))


def _completion_ids(task: Task) -> list[int]:
    return [pk for (pk,) in COMPLETIONS.all(task=task.pk)]
