"""Read side of the hand-out: what is there for a person, from the same querysets that a claim takes it from.

`services.assignments` leases it, the page of work counts it: in one place it says what keeps work from
somebody (screening, the bounds of their day, an unread guideline), so that the page cannot promise what a
claim does not give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import queues
from .models import Membership, Project, TaskKind, TaskPurpose
from .qualification_reports import Standing, split_kinds, standings
from .services.caps import reason_to_stop

COUNTED_AT_MOST = 1_000  # "how much waits" is a hint for people; beyond this they read "1,000 or more"


@dataclass(frozen=True)
class Waiting:
    """How much of one kind waits for a person. `open` counts tasks, of the queue up to COUNTED_AT_MOST."""

    kind: str
    label: str
    in_hand: int
    returned: int
    open: int
    gate: queues.KindGate

    @property
    def total(self) -> int:
        return self.in_hand + self.returned + self.open

    @property
    def is_capped(self) -> bool:
        return self.open >= COUNTED_AT_MOST


@dataclass(frozen=True)
class Desk:
    """What waits for one person, an entry per kind; where they stand with screenings; and why nothing more is
    handed to them today, or "".
    """

    waiting: list[Waiting]
    standings: list[Standing]
    full_day: str

    @property
    def total(self) -> int:
        return sum(each.total for each in self.waiting)

    @property
    def is_held_back(self) -> bool:
        """Whether a screening that they cannot go on with keeps some kind of work from them."""
        return any(each.is_held_back for each in self.standings)


def desk_of(*, project: Project, user, membership: Membership | None) -> Desk:
    """Five queries; one more where there is a bound of the day, words left behind, or languages to match,
    three where there is a screening.
    """
    gate_of = queues.gates(user=user, project=project)
    rows = queues.own_rows(user=user, project=project, kinds=TaskKind.values)
    own, begun = _own_tasks(user, project, rows)
    where = standings(project=project, membership=membership)
    full_day = reason_to_stop(project=project, membership=membership, user=user)
    fresh = {} if full_day else _fresh(user, project, where, list(own), begun)
    waiting = [
        Waiting(
            kind=kind,
            label=label,
            in_hand=sum(1 for each in own.values() if each == (queues.LEASED, kind)),
            returned=sum(1 for each in own.values() if each == (queues.RETURNED, kind)),
            open=sum(1 for step, of in own.values() if step >= queues.GIVEN and of == kind)
            + fresh.get(kind, 0),
            gate=gate_of[kind],
        )
        for kind, label in TaskKind.choices
    ]
    return Desk(waiting, where, full_day)


def anything_waits(*, user, project: Project, membership: Membership | None, kinds: Sequence[str]) -> bool:
    """Whether a claim of these kinds would give something, guidelines left aside. Writes nothing."""
    if queues.own_work(user=user, project=project, kinds=kinds) is not None:
        return True
    if reason_to_stop(project=project, membership=membership, user=user):
        return False
    qualified, screenings = split_kinds(where=standings(project=project, membership=membership), kinds=kinds)
    if screenings:
        return True
    if not qualified:
        return False
    return (
        queues.first_open(user=user, project=project, kinds=qualified) is not None
        or _calibration(user, project).filter(kind__in=qualified).exists()
    )


# --- Inside -------------------------------------------------------------------------------------------------
def _own_tasks(
    user, project: Project, rows: Sequence[queues.OwnRow]
) -> tuple[dict[int, tuple[int, str]], list[int]]:
    """{task: (step, kind)} of what is theirs already, each task once and at its lowest step; and the batch of
    each that they had begun and that is free again.
    """
    batches = []
    found = {task: (step, kind) for step, _, task, kind in sorted(rows, reverse=True) if step < queues.BEGUN}
    if any(step == queues.BEGUN for step, *_ in rows):
        begun = queues.begun_slots(user=user, project=project, rows=rows)
        for task, kind, batch in begun.values_list("task_id", "kind", "batch_id").distinct():
            if found.setdefault(task, (queues.BEGUN, kind))[0] == queues.BEGUN:
                batches.append(batch)
    return found, batches


def _fresh(user, project: Project, where: list[Standing], own: list[int], begun: list[int]) -> dict[str, int]:
    """{kind: tasks} that they have not begun: of the screening where they are in one, else of the queue and
    of calibration.
    """
    qualified, screenings = split_kinds(where=where, kinds=TaskKind.values)
    # A task of the set that they gave back with their words is one of those they still get.
    count = {each.kind: max(0, each.to_do - begun.count(each.screening.batch_id)) for each in screenings}
    if not qualified:
        return count
    free = queues.available(user=user, project=project).exclude(task_id__in=own)
    free = free.filter(language__in=queues.languages_of(user=user, project=project))
    special = _calibration(user, project).exclude(pk__in=own).values_list("kind", flat=True)
    calibration = list(special)
    for kind in qualified:
        # One slot per task can be theirs: count tasks, not slots.
        tasks = free.filter(kind=kind).order_by().values("task_id").distinct()[:COUNTED_AT_MOST]
        count[kind] = tasks.count() + calibration.count(kind)
    return count


def _calibration(user, project: Project):
    return queues.special_tasks(user=user, project=project, purpose=TaskPurpose.CALIBRATION)
