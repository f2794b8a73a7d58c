"""Comparisons of large versions, made beside the request: whoever asks sees how far they are."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import structlog
from django.db import close_old_connections, connections
from django.db.models import QuerySet
from django.utils.translation import gettext_noop

from annotate.doorbell import ring_on_commit
from annotate.errors import Conflict, DomainError
from labeling.models import DatasetVersion

from . import dataset_diff
from .dataset_diff import Comparison
from .progress import Progress, silent_jobs

log = structlog.get_logger(__name__)
INLINE_ROWS = 100_000  # of both together: compared while the person waits (about two seconds)
PATIENCE_SECONDS = 5.0  # then the web process does it itself
WAITING = "waiting"
JOB = "comparison"
ATTEMPTS = 3
BROKE = gettext_noop("Something broke on our side while they were compared.")
DIED = gettext_noop("The process that compared them died too often.")
_ID = 36  # characters of a UUID


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
    heartbeat.attempt = heartbeat.attempts() + 1
    heartbeat.tell("comparing", 0, total, now=True)
    try:
        dataset_diff.compare_versions(
            old=old, new=new, tell=lambda done: heartbeat.tell("comparing", done, total)
        )
    except DomainError as error:
        dataset_diff.problem_path(old, new).write_text(str(error.message))
    except Exception:
        # Without a word about it the page that waits would have it begun again every two seconds.
        dataset_diff.problem_path(old, new).write_text(BROKE)
        raise
    finally:
        heartbeat.end()


def revive_lost_comparisons() -> int:
    """Begin those again whose process died, or that nobody took up; how many. What died too often is told to
    who asks next. Called by the sweep.
    """
    revived = 0
    for key in silent_jobs(JOB):
        heartbeat, ids = Progress(JOB, key), (key[:_ID], key[_ID + 1 :])
        found = {str(each.public_id): each for each in _versions(ids)}
        old, new = found.get(ids[0]), found.get(ids[1])
        if old is None or new is None:
            heartbeat.end()
        elif heartbeat.attempts() >= ATTEMPTS:
            dataset_diff.problem_path(old, new).write_text(DIED)
            heartbeat.end()
        else:
            revived += 1
            _build_apart(old, new)
    return revived


def _versions(ids: tuple[str, str]) -> QuerySet[DatasetVersion]:
    try:
        wanted = [uuid.UUID(each) for each in ids]
    except ValueError:  # no file of ours
        wanted = []
    return DatasetVersion.objects.filter(public_id__in=wanted).select_related("dataset__project")


def _build_apart(old: DatasetVersion, new: DatasetVersion) -> None:
    try:
        build_comparison(old=old, new=new)
    except Exception:  # noqa: BLE001 - logged; asked for again, it is begun anew
        log.exception("comparison_failed", old=old.pk, new=new.pk)


def _take_up(old: DatasetVersion, new: DatasetVersion) -> None:
    close_old_connections()
    try:
        _build_apart(old, new)
    finally:
        connections.close_all()


def _heartbeat(old: DatasetVersion, new: DatasetVersion) -> Progress:
    return Progress(JOB, f"{old.public_id}-{new.public_id}")
