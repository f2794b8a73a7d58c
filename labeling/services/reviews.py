"""Decisions on submissions: accept, return with reasons, fix, reject, reopen.

Each decision names the revision its reviewer looked at and takes effect only if that revision still waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict, Forbidden, Invalid
from annotate.words import _, in_a_sentence, later
from labeling.models import (
    Assignment,
    AssignmentStatus,
    BatchStatus,
    Demonstration,
    FormDefinition,
    JudgmentOrigin,
    Project,
    Ranking,
    Review,
    ReviewDecision,
    ReviewReason,
    Submission,
    SubmissionStatus,
    Task,
    TaskKind,
    TaskPurpose,
    TaskStatus,
)

from . import digests, review_ledger
from .activity import notify, record_event
from .answer_checks import check_fix
from .appeal_rules import refuse_while_appealed
from .drafts import sane_seconds
from .forms import form_behind
from .judgments import Content, RankingContent, check_ranking, clean_line
from .ranking_signals import refresh_signals
from .returned import end_return, let_author_have_it
from .review_rules import lock_for_decision, locked
from .revisions import add_judgment, begin_revision, prompt_for
from .slots import add_slot, finish_task, unfinish_task
from .span_notes import carry_notes
from .written_prompts import settle_prompts, text_of, written_anew

LONGEST_NOTE = 2_000
# Its author was told that it was returned.
TOLD_WITHOUT_A_NOTE = (ReviewReason.RESUBMITTED, ReviewReason.NOT_MENDED)
# What a fix of a ranking may change beside its tiers; what is left out stays.
FIXABLE = ("unrankable", "unrankable_reasons", "margins", "scores", "flags", "rationale")


@transaction.atomic
def accept_submission(
    *, submission: Submission, revision: int, reviewer, note: str = "", active_seconds: int = 0
) -> Review:
    """It stands as it is. Raises Conflict if it was decided meanwhile, Forbidden for one's own work."""
    submission, _ = lock_for_decision(submission, revision, reviewer, ReviewDecision.ACCEPTED)
    review = _decide(submission, ReviewDecision.ACCEPTED, reviewer, [], note, active_seconds)
    _record(review, submission)
    if submission.annotator_id and (review.note or review.queue_reason in TOLD_WITHOUT_A_NOTE):
        tell_author(submission, "accepted", later("%(who)s accepted your work.", who=reviewer), review)
    return review


@transaction.atomic
def return_submission(
    *,
    submission: Submission,
    revision: int,
    reviewer,
    reasons: Sequence[str] = (),
    note: str = "",
    active_seconds: int = 0,
) -> Review:
    """Back to its author, who gets it first when they ask for work. Needs a reason or a note.

    Raises Conflict also where its author works here no more (then fix or reject it).
    """
    submission, task = lock_for_decision(submission, revision, reviewer, ReviewDecision.RETURNED)
    review = _decide(submission, ReviewDecision.RETURNED, reviewer, reasons, note, active_seconds)
    _record(review, submission)
    let_author_have_it(submission)
    slot = Assignment.objects.filter(submission=submission, status=AssignmentStatus.SUBMITTED)
    slot.update(status=AssignmentStatus.RETURNED, lease_expires_at=None)
    if task is not None:  # the rules have refused a return without one
        unfinish_task(task)
    path = reverse("labeling:work_task", args=[submission.project.slug, submission.assignment_id])
    tell_author(
        submission,
        "returned",
        later("%(who)s returned your %(kind)s.", who=reviewer, kind=kind_of(submission)),
        review,
        path,
    )
    return review


@transaction.atomic
def fix_submission(
    *,
    submission: Submission,
    revision: int,
    reviewer,
    text: str | None = None,
    prompt: str | None = None,
    category: str | None = None,
    tiers: Sequence[Sequence[int]] | None = None,
    answers: dict[str, Any] | None = None,
    note: str = "",
    reasons: Sequence[str] = (),
    active_seconds: int = 0,
    **ranking: Any,
) -> Review:
    """Accept it with the reviewer's own revision, which its author sees as a difference.

    text: the answer of a demonstration; prompt, category: where its author wrote it; left out, they stay.
    tiers (and what FIXABLE names; what is left out stays): a ranking, by
    completion ids. answers: to the form's questions; left out, they stay. All is held against the form the
    work was done with. Raises Invalid where nothing was changed.
    """
    submission, task = lock_for_decision(submission, revision, reviewer, ReviewDecision.FIXED)
    before = submission.current
    form = form_behind(before, submission)
    if answers is None:
        answers = before.answers
    if isinstance(before, Demonstration):
        if tiers is not None or ranking:
            raise Invalid("Send the mended answer.", field="text")
        content = _fixed_answer(
            submission,
            before,
            text,
            written_anew(submission, before, prompt, category),
            answers,
            form.definition,
        )
    elif prompt is not None:
        raise Invalid("This task has its prompt.", field="prompt")
    else:
        content = _fixed_content(before, text, tiers, ranking | {"answers": answers}, form.definition)
    review = _decide(submission, ReviewDecision.FIXED, reviewer, reasons, note, active_seconds)
    begin_revision(submission)
    submission.prompt_id = prompt_for(
        content, submission.project, submission.prompt_id, reviewer, submission.task
    )
    submission.save(update_fields=["revision_count", "prompt_id"])
    judgment = add_judgment(
        submission,
        content,
        JudgmentOrigin.FIX,
        reviewer,
        submission.assignment,
        before.guideline_version_id,
        review.active_seconds,
        form,
    )
    _record(review, submission, fix=judgment)
    if submission.kind == TaskKind.RANKING:
        carry_notes(submission=submission, since=before.revision)
    refresh_signals(submission, task)
    said = later("%(who)s changed your %(kind)s and accepted it.", who=reviewer, kind=kind_of(submission))
    tell_author(submission, "fixed", said, review)
    return review


@transaction.atomic
def reject_submission(
    *,
    submission: Submission,
    revision: int,
    reviewer,
    reasons: Sequence[str] = (),
    note: str = "",
    reopen: bool = True,
    active_seconds: int = 0,
) -> Review:
    """It does not count. reopen: the task gets a new slot for somebody else. Needs a reason or a note."""
    submission, task = lock_for_decision(submission, revision, reviewer, ReviewDecision.REJECTED)
    review = _decide(submission, ReviewDecision.REJECTED, reviewer, reasons, note, active_seconds)
    _record(review, submission)
    if task is not None:
        Assignment.objects.filter(submission=submission).update(
            status=AssignmentStatus.VOID, lease_expires_at=None
        )
        ended = task.status == TaskStatus.CLOSED or task.batch.status == BatchStatus.CLOSED
        if reopen and not ended:
            if task.purpose == TaskPurpose.WORK:
                add_slot(task)
            unfinish_task(task)
        elif not finish_task(task) and not Assignment.objects.filter(task=task).live().exists():
            Task.objects.filter(pk=task.pk).update(status=TaskStatus.CLOSED, done_at=None)
    refresh_signals(submission, task)
    tell_author(
        submission,
        "rejected",
        later("%(who)s rejected your %(kind)s.", who=reviewer, kind=kind_of(submission)),
        review,
    )
    return review


@transaction.atomic
def reopen_submission(*, submission: Submission, reviewer, note: str = "") -> Submission:
    """Put an accepted submission up for review again, or take a returned one back from its author, who is
    told; what they had begun to mend is kept. The earlier decision stays on record.

    Raises Conflict for any other, or while an appeal waits; Forbidden for one's own returned work.
    """
    submission, task = locked(submission)
    refuse_while_appealed(submission)
    was_returned = submission.status == SubmissionStatus.RETURNED
    if was_returned and submission.annotator_id == reviewer.pk:
        raise Forbidden("Nobody reviews their own work.", code="own_work", hint="Another lead decides on it.")
    if not was_returned and submission.status != SubmissionStatus.ACCEPTED:
        raise Conflict(
            _("Only accepted or returned work can be reopened; this is %(state)s.")
            % {"state": in_a_sentence(submission.get_status_display())},
            code="not_accepted",
        )
    note = clean_line(note, "note", LONGEST_NOTE)
    if was_returned and task is not None:  # only what has a task is ever returned
        end_return(submission, task, also_in_hand=True)
    submission.reviews.filter(reopened_at=None).update(reopened_at=timezone.now())
    submission.status, submission.review_reason = SubmissionStatus.AWAITING_REVIEW, ReviewReason.REOPENED
    submission.decided_at, submission.verdict = None, ""
    submission.save(update_fields=["status", "review_reason", "decided_at", "verdict"])
    settle_prompts(submission)
    record_event(
        action="submission.reopened",
        actor=reviewer,
        obj=submission,
        project=submission.project,
        note=note,
        status=str(submission.status),
    )
    if was_returned:
        tell_undone(submission, reviewer)
    return submission


RESULT = {
    ReviewDecision.ACCEPTED: SubmissionStatus.ACCEPTED,
    ReviewDecision.FIXED: SubmissionStatus.ACCEPTED,
    ReviewDecision.RETURNED: SubmissionStatus.RETURNED,
    ReviewDecision.REJECTED: SubmissionStatus.REJECTED,
}


def _decide(
    submission: Submission,
    decision: ReviewDecision,
    reviewer,
    reasons: Sequence[str],
    note: str,
    active_seconds: int,
) -> Review:
    """Store the decision and its effect on the submission, whose row the caller has locked. Its audit row is
    written by _record, after the revision that a fix brings along."""
    note, reasons = check_reasons(submission.project, decision, reasons, note)
    if submission.status == SubmissionStatus.RETURNED and submission.task is not None:
        end_return(submission, submission.task)
    review = Review.objects.create(
        submission=submission,
        revision=submission.revision_count,
        decision=decision,
        queue_reason=_queue_reason(submission),
        status_before=submission.status,
        reasons=reasons,
        note=note,
        reviewer=reviewer,
        active_seconds=sane_seconds(active_seconds),
    )
    review_ledger.book_review(review=review, submission=submission)
    submission.status, submission.decided_at = RESULT[decision], timezone.now()
    submission.verdict, submission.conflict_open = decision, False
    submission.save(update_fields=["status", "decided_at", "verdict", "conflict_open"])
    settle_prompts(submission)
    return review


def _record(review: Review, submission: Submission, fix: Demonstration | Ranking | None = None) -> None:
    said = {"review": digests.of_review(review)}
    if fix is not None:
        said["judgment"] = digests.of_judgment(fix, submission)
    record_event(
        action="submission.reviewed",
        actor=review.reviewer,
        obj=submission,
        project=submission.project,
        decision=str(review.decision),
        revision=review.revision,
        reasons=review.reasons,
        status=str(submission.status),
        digests=said,
    )


def check_reasons(
    project: Project, decision: str, reasons: Sequence[str], note: str
) -> tuple[str, list[str]]:
    """(note, reasons in the project's order). Raises Invalid; bad news needs one or the other."""
    note = clean_line(note, "note", LONGEST_NOTE)
    known = [reason["key"] for reason in project.settings.return_reasons]
    if not isinstance(reasons, list | tuple) or any(reason not in known for reason in reasons):
        raise Invalid(_("Reasons are among %(known)s.") % {"known": ", ".join(known)}, field="reasons")
    needs_reason = decision in (ReviewDecision.RETURNED, ReviewDecision.REJECTED)
    if needs_reason and not reasons and not note:
        raise Invalid("Choose a reason or write a note: its author wants to know why.", field="reasons")
    return note, sorted(set(reasons), key=known.index)


def _queue_reason(submission: Submission) -> str:
    """Why it was looked at: what counted already was brought up by the model's opinion, or by nothing."""
    if submission.status == SubmissionStatus.AWAITING_REVIEW:
        return submission.review_reason
    if submission.status == SubmissionStatus.RETURNED:
        return ReviewReason.NOT_MENDED
    return ReviewReason.MODEL_DISAGREES if submission.conflict_open else ""


def _fixed_answer(
    submission: Submission,
    before: Demonstration,
    text: Any,
    written: dict[str, Any],
    answers: Any,
    form: FormDefinition,
) -> Content:
    if text is None:
        raise Invalid("Send the mended answer.", field="text")
    content = check_fix(text=text, submission=submission, form=form, answers=answers, **written)
    same_prompt = not written or content.prompt == text_of(submission.prompt)
    if text == before.text and content.answers == before.answers and same_prompt:
        raise _unchanged()
    return content


def _fixed_content(
    before: Ranking, text: Any, tiers: Any, ranking: dict[str, Any], form: FormDefinition
) -> Content:
    if tiers is None or text is not None:
        raise Invalid("Send the mended ranking.", field="tiers")
    content, unchanged = _fixed_ranking(before, tiers, ranking, form)
    if unchanged:
        raise _unchanged()
    return content


def _unchanged() -> Invalid:
    return Invalid("Nothing was changed.", code="unchanged", hint="Accept it as it is instead.")


def _fixed_ranking(
    before: Ranking, tiers: Any, ranking: dict[str, Any], form: FormDefinition
) -> tuple[RankingContent, bool]:
    known = [pk for tier in before.tiers for pk in tier] + before.unrankable
    if unknown := set(ranking) - {*FIXABLE, "touched", "answers"}:
        raise Invalid("There is no such field.", field=sorted(unknown)[0])
    values = {name: getattr(before, name) for name in FIXABLE} | ranking
    # Reasons that came with the completions which could not be ranked, for those that still cannot.
    values["unrankable_reasons"] = {
        pk: why
        for pk, why in (values["unrankable_reasons"] or {}).items()
        if "unrankable_reasons" in ranking or int(pk) in values["unrankable"]
    }
    values["touched"] = known  # the reviewer answers for the whole order
    content = check_ranking(completion_ids=known, form=form, tiers=tiers, **values)
    compared = ("tiers", *FIXABLE, "answers")
    after = asdict(content)
    # Within a tier the order says nothing.
    same_order = [sorted(tier) for tier in after["tiers"]] == [sorted(tier) for tier in before.tiers]
    unchanged = same_order and all(after[name] == getattr(before, name) for name in compared[1:])
    return content, unchanged


def kind_of(submission: Submission) -> str:
    """What it is, as a word amid a sentence that is read later."""
    return in_a_sentence(TaskKind(submission.kind).label)


def tell_undone(submission: Submission, reviewer) -> None:
    """A decision that its author knows of holds no longer."""
    said = later("%(who)s took back a decision on your %(kind)s.", who=reviewer, kind=kind_of(submission))
    tell_author(submission, "undone", said)


def tell_author(
    submission: Submission, kind: str, text: str, review: Review | None = None, path: str | None = None
) -> None:
    """A line for the author with reasons and note of the review; imports have nobody to tell."""
    if submission.annotator is None:
        return
    why: list[str] = []
    if review is not None:
        labels = {reason["key"]: reason["label"] for reason in submission.project.settings.return_reasons}
        why = [*(labels[key] for key in review.reasons), *([review.note] if review.note else [])]
    notify(
        user=submission.annotator,
        project=submission.project,
        kind=f"submission.{kind}",
        text=later("%(said)s %(why)s", said=text, why="; ".join(why)) if why else text,
        path=path or reverse("labeling:submission_detail", args=[submission.project.slug, submission.pk]),
    )
