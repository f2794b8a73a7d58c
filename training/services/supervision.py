"""One attempt of a run: prepares its folder, starts the training process, follows its diary, and says how it
ended.

The supervisor holds the lease. Whatever it writes is fenced by its attempt (services/leases.py): the moment
another worker has taken the run, the next write is refused, the child is ended and nothing more is touched.
When the database does not answer, it goes on until its lease must have run out by its own clock, then ends
the child as well.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from annotate.errors import DomainError
from training.models import Stage, TrainingRun
from training.rlhf.errors import EXIT_INTERRUPTED, EXIT_ORPHANED

from . import endings, leases
from .checkpoints import register_checkpoints, whole_checkpoints
from .child import TrainingProcess, end_predecessor
from .leases import LeaseLost
from .live import announce
from .locations import run_directory, without_our_folders
from .machines import refuse_here
from .preparation import Preparation
from .tailing import Batch, read_batch

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.2  # between two looks at the child and its diary
CANCEL_SECONDS = 1.0  # between two looks for a request to cancel
DATABASE_AWAY = (OperationalError, InterfaceError)
T = TypeVar("T")
TRAINING_STAGES = (Stage.PRETRAIN, Stage.SFT, Stage.REWARD, Stage.PPO)


class Outcome(Enum):
    ENDED = "ended"  # succeeded, failed or cancelled
    HANDED_BACK = "handed back"  # queued again because this worker stops
    GAVE_UP = "gave up"  # the child died; queued again or failed
    LOST = "lost"  # somebody else has it


class Stopping(Exception):
    """The worker is asked to stop before the child was started."""


class FolderBusy(Exception):
    """A process that we cannot end (on another machine) holds the run's folder."""


class RunSupervisor:
    def __init__(self, run: TrainingRun, *, should_stop: Callable[[], bool] = lambda: False) -> None:
        self.run = run
        self.folder = run_directory(run)
        self.should_stop = should_stop
        self.child: TrainingProcess | None = None
        self.offset = run.events_offset
        self.metrics: dict[str, float] = dict(run.metrics)
        self.furthest = run.step
        self.is_cancelled = False
        self._stop_asked_at: float | None = None
        self._renewed_at = self._looked_at = time.monotonic()

    def supervise(self) -> Outcome:
        """Claimed run in, ended (or given-up) run out. Never raises for what a run may do."""
        try:
            return self._attempt()
        except LeaseLost as error:
            log.warning("lease_lost", run=str(self.run.pk), attempt=self.run.attempt, cause=str(error))
            return Outcome.LOST
        except DATABASE_AWAY as error:  # its lease runs out, and a sweep finds it
            log.warning("database_away", run=str(self.run.pk), attempt=self.run.attempt, cause=str(error))
            connection.close()
            return Outcome.LOST
        finally:
            if self.child is not None and self.child.poll() is None:
                self.child.kill()

    def _attempt(self) -> Outcome:
        try:
            config = self._prepare()
            self._start(config)
            return self._conclude(self._watch())
        except Stopping:
            endings.hand_back(self.run)
            return Outcome.HANDED_BACK
        except FolderBusy:
            endings.give_up_attempt(self.run, reason="Another process was still writing to the run's folder")
            return Outcome.GAVE_UP
        except DomainError as error:
            said = f"{error.message} {error.hint}" if error.hint else error.message
            endings.fail(self.run, code=error.code, message=said)
            return Outcome.ENDED
        except OSError as error:
            return self._give_way(error)

    def _give_way(self, error: OSError) -> Outcome:
        """The system refused us something: before the start that is the end, and later another attempt may
        have more luck.
        """
        log.exception("system_refused", run=str(self.run.pk), attempt=self.run.attempt)
        if self.child is not None:
            endings.give_up_attempt(self.run, reason=_refusal(error))
            return Outcome.GAVE_UP
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        endings.fail(
            self.run, code="disk_full" if is_full else "system_refused", message=f"{_refusal(error)}."
        )
        return Outcome.ENDED

    # --- Before ---------------------------------------------------------------------------------------------
    def _prepare(self) -> Path:
        refuse_here(self.run.hyperparameters)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not end_predecessor(self.folder):
            raise FolderBusy
        self._drop_stale_result()

        def report(message: str) -> None:
            leases.report(self.run.pk, self.run.attempt, message)

        return Preparation(self.run, report=report, beat=self._beat).prepare()

    def _drop_stale_result(self) -> None:
        """What an earlier attempt wrote must not pass for this one's result, unless it had succeeded."""
        result = self._read_result()
        if result is not None and result.get("status") != "succeeded":
            (self.folder / "result.json").unlink(missing_ok=True)

    def _start(self, config: Path) -> None:
        if self.should_stop():
            raise Stopping
        self.is_cancelled = leases.renew_lease(self.run.pk, self.run.attempt)
        resume = (self.folder / "config.json").exists()
        self.child = TrainingProcess(self.folder, stage=self.run.stage, config=config, resume=resume)
        log.info(
            "training_started",
            run=str(self.run.pk),
            attempt=self.run.attempt,
            pid=self.child.pid,
            resume=resume,
        )

    # --- During ---------------------------------------------------------------------------------------------
    def _watch(self) -> int:
        """Follow the child to its end; its exit status."""
        assert self.child is not None  # noqa: S101 - for the type checker
        while True:
            status = self.child.poll()
            drained = self._follow()
            self._look_around()
            if status is not None and drained:
                return status
            if drained:
                time.sleep(LOOK_SECONDS)

    def _follow(self) -> bool:
        """Store one batch of the diary; True when there was nothing (whole) left to read."""
        batch = read_batch(self.folder / "events.jsonl", self.offset)
        if not batch.events:
            return True
        values = self._values(batch)
        stored = self.offset
        with _Patience(self) as patience:
            stored = leases.store_progress(
                self.run.pk,
                self.run.attempt,
                events=batch.events,
                old_offset=self.offset,
                new_offset=batch.offset,
                values=values,
            )
            self._renewed_at = time.monotonic()
        if patience.was_tried:
            return True  # the database is away: the lines wait in the file
        self.offset = stored
        announce(self.run.pk)
        return False

    def _values(self, batch: Batch) -> dict[str, Any]:
        self.metrics |= batch.metrics
        values = dict(batch.values)
        if batch.metrics:
            values["metrics"] = self.metrics
        # Getting further than ever, in a way that a next attempt keeps, clears the count of lost
        # workers. What a
        # training stage did since its last checkpoint is done again, so there only a checkpoint counts.
        is_further = values.get("step", 0) > self.furthest and self.run.stage not in TRAINING_STAGES
        if batch.has_checkpoint or is_further:
            values["failures_in_a_row"] = 0
            self.run.failures_in_a_row = 0
        self.furthest = max(self.furthest, values.get("step", 0))
        return values

    def _look_around(self) -> None:
        """Renew the lease, see whether somebody cancels or the worker stops, and be firm with a child that
        dawdles.
        """
        assert self.child is not None  # noqa: S101 - for the type checker
        now = time.monotonic()
        if now - self._renewed_at > settings.TRAINING_LEASE_SECONDS / 4:
            self._beat()
        elif now - self._looked_at > CANCEL_SECONDS:
            self._looked_at = now
            with _Patience(self):
                self.is_cancelled |= leases.is_cancel_requested(self.run.pk, self.run.attempt)
        if self._stop_asked_at is None and (self.is_cancelled or self.should_stop()):
            self._stop_asked_at = now
            self.child.ask_to_stop()
        elif self._stop_asked_at is not None and now - self._stop_asked_at > settings.TRAINING_GRACE_SECONDS:
            self.child.kill()

    def _beat(self) -> None:
        """Renew the lease if it is time to."""
        if time.monotonic() - self._renewed_at < settings.TRAINING_LEASE_SECONDS / 4:
            return
        with _Patience(self):
            self.is_cancelled |= leases.renew_lease(self.run.pk, self.run.attempt)
            self._renewed_at = time.monotonic()

    def lease_must_be_over(self) -> bool:
        return time.monotonic() - self._renewed_at > settings.TRAINING_LEASE_SECONDS

    # --- After ----------------------------------------------------------------------------------------------
    def _conclude(self, status: int) -> Outcome:
        assert self.child is not None  # noqa: S101 - for the type checker
        result = self._read_result() or {}
        damaged: list[tuple[str, str]] = []
        whole = self._while_beating(lambda: whole_checkpoints(self.run, lambda *found: damaged.append(found)))
        for name, cause in damaged:
            self._patiently(partial(self._tell_damage, name, cause))
        self._patiently(lambda: register_checkpoints(self.run, whole, result))
        return self._patiently(lambda: self._end(status, result))

    def _tell_damage(self, name: str, cause: str) -> None:
        message = f"{without_our_folders(cause)}; it is not kept"
        leases.report(self.run.pk, self.run.attempt, message, damaged_checkpoint=name)

    def _end(self, status: int, result: dict[str, Any]) -> Outcome:
        assert self.child is not None  # noqa: S101 - for the type checker
        verdict = result.get("status")
        if status == 0 and verdict == "succeeded":
            endings.succeed(self.run, metrics={**self.metrics, **_plain(result.get("metrics"))})
        elif verdict == "failed":
            error = result.get("error") or {}
            endings.fail(
                self.run,
                code=str(error.get("code", "failed")),
                message=str(error.get("message", "no reason given")),
            )
        elif self.is_cancelled or leases.is_cancel_requested(self.run.pk, self.run.attempt):
            endings.finish_cancelled(self.run)
        elif self._stop_asked_at is not None:
            endings.hand_back(self.run)
            return Outcome.HANDED_BACK
        elif status > 0 and status not in (EXIT_INTERRUPTED, EXIT_ORPHANED) and verdict is None:
            words = self.child.last_words()
            message = f"The training process could not work (status {status})" + (
                f": {words}" if words else "."
            )
            endings.fail(self.run, code="no_result", message=message)
        else:
            endings.give_up_attempt(self.run, reason=_loss(status))
            return Outcome.GAVE_UP
        announce(self.run.pk)
        return Outcome.ENDED

    def _read_result(self) -> dict[str, Any] | None:
        try:
            result = json.loads((self.folder / "result.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return result if isinstance(result, dict) else None

    def _patiently(self, work: Callable[[], T]) -> T:
        """`work`, as soon as the database answers; LeaseLost when the lease must be over before that."""
        while True:
            with _Patience(self):
                return work()

    def _while_beating(self, work: Callable[[], T]) -> T:
        """Slow work that touches no database (digests of large files), while the lease is kept alive here."""
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(work)
            while not future.done():
                wait([future], timeout=LOOK_SECONDS)
                self._beat()
            return future.result()


class _Patience:
    """Around a write: while the database does not answer, wait and see.

    When the lease must be over, LeaseLost.
    """

    def __init__(self, supervisor: RunSupervisor) -> None:
        self.supervisor = supervisor
        self.was_tried = False

    def __enter__(self) -> _Patience:
        return self

    def __exit__(self, kind, error, trace) -> bool:
        if not isinstance(error, DATABASE_AWAY):
            return False
        self.was_tried = True
        if self.supervisor.lease_must_be_over():
            raise LeaseLost(f"the database was away for longer than the lease: {error}") from error
        log.warning("database_away", run=str(self.supervisor.run.pk), cause=str(error))
        connection.close()
        time.sleep(LOOK_SECONDS)
        return True


def _plain(metrics: Any) -> dict[str, Any]:
    """The metrics of a result that a curve or a table can show."""
    if not isinstance(metrics, dict):
        return {}
    return {name: value for name, value in metrics.items() if isinstance(value, int | float | str | bool)}


def _refusal(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full: make room, then retry"
    about = f" ({error.filename})" if error.filename else ""
    return f"The system refused: {error.strerror or error}{about}"


def _loss(status: int) -> str:
    if status < 0:
        cause = " (often: the machine ran out of memory)" if status == -9 else ""
        return f"The training process was ended by signal {-status}{cause}"
    return f"The training process left without a result (status {status})"
