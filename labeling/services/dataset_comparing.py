"""Comparisons of large versions, made beside the request: whoever asks sees how far they are."""

from __future__ import annotations

import threading
from typing import Any

import structlog
from django.db import close_old_connections, connections

from annotate.doorbell import ring_on_commit
from annotate.errors import Conflict, DomainError
from labeling.models import DatasetVersion

from . import dataset_diff
from .dataset_diff import Comparison
from .progress import Progress

log = structlog.get_logger(__name__)
INLINE_ROWS = 100_000  # of both together: compared while the person waits (about two seconds)
PATIENCE_SECONDS = 5.0  # then the web process does it itself
WAITING = "waiting"


def comparison_of(*, old: DatasetVersion, new: DatasetVersion) -> Comparison | dict[str, Any]:
    """The comparison, or how far it is: {"phase", "done", "total"}. Whoever asks first has it begun.

    Raises as `compare_versions` does, in the background's case when it is asked for again.
    """
    if old.row_count + new.row_count <= INLINE_ROWS or dataset_diff.is_made(old, new):
        return dataset_diff.compare_versions(old=old, new=new)
    dataset_diff.require_comparable(old, new)
    problem = dataset_diff.problem_path(old, new)
    if problem.exists():
        said = problem.read_text()
        problem.unlink(missing_ok=True)  # asked for once more, it is tried once more
        raise Conflict(said, code="not_compared")
    heartbeat = _heartbeat(old, new)
    if heartbeat.is_silent():
        heartbeat.tell(WAITING, 0, now=True)
        ring_on_commit("labeling.tasks.compare_versions", old.pk, new.pk)
        timer = threading.Timer(PATIENCE_SECONDS, _take_up, [old, new])
        timer.daemon = True
        timer.start()
    return heartbeat.read() or {"phase": WAITING, "done": 0, "total": None}


def build_comparison(*, old: DatasetVersion, new: DatasetVersion) -> None:
    """Make it, unless somebody is at it or has made it. What cannot be compared is told to who asks next."""
    heartbeat = _heartbeat(old, new)
    told = heartbeat.read()
    is_begun = told is not None and told["phase"] != WAITING and not heartbeat.is_silent()
    if is_begun or dataset_diff.is_made(old, new):
        return
    total = old.row_count + new.row_count
    heartbeat.tell("comparing", 0, total, now=True)
    try:
        dataset_diff.compare_versions(
            old=old, new=new, tell=lambda done: heartbeat.tell("comparing", done, total)
        )
    except DomainError as error:
        dataset_diff.problem_path(old, new).write_text(error.message)
    finally:
        heartbeat.end()


def _take_up(old: DatasetVersion, new: DatasetVersion) -> None:
    close_old_connections()
    try:
        build_comparison(old=old, new=new)
    except Exception:  # noqa: BLE001 - a thread of its own: logged, and begun anew when asked for again
        log.exception("comparison_failed", old=old.pk, new=new.pk)
    finally:
        connections.close_all()


def _heartbeat(old: DatasetVersion, new: DatasetVersion) -> Progress:
    return Progress("comparison", f"{old.public_id}-{new.public_id}")
