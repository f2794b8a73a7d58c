"""Taking back what a decision did: to the slot of its submission, and to a judgment that was fixed."""

from __future__ import annotations

from annotate.errors import Conflict
from labeling import queues
from labeling.models import (
    Assignment,
    AssignmentStatus,
    Demonstration,
    JudgmentOrigin,
    Ranking,
    Review,
    Submission,
    Task,
    TaskKind,
    TaskStatus,
)

from .answer_index import reindex_answer
from .digests import ROW
from .revisions import begin_revision
from .slots import finish_task
from .span_notes import carry_notes

ITS_OWN = ("revision", "origin", "active_seconds")  # of the new revision; it says the rest as before


def restore_revision(submission: Submission, review: Review) -> Demonstration | Ranking:
    """After a fix is taken back, what its author had submitted is current again: as a new revision, since
    rows of judgments never change."""
    kind = TaskKind(submission.kind)
    rows = submission.demonstrations if kind == TaskKind.DEMONSTRATION else submission.rankings
    before = rows.get(revision=review.revision)
    # An answer's notes are on the words that stand again; a ranking's went along with the fix.
    noted = review.revision if kind == TaskKind.DEMONSTRATION else submission.revision_count
    begin_revision(submission)
    submission.save(update_fields=["revision_count"])
    restored = rows.create(
        revision=submission.revision_count,
        origin=JudgmentOrigin.RESTORED,
        **{name: getattr(before, name) for name in ROW[kind] if name not in ITS_OWN},
    )
    if isinstance(before, Demonstration):
        reindex_answer(submission, before.text)
        if before.prompt_id is not None:
            submission.prompt_id = before.prompt_id
            submission.save(update_fields=["prompt_id"])
    carry_notes(submission=submission, since=noted)
    return restored


def reinstate_slot(submission: Submission, task: Task, *, may_add: bool) -> None:
    """The submission's slot counts again. The overlap is never exceeded: a slot that was opened in its place
    and is still nobody's goes (void); where somebody has it already, the task's overlap grows by one
    (`may_add`), or Conflict is raised.
    """
    slot = Assignment.objects.select_for_update(no_key=True).filter(submission=submission).first()
    if slot is None:
        return
    live = Assignment.objects.filter(task=task).live().exclude(pk=slot.pk)
    if live.count() >= task.overlap:
        # A slot that somebody is claiming at this very moment is passed over: it is theirs.
        spare = queues.locked(live.filter(status=AssignmentStatus.OPEN).order_by("-slot")).first()
        if spare is not None:
            Assignment.objects.filter(pk=spare.pk).update(status=AssignmentStatus.VOID)
        if spare is None and not may_add:
            raise Conflict(
                "Somebody else has been given this task meanwhile.",
                code="built_upon",
                hint="Its author can appeal, which brings the work back beside the other's.",
            )
        if spare is None:
            Task.objects.filter(pk=task.pk).update(overlap=task.overlap + 1)
    Assignment.objects.filter(pk=slot.pk).update(status=AssignmentStatus.SUBMITTED, lease_expires_at=None)
    was = Task.objects.filter(pk=task.pk).values_list("status", flat=True).get()
    Task.objects.filter(pk=task.pk, status=TaskStatus.CLOSED).update(status=TaskStatus.OPEN)
    if not finish_task(task):
        Task.objects.filter(pk=task.pk).update(status=was)
