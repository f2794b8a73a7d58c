"""What a lead does to a task while people work: give it to somebody, take it back, reopen it, change how many
judge it and how soon.

Locks go member, task, slots, as everywhere. A claim in another process holds a slot and no task, so each
change of a slot is one conditional UPDATE: a slot that was claimed in the meantime no longer matches.
"""

from __future__ import annotations

from django.db import transaction
from django.urls import reverse
from django.utils.translation import ngettext

from annotate.errors import Conflict, Forbidden, Invalid
from annotate.words import _, later
from labeling import queues
from labeling.models import (
    Assignment,
    AssignmentStatus,
    BatchStatus,
    Draft,
    Membership,
    MembershipStatus,
    Skip,
    SkipReason,
    Submission,
    SubmissionStatus,
    Task,
    TaskCompletion,
    TaskKind,
    TaskPurpose,
    TaskStatus,
)

from . import ledger
from .activity import notify, record_event
from .reviews import reopen_submission
from .slots import MOST_OVERLAP, add_slot, finish_task, in_lock_order, lock_task, unfinish_task
from .task_close import close_locked

LOWEST_PRIORITY, HIGHEST_PRIORITY = -100, 100


@transaction.atomic
def assign_task(*, task: Task, membership: Membership, acting_user) -> Assignment:
    """Keep a free slot for one person, who gets it next. Raises Conflict: `no_free_slot`, `task_closed`,
    `person_away`, `has_it` (they have or had it), `skipped`, `wrote_it`.
    """
    member = Membership.objects.select_for_update(no_key=True, of=("self",)).select_related("user")
    membership = member.get(pk=membership.pk)
    task = lock_task(task.pk)
    _require_handed_out(task)
    _require_suitable(task, membership)
    free = Assignment.objects.filter(task=task, status=AssignmentStatus.OPEN, reserved_for=None)
    slot = queues.locked(free.order_by("slot")).first()
    taken = slot is not None and Assignment.objects.filter(
        pk=slot.pk, status=AssignmentStatus.OPEN, reserved_for=None
    ).update(reserved_for=membership.user)
    if slot is None or not taken:
        raise Conflict(
            "All slots of this task are taken.", code="no_free_slot", hint="Raise its overlap by one first."
        )
    Skip.objects.filter(task=task, user=membership.user, reason=SkipReason.WITHDRAWN).delete()
    record_event(
        action="task.assigned",
        actor=acting_user,
        obj=task,
        project=task.project,
        slot=slot.slot,
        user=membership.user.pseudonym,
    )
    notify(
        user=membership.user,
        project=task.project,
        kind="task.assigned",
        text=later("%(who)s gave you a task. It is next in your work.", who=acting_user),
        path=reverse("labeling:work", args=[task.project.slug]),
    )
    slot.refresh_from_db()
    return slot


@transaction.atomic
def unassign_slot(*, assignment: Assignment, acting_user) -> Assignment:
    """Take a slot back from whoever has it in hand or is to get it. They are not handed it again, unless a
    lead gives it to them; what they wrote is kept. Work that was returned to them waits for review again.
    Raises Conflict `nobody_has_it`, or as reopen_submission does.
    """
    task = lock_task(assignment.task_id)
    slot = Assignment.objects.select_for_update(no_key=True).get(pk=assignment.pk)
    person = slot.annotator or slot.reserved_for
    returned = Submission.objects.filter(assignment=slot, status=SubmissionStatus.RETURNED).first()
    if returned is not None:
        reopen_submission(submission=returned, reviewer=acting_user)
        slot.refresh_from_db()
        return slot
    in_hand = slot.status in (AssignmentStatus.LEASED, AssignmentStatus.OPEN)
    if person is None or not in_hand:
        raise Conflict("Nobody has this slot in hand.", code="nobody_has_it", hint="Look at the page again.")
    ledger.book_withdrawn(slot=slot)
    ended = slot.batch.status == BatchStatus.CLOSED and slot.purpose != TaskPurpose.GOLD
    Assignment.objects.filter(pk=slot.pk).update(
        status=AssignmentStatus.VOID if ended else AssignmentStatus.OPEN,
        annotator=None,
        reserved_for=None,
        lease_expires_at=None,
    )
    Skip.objects.get_or_create(task=task, user=person, defaults={"reason": SkipReason.WITHDRAWN})
    record_event(
        action="task.unassigned",
        actor=acting_user,
        obj=task,
        project=task.project,
        slot=slot.slot,
        user=person.pseudonym,
    )
    began = Draft.objects.filter(task=task, user=person).exclude(body={}).exists()
    notify(
        user=person,
        project=task.project,
        kind="task.unassigned",
        text=later("%(who)s took a task back. What you wrote is kept.", who=acting_user)
        if began
        else later("%(who)s took a task back.", who=acting_user),
        path=reverse("labeling:work", args=[task.project.slug]),
    )
    slot.refresh_from_db()
    return slot


@transaction.atomic
def reopen_task(*, task: Task, acting_user) -> Task:
    """Hand a done or closed task out again: with the slots it lacks, one at least.

    Raises Conflict: it is open already, its batch is closed.
    """
    task = lock_task(task.pk)
    if task.status == TaskStatus.OPEN:
        raise Conflict("This task is open already.", code="task_status")
    if task.batch.status == BatchStatus.CLOSED:
        raise Conflict(
            "Its batch is closed.", code="batch_status", hint="Make a new batch with this prompt instead."
        )
    live = Assignment.objects.filter(task=task).live().count()
    wanted = max(task.overlap, live + 1)
    _fill_up(task, wanted - live)
    old = task.status
    _set_overlap(task, wanted)
    Task.objects.filter(pk=task.pk).update(status=TaskStatus.OPEN, done_at=None)
    task.status = TaskStatus.OPEN
    record_event(
        action="task.reopened",
        actor=acting_user,
        obj=task,
        project=task.project,
        old={"status": old},
        new={"status": "open", "overlap": wanted},
    )
    return task


@transaction.atomic
def close_task(*, task: Task, acting_user) -> Task:
    """Hand it out no more. What is in hand may still be submitted, what was submitted stays."""
    task = lock_task(task.pk)
    if task.status == TaskStatus.CLOSED:
        raise Conflict("This task is closed already.", code="task_status")
    close_locked(task)
    record_event(action="task.closed", actor=acting_user, obj=task, project=task.project)
    return task


@transaction.atomic
def change_overlap(*, task: Task, overlap: int, acting_user) -> Task:
    """How many people judge the task. Raises Invalid (1 to 20), Conflict `slots_taken` below the taken."""
    if not 1 <= overlap <= MOST_OVERLAP:
        raise Invalid(
            _("Overlap: between 1 and %(most)s people per task.") % {"most": MOST_OVERLAP}, field="overlap"
        )
    task = lock_task(task.pk)
    if task.purpose != TaskPurpose.WORK:
        raise Conflict("Everybody gets this task: its slots are made as people come.", code="task_purpose")
    if task.status == TaskStatus.CLOSED or task.batch.status == BatchStatus.CLOSED:
        raise Conflict("This task is closed.", code="task_closed", hint="Reopen it first.")
    old = task.overlap
    live = Assignment.objects.filter(task=task).live().count()
    if overlap > live:
        _fill_up(task, overlap - live)
        unfinish_task(task)
    elif overlap < live:
        _give_up(task, live - overlap)
    _set_overlap(task, overlap)
    finish_task(task)
    if old != overlap:
        record_event(
            action="task.overlap_changed",
            actor=acting_user,
            obj=task,
            project=task.project,
            old={"overlap": old},
            new={"overlap": overlap},
        )
    return task


@transaction.atomic
def change_priority(*, task: Task, priority: int | None, acting_user) -> Task:
    """A priority of its own, or None for its batch's. Counts for its slots that are still to be done."""
    if priority is not None and not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise Invalid(
            _("Between %(least)s and %(most)s.") % {"least": LOWEST_PRIORITY, "most": HIGHEST_PRIORITY},
            field="priority",
        )
    task = lock_task(task.pk)
    old = task.priority
    task.priority = priority
    task.save(update_fields=["priority"])
    effective = task.batch.priority if priority is None else priority
    live = [AssignmentStatus.OPEN, AssignmentStatus.LEASED, AssignmentStatus.RETURNED]
    in_lock_order(Assignment.objects.filter(task=task, status__in=live)).update(priority=effective)
    if old != priority:
        record_event(
            action="task.priority_changed",
            actor=acting_user,
            obj=task,
            project=task.project,
            old={"priority": old},
            new={"priority": priority},
        )
    return task


# --- Inside -------------------------------------------------------------------------------------------------
def _require_handed_out(task: Task) -> None:
    if task.status == TaskStatus.CLOSED or task.batch.status == BatchStatus.CLOSED:
        raise Conflict("This task is closed.", code="task_closed", hint="Reopen it first.")


def _require_suitable(task: Task, membership: Membership) -> None:
    user = membership.user
    if membership.status != MembershipStatus.ACTIVE or not user.is_active:
        raise Conflict(
            _("%(name)s does not work here at present.") % {"name": user.name},
            code="person_away",
            field="member",
        )
    had = Assignment.objects.filter(task=task, annotator=user) | Assignment.objects.filter(
        task=task, reserved_for=user
    )
    if had.exists() or Submission.objects.filter(task=task, annotator=user).exists():
        raise Conflict(
            _("%(name)s has this task, or had it.") % {"name": user.name}, code="has_it", field="member"
        )
    if Skip.objects.filter(task=task, user=user).exclude(reason=SkipReason.WITHDRAWN).exists():
        raise Conflict(
            _("%(name)s has skipped this task.") % {"name": user.name}, code="skipped", field="member"
        )
    wrote = TaskCompletion.objects.filter(task=task, completion__author=user)
    if task.kind == TaskKind.RANKING and wrote.exists():
        raise Forbidden(
            _("%(name)s wrote one of its completions.") % {"name": user.name}, code="wrote_it", field="member"
        )


def _fill_up(task: Task, count: int) -> None:
    """`count` more open slots for a locked task: those that were voided unused first, then new ones."""
    begun = Assignment.objects.filter(task=task).live().exclude(status=AssignmentStatus.OPEN).exists()
    unused = Assignment.objects.filter(task=task, status=AssignmentStatus.VOID, submission=None)
    revived = list(unused.order_by("slot").values_list("pk", flat=True)[:count])
    rank = 0 if begun else 1
    in_lock_order(Assignment.objects.filter(pk__in=revived)).update(
        status=AssignmentStatus.OPEN, annotator=None, reserved_for=None, handout_rank=rank, is_held=False
    )
    for _slot in range(count - len(revived)):
        add_slot(task, handout_rank=rank)


def _give_up(task: Task, count: int) -> None:
    """Void `count` free slots of a locked task, or none: those kept for somebody count as taken."""
    free = Assignment.objects.filter(task=task, status=AssignmentStatus.OPEN, reserved_for=None)
    held = list(queues.locked(free.order_by("-slot"))[:count])
    ids = [each.pk for each in held]
    voided = Assignment.objects.filter(pk__in=ids, status=AssignmentStatus.OPEN, reserved_for=None).update(
        status=AssignmentStatus.VOID
    )
    if voided < count:
        taken = Assignment.objects.filter(task=task).live().count()
        raise Conflict(
            ngettext("%(n)s person has this task already.", "%(n)s people have this task already.", taken)
            % {"n": taken},
            code="slots_taken",
            field="overlap",
            hint="Take slots back from people first, or choose a higher number.",
        )


def _set_overlap(task: Task, overlap: int) -> None:
    task.overlap = overlap
    task.save(update_fields=["overlap"])
