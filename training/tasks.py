"""Celery edges of learning. A message only says "look": rows decide what is done, and by whom."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.db import InterfaceError, OperationalError, close_old_connections, connection

from annotate.doorbell import ring
from training.models import Round, RoundStatus
from training.services import endings, leases, leftovers, machines, preview_jobs, retention
from training.services.follow_ups import due_follow_ups
from training.services.follow_ups import finish_follow_up as finish_follow_up_service
from training.services.rounds import advance_round as advance_round_service
from training.services.supervision import RunSupervisor

log = structlog.get_logger(__name__)
TRAINING_QUEUE = "training"

# Made before the pool forks, so that the worker's own process can tell its children that it is asked to stop.
_worker_stops = multiprocessing.Event()


@worker_shutting_down.connect
def _note_shutdown(**_: object) -> None:
    _worker_stops.set()


@worker_ready.connect
def _begin_to_tell(sender: Any = None, **_: object) -> None:
    """Workers of the queue of runs say what their machine has, from a thread that ends with them."""
    if sender is not None and TRAINING_QUEUE in sender.app.amqp.queues.consume_from:
        threading.Thread(target=tell_for_ever, name="machine", daemon=True).start()


def tell_for_ever(should_stop: Callable[[float], object] = time.sleep) -> None:
    """`should_stop` waits for the seconds it is given; something true ends the telling."""
    while True:
        try:
            machines.tell_machine()
        except (OperationalError, InterfaceError) as error:
            log.warning("machine_not_told", cause=str(error))
        finally:
            connection.close()  # not one more that stays open for a line a minute
        if should_stop(machines.TELL_SECONDS):
            return


@shared_task(name="training.tasks.execute_run")
def execute_run(run_id: str) -> int:
    """Work on that run if it waits, then on whatever else waits. The number of attempts supervised."""
    worker = f"{socket.gethostname()}:{os.getpid()}"
    count = 0
    with _stop_requests() as should_stop:
        run = leases.claim_run(run_id=run_id, worker=worker) or leases.claim_oldest(worker=worker)
        while run is not None:
            RunSupervisor(run, should_stop=should_stop).supervise()
            count += 1
            close_old_connections()
            run = None if should_stop() else leases.claim_oldest(worker=worker)
    return count


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Whether this worker is asked to stop: by Celery's warm shutdown, or by SIGTERM to this very process."""
    told = threading.Event()
    in_main_thread = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGTERM, lambda *_: told.set()) if in_main_thread else None
    try:
        yield lambda: told.is_set() or _worker_stops.is_set()
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)


@shared_task(name="training.tasks.finish_follow_up")
def finish_follow_up(run_id: str) -> bool:
    return finish_follow_up_service(run_id=run_id)


@shared_task(name="training.tasks.advance_round")
def advance_round(round_id: int) -> bool:
    return advance_round_service(round_id=round_id)


@shared_task(name="training.tasks.sweep")
def sweep() -> None:
    """Heal what messages and workers have lost: every two seconds, from the rows alone."""
    endings.take_up_lost_runs()
    for run_id in leases.due_for_ringing().order_by("created_at").values_list("pk", flat=True)[:50]:
        if ring(endings.EXECUTE, str(run_id)):
            leases.note_ring(run_id)
    for run_id in due_follow_ups().values_list("pk", flat=True)[:20]:
        _apart(finish_follow_up_service, run_id=run_id)
    for round_id in Round.objects.filter(status=RoundStatus.RUNNING).values_list("pk", flat=True):
        _apart(advance_round_service, round_id=round_id)
    preview_jobs.revive_lost_previews()


@shared_task(name="training.tasks.retire_checkpoints")
def retire_checkpoints() -> int:
    """The number retired. Files that an earlier, killed one has left behind are removed, too."""
    retention.sweep_folders()
    leftovers.sweep_leftovers()
    return len(retention.retire_checkpoints())


def _apart(service: Callable[..., object], **which: object) -> None:
    """One item must not keep the others from being looked at; it is looked at again in the next sweep."""
    try:
        service(**which)
    except Exception:
        log.exception("sweep_item_failed", service=service.__name__, **which)
