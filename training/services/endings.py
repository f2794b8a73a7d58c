"""How an attempt ends: succeeded, failed, cancelled, handed back, or its worker lost. Each is one commit."""

from __future__ import annotations

from typing import Any

import structlog
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.urls import reverse

from annotate.doorbell import ring_on_commit
from annotate.postgres import answers_within
from annotate.words import later
from labeling.services.activity import notify, record_event, run_followers
from training.models import FollowUpStatus, RunStatus, TrainingRun

from .event_log import append_event
from .leases import LeaseLost, held, patience
from .locations import without_our_folders

log = structlog.get_logger(__name__)
EXECUTE, FOLLOW_UP = "training.tasks.execute_run", "training.tasks.finish_follow_up"


@answers_within(patience)
def succeed(run: TrainingRun, *, metrics: dict[str, Any]) -> None:
    """running → succeeded; its follow-up waits from now on. Raises LeaseLost."""
    waiting = FollowUpStatus.WAITING if run.follow_up else FollowUpStatus.NONE
    with transaction.atomic():
        _end(
            run,
            RunStatus.SUCCEEDED,
            metrics=metrics,
            follow_up_status=waiting,
            failures_in_a_row=0,
            seconds_left=0,
        )
        _tell(run, RunStatus.SUCCEEDED, later("%(run)s has succeeded.", run=run))
        if waiting:
            ring_on_commit(FOLLOW_UP, str(run.pk))


@answers_within(patience)
def fail(run: TrainingRun, *, code: str, message: str) -> None:
    """running → failed, with a sentence a person can act on. Raises LeaseLost."""
    with transaction.atomic():
        message = without_our_folders(message)
        _end(run, RunStatus.FAILED, error_code=code[:60], error_message=message)
        _tell(
            run,
            RunStatus.FAILED,
            later("%(run)s has failed: %(problem)s", run=run, problem=message),
            code=code,
        )


@answers_within(patience)
def finish_cancelled(run: TrainingRun) -> None:
    """running → cancelled. Raises LeaseLost."""
    with transaction.atomic():
        _end(run, RunStatus.CANCELLED)
        _tell(run, RunStatus.CANCELLED, later("%(run)s was cancelled.", run=run))


@answers_within(patience)
def hand_back(run: TrainingRun) -> None:
    """running → queued, because this worker is asked to stop; not counted as a failure. Raises LeaseLost."""
    with transaction.atomic():
        _requeue(
            run, held(run.pk, run.attempt), "The worker stops; the run waits for another one.", failed=False
        )


@answers_within(patience)
def give_up_attempt(run: TrainingRun, *, reason: str) -> None:
    """The training process is gone without a result.

    Queued again, or failed after too many in a row. Raises LeaseLost.
    """
    with transaction.atomic():
        _lose(run, held(run.pk, run.attempt), reason)


def take_up_lost_runs() -> int:
    """Runs whose worker has let its lease run out: cancelled, queued again, or failed. The number of them.

    What somebody is writing to at this moment is left for the next time.
    """
    count = 0
    for run in TrainingRun.objects.lost().select_related("project"):
        rows = TrainingRun.objects.lost().filter(pk=run.pk, attempt=run.attempt)
        try:
            with transaction.atomic():
                if not _is_free(rows):
                    continue
                if run.cancel_requested_at is not None:
                    _end(run, RunStatus.CANCELLED, rows=rows)
                    _tell(
                        run,
                        RunStatus.CANCELLED,
                        later("%(run)s was cancelled; its worker was gone.", run=run),
                    )
                else:
                    _lose(run, rows, "Its worker was lost")
        except LeaseLost:
            continue  # it came back, or another sweep was faster
        count += 1
    return count


def _is_free(rows) -> bool:
    """Whether nobody holds the run's row; it is ours then, until the commit. Its worker may have been stopped
    in the middle of a commit: the other runs do not wait until the server ends that.
    """
    return len(rows.select_for_update(skip_locked=True, no_key=True).values_list("pk")) > 0


def _lose(run: TrainingRun, rows, reason: str) -> None:
    failures = run.failures_in_a_row + 1
    if failures >= run.max_attempts:
        message = (
            f"{reason}, {failures} times in a row without getting further. "
            "Look at the end of the log; lower micro_batch_tokens if memory was short; then retry."
        )
        _end(
            run,
            RunStatus.FAILED,
            rows=rows,
            error_code="worker_lost",
            error_message=message,
            failures_in_a_row=failures,
        )
        _tell(
            run,
            RunStatus.FAILED,
            later("%(run)s has failed: %(problem)s", run=run, problem=message),
            code="worker_lost",
        )
    else:
        _requeue(
            run,
            rows,
            f"{reason}; the run is taken up again (failure {failures} of {run.max_attempts}).",
            failed=True,
        )


def _requeue(run: TrainingRun, rows, message: str, *, failed: bool) -> None:
    moved = rows.update(
        status=RunStatus.QUEUED,
        lease_expires_at=None,
        worker="",
        seconds_left=None,
        rung_at=None,
        ring_count=0,
        failures_in_a_row=F("failures_in_a_row") + (1 if failed else 0),
    )
    if moved != 1:
        raise LeaseLost(f"attempt {run.attempt} of run {run.pk} does not hold it any more")
    append_event(run.pk, type="state", attempt=run.attempt, data={"state": "queued", "message": message})
    ring_on_commit(EXECUTE, str(run.pk))
    log.info("run_requeued", run=str(run.pk), attempt=run.attempt, reason=message)


def _end(run: TrainingRun, status: RunStatus, *, rows=None, **values: Any) -> None:
    rows = held(run.pk, run.attempt) if rows is None else rows
    moved = rows.update(
        status=status,
        finished_at=Now(),
        lease_expires_at=None,
        **{"seconds_left": None, "worker": "", **values},
    )
    if moved != 1:
        raise LeaseLost(f"attempt {run.attempt} of run {run.pk} does not hold it any more")
    message = values.get("error_message", "")
    append_event(
        run.pk,
        type="error" if message else "state",
        attempt=run.attempt,
        data={
            "state": str(status),
            **({"message": message, "code": values.get("error_code")} if message else {}),
        },
    )
    log.info(
        "run_ended", run=str(run.pk), attempt=run.attempt, status=str(status), code=values.get("error_code")
    )


def _tell(run: TrainingRun, status: RunStatus, text: str, **facts: Any) -> None:
    """Audit row, and a line for whoever started the run."""
    record_event(
        action=f"run.{status}", actor=None, obj=run, project=run.project, attempt=run.attempt, **facts
    )
    path = reverse("training:run_detail", kwargs={"slug": run.project.slug, "number": run.number})
    for user in run_followers(project=run.project, launched_by=run.created_by):
        notify(user=user, kind="run.ended", text=text, path=path, project=run.project)
