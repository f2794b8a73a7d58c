"""Hand-out: claiming a slot, keeping it while one works, giving it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from annotate.durability import undone_by_a_power_cut
from annotate.errors import Conflict, Invalid, NotFound
from annotate.words import _, in_a_sentence
from labeling import queues
from labeling.models import (
    Activity,
    Assignment,
    AssignmentStatus,
    AuditEvent,
    Batch,
    BatchStatus,
    Draft,
    Membership,
    Project,
    Skip,
    SkipReason,
    Task,
    TaskKind,
    TaskPurpose,
    TaskStatus,
)
from labeling.qualification_reports import split_kinds, standings
from labeling.waiting import anything_waits

from . import ledger
from .activity import record_event
from .caps import require_room
from .judgments import clean_line
from .lease_statements import CLAIMED, store_lease
from .screening import begin_attempt, screening_task_skipped
from .skips import route_skip
from .slots import deadline, lock_member, lock_task, lost_lease, may_take_again, shown_order
from .turns import special, take_turn
from .work_again import note_out_of_work


class GuidelineUnread(Conflict):
    """Work of a task kind waits behind a guideline version that this person has not acknowledged."""

    def __init__(self, gate: queues.KindGate) -> None:
        super().__init__(
            _("Please read version %(number)s of the %(label)s guideline first.")
            % {"number": gate.number, "label": in_a_sentence(TaskKind(gate.kind).label)},
            code="guideline_not_acknowledged",
            field="guideline_version",
            hint="Acknowledge it on the guideline's page, then ask again.",
            details=[{"field": "guideline_version", "message": str(gate.version_id)}],
        )
        self.kind = gate.kind


CLAIM_ATTEMPTS = 20
RELEASED_AT_ONCE = 500
LONGEST_NOTE = 500


def claim_next(*, user, project: Project, kind: str | None = None) -> Assignment | None:
    """Lease the next slot to this person, or None where nothing waits for them.

    What they have in hand already is given again, with a fresh deadline. Raises Forbidden (paused or no
    member), Conflict `guideline_not_acknowledged` when all that waits is under a guideline they have not
    read, `day_is_full` when they have done their tasks or hours of the day.
    """
    if kind is not None and kind not in TaskKind.values:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(TaskKind.values)}, field="kind")
    for _attempt in range(CLAIM_ATTEMPTS):
        with undone_by_a_power_cut():  # they would ask again
            membership = lock_member(project=project, user=user)
            gates = queues.gates(user=user, project=project)
            kinds = [kind] if kind else TaskKind.values
            allowed = [name for name in kinds if gates[name].is_open]
            pick = _choose(user, project, membership, allowed)
            if pick is None and len(allowed) < len(kinds):
                unread = [gates[name] for name in kinds if not gates[name].is_open]
                _refuse_unread(user, project, membership, unread)
            if pick is not None and pick.why != queues.HELD:
                claimed = _lease(pick, user, project, gates[pick.assignment.kind].version_id)
                if claimed is not None:
                    return claimed
        # Nothing, or somebody was faster: slots whose lease has run out may still be there. The sweeper frees
        # them within seconds; hand-out does not depend on it.
        if pick is not None and pick.why == queues.HELD:
            _await(pick.assignment)
        elif pick is None and release_expired(project=project) == 0:
            if kind is None:
                note_out_of_work(user=user, project=project)
            return None
    raise Conflict(
        "Many people are asking for work at this moment.", code="busy", hint="Ask again in a second."
    )


def lease_assignment(*, assignment: Assignment, user) -> Assignment:
    """Take up one's own slot by name: renews work in hand, leases returned work. Raises Conflict or Gone."""
    project = assignment.project
    with transaction.atomic():
        lock_member(project=project, user=user)
        gate = queues.gates(user=user, project=project)[assignment.kind]
        current = Assignment.objects.select_related("task", "batch").get(pk=assignment.pk)
        if current.annotator_id != user.pk or current.status not in (
            AssignmentStatus.LEASED,
            AssignmentStatus.RETURNED,
        ):
            raise lost_lease(current, user)
        if current.status == AssignmentStatus.RETURNED and not gate.is_open:
            raise GuidelineUnread(gate)
        why = "in_hand" if current.status == AssignmentStatus.LEASED else "returned"
        leased = _lease(queues.Pick(current, why), user, project, gate.version_id)
    if leased is None:
        raise Conflict("Somebody changed this task just now.", code="lease_lost", hint="Open it again.")
    return leased


def renew_lease(*, assignment: Assignment, user, fence: int) -> Assignment:
    """Put off the deadline of work in hand. A slot whose lease ran out and that nobody has had since is taken
    again.

    Raises Conflict `lease_lost` once it is somebody else's, Gone once it is submitted or closed.
    """
    project = assignment.project
    with transaction.atomic():
        lock_member(project=project, user=user)
        rows = Assignment.objects.filter(pk=assignment.pk, fence=fence)
        renewed = rows.filter(status=AssignmentStatus.LEASED, annotator=user).update(
            lease_expires_at=deadline(project)
        )
        if not renewed and may_take_again(assignment=assignment, user=user):
            free = rows.filter(Q(reserved_for=None) | Q(reserved_for=user), status=AssignmentStatus.OPEN)
            renewed = free.update(
                status=AssignmentStatus.LEASED,
                annotator=user,
                leased_at=Now(),
                lease_expires_at=deadline(project),
            )
        assignment.refresh_from_db()
        if not renewed:
            raise lost_lease(assignment, user)
    return assignment


@transaction.atomic
def skip_assignment(
    *, assignment: Assignment, user, reason: str, note: str = "", active_seconds: int = 0
) -> Skip:
    """Pass on a task for good: it goes to somebody else and is not handed to this person again.

    active_seconds: the whole time on the task as the page knew it; it counts as work.
    """
    offered = [value for value, _ in SkipReason.offered()]
    if reason not in offered:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(offered)}, field="reason")
    note = clean_line(note, "note", LONGEST_NOTE)
    if reason == SkipReason.OTHER and not note:
        raise Invalid("Say in a few words why.", field="note")
    membership = lock_member(project=assignment.project, user=user)
    task = lock_task(assignment.task_id)
    _give_back(assignment, user)
    skip, created = Skip.objects.get_or_create(
        task_id=assignment.task_id, user=user, defaults={"reason": reason, "note": note}
    )
    if created:
        record_event(
            action="assignment.skipped",
            actor=user,
            obj=assignment,
            project=assignment.project,
            task=assignment.task_id,
            reason=reason,
        )
        ledger.book_unfinished(
            assignment=assignment,
            user=user,
            activity=Activity.SKIP,
            source=f"skip:{skip.pk}",
            claimed=active_seconds,
        )
        route_skip(skip=skip)
        if task.purpose == TaskPurpose.SCREENING:
            screening_task_skipped(task=task, membership=membership)
    return skip


@transaction.atomic
def release_assignment(*, assignment: Assignment, user, active_seconds: int = 0) -> None:
    """Give work in hand back without a word; it may be handed to the same person again, with their draft."""
    lock_member(project=assignment.project, user=user)
    _give_back(assignment, user)
    event = record_event(
        action="assignment.released",
        actor=user,
        obj=assignment,
        project=assignment.project,
        task=assignment.task_id,
    )
    ledger.book_unfinished(
        assignment=assignment,
        user=user,
        activity=Activity.RELEASE,
        source=f"release:{event.pk}",
        claimed=active_seconds,
    )


def release_expired(*, project: Project | None = None) -> int:
    """Free the slots whose deadline has passed by the database's clock; drafts stay. Returns how many.

    Slots of people who may no longer sign in are freed as well. Safe to run anywhere, at any time, twice at
    once.
    """
    leased = Assignment.objects.filter(status=AssignmentStatus.LEASED)
    if project is not None:
        leased = leased.filter(project=project)
    # Two questions, each with an index of its own: one with "or" would read all slots.
    expired = leased.filter(lease_expires_at__lt=Now()).order_by("lease_expires_at")
    disabled = leased.filter(annotator__is_active=False).order_by("lease_expires_at")
    return sum(_release(rows) for rows in (expired, disabled))


def free_work_of(*, user, project: Project) -> list[int]:
    """Free what somebody who is paused or removed has in hand here, and book what they worked until their
    last save. In the caller's transaction, which has locked their membership. Slots that a lead kept for them
    are everybody's again: the tasks of these.
    """
    rows = Assignment.objects.filter(project=project)
    held = rows.filter(annotator=user, status=AssignmentStatus.LEASED)
    kept = rows.filter(reserved_for=user, status=AssignmentStatus.OPEN, purpose=TaskPurpose.WORK)
    ids = [*held.values_list("pk", flat=True), *kept.values_list("pk", flat=True)]
    # Whoever has one of them locked at this moment is waited for, not passed over: nothing may stay behind.
    found = list(rows.filter(pk__in=ids).select_for_update(no_key=True, of=("self",)).order_by("pk"))
    theirs = [each for each in found if each.reserved_for_id == user.pk and each.annotator_id is None]
    leased = [each for each in found if each.annotator_id == user.pk]
    rows.filter(pk__in=[each.pk for each in theirs]).update(reserved_for=None)
    if leased:
        _free(leased)
        _book_expired(leased)
    return sorted(each.task_id for each in theirs)


def _release(rows: QuerySet[Assignment]) -> int:
    """Free these slots, some at a time, each lot in a commit of its own with its audit rows."""
    total = 0
    while True:
        with transaction.atomic():
            found = list(queues.locked(rows)[:RELEASED_AT_ONCE])
            if found:
                _free(found)
                AuditEvent.objects.bulk_create(
                    AuditEvent(
                        project_id=each.project_id,
                        action="assignment.expired",
                        object_type="assignment",
                        object_id=str(each.pk),
                        data={"task": each.task_id, "annotator": each.annotator_id, "fence": each.fence},
                    )
                    for each in found
                )
                _book_expired(found)
        total += len(found)
        if len(found) < RELEASED_AT_ONCE:
            return total


def _book_expired(found: list[Assignment]) -> None:
    """What people had worked before they went away, as far as their last save tells."""
    unbooked = set(
        Draft.objects.filter(
            task_id__in=[each.task_id for each in found], active_seconds__gt=F("booked_seconds")
        ).values_list("task_id", "user_id")
    )
    worked = [each for each in found if (each.task_id, each.annotator_id) in unbooked]
    # In one order everywhere: two sweeps at once must not lock the same people crosswise.
    for each in sorted(worked, key=lambda slot: (slot.annotator_id or 0, slot.pk)):
        if each.annotator is not None and each.lease_expires_at is not None:
            ledger.book_unfinished(
                assignment=each,
                user=each.annotator,
                activity=Activity.EXPIRY,
                source=f"expiry:{each.pk}:{each.fence}:{each.lease_expires_at.timestamp()}",
                until_last_save=True,
            )


# --- Inside -------------------------------------------------------------------------------------------------
def _choose(
    user, project: Project, membership: Membership | None, kinds: Sequence[str]
) -> queues.Pick | None:
    """1. their own work 2. bounds of the day 3. screening 4. special turns 5. the queue 6. what calibration
    is left 7. what others hold at this moment.
    """
    if not kinds:
        return None
    own = queues.own_work(user=user, project=project, kinds=kinds)
    if own is not None:
        return own
    require_room(project=project, membership=membership, user=user)
    where = standings(project=project, membership=membership)
    qualified, screenings = split_kinds(where=where, kinds=kinds)
    who = {"user": user, "project": project}
    for each in screenings:
        batch_id = each.screening.batch_id
        pick = special(**who, kinds=[each.kind], purpose=TaskPurpose.SCREENING, batch_id=batch_id)
        if pick is not None:
            if each.qualification is not None and each.may_begin:
                begin_attempt(each.qualification)
            return pick
    if not qualified:
        return None
    return (
        take_turn(**who, kinds=qualified)
        or queues.first_open(**who, kinds=qualified, lock=True)
        or special(**who, kinds=qualified, purpose=TaskPurpose.CALIBRATION)
        or queues.first_held(**who, kinds=qualified)
    )


def _await(held: Assignment) -> None:
    """Until others let go of a slot. In a transaction that holds nothing else: nobody waits in a circle."""
    with transaction.atomic():
        Assignment.objects.select_for_update(no_key=True).filter(pk=held.pk).first()


def _lease(pick: queues.Pick, user, project: Project, version_id: int | None) -> Assignment | None:
    """One conditional UPDATE; None where somebody was faster."""
    assignment = pick.assignment
    if assignment.status == AssignmentStatus.LEASED:
        rows = Assignment.objects.filter(pk=assignment.pk, status=assignment.status, fence=assignment.fence)
        if rows.filter(annotator=user).update(lease_expires_at=deadline(project)) != 1:
            return None
        assignment.refresh_from_db(fields=["lease_expires_at"])
        return assignment
    presentation: dict[str, Any] = {"why": pick.why, "priority": assignment.priority}
    if assignment.kind == TaskKind.RANKING:
        presentation["order"], presentation["seed"] = shown_order(task=assignment.task, user=user)
    if store_lease(assignment, user, project, presentation, version_id) != 1:
        return None
    if assignment.handout_rank and assignment.purpose == TaskPurpose.WORK and assignment.task.overlap > 1:
        _bring_siblings_forward(assignment)
    claimed = CLAIMED.first(pk=assignment.pk)
    ledger.open_draft(task_id=assignment.task_id, user=user, form_version=claimed.form_version)
    record_event(
        action="assignment.claimed",
        actor=user,
        obj=assignment,
        project=project,
        task=assignment.task_id,
        why=pick.why,
    )
    return claimed


def _bring_siblings_forward(assignment: Assignment) -> None:
    """The task's other open slots go first from now on. Those being claimed now are left alone."""
    siblings = Assignment.objects.filter(task_id=assignment.task_id, status=AssignmentStatus.OPEN)
    held = queues.locked(siblings.exclude(pk=assignment.pk)).values("pk")
    Assignment.objects.filter(pk__in=held).update(handout_rank=0)


def _give_back(assignment: Assignment, user) -> None:
    """Free a slot this person has in hand, or raise what became of it."""
    current = Assignment.objects.select_for_update(no_key=True).filter(pk=assignment.pk).first()
    if current is None:
        raise NotFound("There is no such assignment.")
    if current.status == AssignmentStatus.RETURNED and current.annotator_id == user.pk:
        return  # returned work that is not in hand: nothing to free
    if current.status != AssignmentStatus.LEASED or current.annotator_id != user.pk:
        raise lost_lease(current, user)
    _free([current])
    assignment.refresh_from_db()


def _free(held: list[Assignment]) -> None:
    """Leased slots (locked by the caller) go back: to their author's returned work, to everybody, or
    nowhere.
    """
    ids = [each.pk for each in held]
    rows = Assignment.objects.filter(pk__in=ids, status=AssignmentStatus.LEASED)
    with_submission = set(rows.filter(submission__isnull=False).values_list("pk", flat=True))
    closed = set(
        Batch.objects.filter(pk__in={each.batch_id for each in held}, status=BatchStatus.CLOSED).values_list(
            "pk", flat=True
        )
    )
    returned = [each.pk for each in held if each.pk in with_submission]
    is_over = {each.pk for each in held if each.batch_id in closed and each.purpose != TaskPurpose.GOLD}
    ended = [each for each in held if each.pk in is_over - with_submission]
    free = [each.pk for each in held if each.pk not in is_over | with_submission]
    nobody = {"annotator": None, "lease_expires_at": None}
    if returned:
        rows.filter(pk__in=returned).update(status=AssignmentStatus.RETURNED, lease_expires_at=None)
    if ended:
        rows.filter(pk__in=[each.pk for each in ended]).update(status=AssignmentStatus.VOID, **nobody)
        unfinished = Task.objects.filter(pk__in={each.task_id for each in ended}, status=TaskStatus.OPEN)
        in_hand = [AssignmentStatus.LEASED, AssignmentStatus.RETURNED]
        unfinished.exclude(assignments__status__in=in_hand).update(status=TaskStatus.CLOSED)
    if free:
        rows.filter(pk__in=free).update(status=AssignmentStatus.OPEN, **nobody)


def _refuse_unread(
    user, project: Project, membership: Membership | None, gates: list[queues.KindGate]
) -> None:
    """Raise if work waits behind a guideline version that this person has not acknowledged."""
    for gate in gates:
        if anything_waits(user=user, project=project, membership=membership, kinds=[gate.kind]):
            raise GuidelineUnread(gate)
