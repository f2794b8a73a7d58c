"""Who works on a run: claimed, renewed, handed back, lost. Every write of a worker is fenced by its attempt.

The lease is compared with the database's clock, so that workers whose own clocks differ agree on who lost
what.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from annotate.postgres import answers_within
from training.models import RunStatus, TrainingRun

from .event_log import append_event, append_trainer_events
from .machines import CUDA, takes_gpu_runs

SLOWEST_REPEAT = 300  # seconds between two rings for a run that nobody takes
LEAST_PATIENCE = 5.0  # seconds


class LeaseLost(Exception):
    """Somebody else has the run, or nobody has: this worker must end its child and write nothing more."""


def patience() -> float:
    """Seconds for which a worker waits for the database's answer: there is time for a second try before its
    lease is over. A busy machine may answer late, too, so it is never less than LEAST_PATIENCE.
    """
    return max(settings.TRAINING_LEASE_SECONDS / 2, LEAST_PATIENCE)


def lease_end():
    return Now() + timedelta(seconds=settings.TRAINING_LEASE_SECONDS)


def held(run_id, attempt: int) -> QuerySet[TrainingRun]:
    """The run while this very attempt holds it: every write of a worker goes through here.

    A lease that has run out but was not taken away still counts: nobody else has begun, so nothing can be
    mixed up.
    """
    return TrainingRun.objects.filter(pk=run_id, attempt=attempt, status=RunStatus.RUNNING)


@answers_within(patience)
@transaction.atomic
def claim_run(*, run_id, worker: str) -> TrainingRun | None:
    """Make a queued run ours; None where it is not queued (any more), or asks for a GPU that another machine
    has and this one has not. One conditional UPDATE decides.
    """
    claimed = (
        _takeable()
        .filter(pk=run_id)
        .update(
            status=RunStatus.RUNNING,
            attempt=F("attempt") + 1,
            worker=worker[:120],
            lease_expires_at=lease_end(),
            heartbeat_at=Now(),
            started_at=Coalesce("started_at", Now()),
            finished_at=None,
            seconds_left=None,
            error_code="",
            error_message="",
        )
    )
    if claimed != 1:
        return None
    run = TrainingRun.objects.select_related("project").get(pk=run_id)
    append_event(
        run.pk,
        type="state",
        attempt=run.attempt,
        step=run.step,
        data={"state": "running", "attempt": run.attempt, "worker": run.worker},
    )
    return run


@answers_within(patience)
def claim_oldest(*, worker: str) -> TrainingRun | None:
    """The queued run that has waited longest, made ours."""
    for run_id in _takeable().order_by("created_at").values_list("pk", flat=True)[:10]:
        run = claim_run(run_id=run_id, worker=worker)
        if run is not None:
            return run
    return None


def _takeable() -> QuerySet[TrainingRun]:
    """Queued runs that are for this machine."""
    rows = TrainingRun.objects.queued()
    return rows if takes_gpu_runs() else rows.exclude(hyperparameters__device=CUDA)


@answers_within(patience)
def renew_lease(run_id, attempt: int) -> bool:
    """Say that we are alive; True if somebody has asked to cancel. Raises LeaseLost."""
    if held(run_id, attempt).update(lease_expires_at=lease_end(), heartbeat_at=Now()) != 1:
        raise LeaseLost(f"attempt {attempt} of run {run_id} does not hold it any more")
    return is_cancel_requested(run_id, attempt)


@answers_within(patience)
def is_cancel_requested(run_id, attempt: int) -> bool:
    """Reads only. Raises LeaseLost."""
    row = held(run_id, attempt).values_list("cancel_requested_at", flat=True).first()
    if row is None and not held(run_id, attempt).exists():
        raise LeaseLost(f"attempt {attempt} of run {run_id} does not hold it any more")
    return row is not None


@answers_within(patience)
@transaction.atomic
def store_progress(
    run_id,
    attempt: int,
    *,
    events: Sequence[dict[str, Any]],
    old_offset: int,
    new_offset: int,
    values: dict[str, Any],
) -> int:
    """Lines of events.jsonl as rows, the run's progress and the lease, in one commit; up to where the lines
    are stored now. Raises LeaseLost.

    The offset is part of the condition: lines are stored once, whoever reads the file. An attempt that holds
    its run and is not where it thinks it is was not told of a commit: nothing is stored, and it goes on from
    the answer.
    """
    mine = held(run_id, attempt)
    now = {"lease_expires_at": lease_end(), "heartbeat_at": Now()}
    stored = mine.filter(events_offset=old_offset).update(
        event_count=F("event_count") + len(events), events_offset=new_offset, **now, **values
    )
    if stored != 1:
        if mine.update(**now) != 1:
            raise LeaseLost(f"attempt {attempt} of run {run_id} does not hold it any more")
        return mine.values_list("events_offset", flat=True).get()
    last = TrainingRun.objects.values_list("event_count", flat=True).get(pk=run_id)
    append_trainer_events(run_id, events, attempt=attempt, last_sequence=last)
    return new_offset


@answers_within(patience)
@transaction.atomic
def report(run_id, attempt: int, message: str, **facts: Any) -> None:
    """A log line of the supervisor, with `facts` for those who read it by program. Raises LeaseLost."""
    if held(run_id, attempt).update(heartbeat_at=Now()) != 1:
        raise LeaseLost(f"attempt {attempt} of run {run_id} does not hold it any more")
    append_event(run_id, type="log", attempt=attempt, data={"message": message, **facts})


def due_for_ringing() -> QuerySet[TrainingRun]:
    """Queued runs for which nobody was rung yet, or so long ago that the message must be lost."""
    due = Q(rung_at=None)
    pause, count = 4, 1
    while pause < SLOWEST_REPEAT:
        due |= Q(ring_count=count, rung_at__lt=Now() - timedelta(seconds=pause))
        pause, count = pause * 2, count + 1
    due |= Q(ring_count__gte=count, rung_at__lt=Now() - timedelta(seconds=SLOWEST_REPEAT))
    return TrainingRun.objects.queued().filter(due)


def note_ring(run_id) -> None:
    # Small numbers suffice: the pause stops growing long before.
    TrainingRun.objects.queued().filter(pk=run_id, ring_count__lt=1000).update(
        rung_at=Now(), ring_count=F("ring_count") + 1
    )
