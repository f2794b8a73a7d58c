"""What a recipe would freeze, counted over all of its rows: at once where they are few, else meanwhile.

Nothing is stored of it in the database. DATA_DIR/recipe-counts/<key>.asked.json is the question, and is
touched whenever somebody asks; <key>.json is the answer. A count that nobody asks for any more is given up,
so that a form that is being filled in leaves no work behind.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import structlog
from django.conf import settings
from django.db import close_old_connections, connections
from django.utils import timezone
from django.utils.translation import gettext_noop

from annotate.doorbell import ring_on_commit
from annotate.errors import Conflict, DomainError
from labeling.formats import canonical_line
from labeling.models import DatasetKind, Project
from labeling.preparation import excerpt, unit_of_row

from .dataset_filters import filtered_rows
from .dataset_rows import count_selected
from .progress import Progress, silent_jobs
from .recipes import Recipe
from .snapshots import one_snapshot

log = structlog.get_logger(__name__)
INLINE_ROWS = 5_000  # read while the person waits (about a second)
EXAMPLES = 3
LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 5.0  # then the web process does it itself
ABANDONED_SECONDS = 8.0  # without a question for so long, a count is given up; who waits asks every two
FRESH_SECONDS = 300.0  # an answer is given again for so long; people go on working
KEPT_SECONDS = 3_600.0
ATTEMPTS = 3
JOB, WAITING = "recipe", "waiting"
BROKE = gettext_noop("Something broke on our side while the rows were counted.")
DIED = gettext_noop("The process that counted the rows died too often.")
_one_at_a_time = threading.Lock()  # a form that is being filled in asks for one count after another


class Counts(NamedTuple):
    """One of the two. `result`: {"looked_at", "kept", "left_out": {reason: {"count", "examples"}}, "changed":
    {reason: count}, "changed_examples": {reason: texts}, "counted_at"}; an example is the text that would go,
    or what it would become. `progress`: {"phase", "done", "total"} while it is being counted."""

    result: dict[str, Any] | None
    progress: dict[str, Any] | None


class _Abandoned(Exception):
    """Nobody waits for it any more."""


def count_by_reason(*, project: Project, kind: str, recipe: Recipe) -> Counts:
    """What would be kept, left out and changed of all rows that the recipe selects.

    Raises Conflict where the count before this one failed; asked once more, it is begun anew.
    """
    if not (recipe.filters or kind not in (DatasetKind.SFT, DatasetKind.PROMPTS)):
        return Counts(None, None)  # all that is selected is kept
    asked = {"project": project.pk, "kind": str(kind), "recipe": recipe.to_json()}
    key = hashlib.sha256(canonical_line(asked)).hexdigest()
    if (found := _answer(key)) is not None:
        if problem := found.get("problem"):
            _path(key).unlink(missing_ok=True)
            raise Conflict(problem, code="not_counted")
        return Counts(found, None)
    if _is_abandoned(key) and count_selected(project, kind, recipe) <= INLINE_ROWS:
        return Counts(read_counts(project, kind, recipe), None)
    _ask(key, asked)
    heartbeat = Progress(JOB, key)
    if heartbeat.is_silent():
        heartbeat.attempt = heartbeat.attempts()
        if heartbeat.attempt >= ATTEMPTS:
            _forget(key)
            raise Conflict(DIED, code="not_counted")
        heartbeat.tell(WAITING, 0, now=True)
        ring_on_commit("labeling.tasks.count_recipe", key)
        timer = threading.Timer(PATIENCE_SECONDS, _take_up, [key])
        timer.daemon = True
        timer.start()
    return Counts(None, heartbeat.read() or {"phase": WAITING, "done": 0, "total": None})


def read_counts(
    project: Project, kind: str, recipe: Recipe, read: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """The `result` of Counts, read from one snapshot; memory flat but for what fixes remember of each row.
    `read(rows so far)` is called now and then, in each of the readings."""
    changed: Counter = Counter()
    left_out: dict[str, dict[str, Any]] = {}
    examples: dict[str, list[str]] = {}
    looked_at = kept = told = 0
    before: Counter = Counter()
    with one_snapshot():
        for selected in filtered_rows(project, kind, recipe, changed, read=read):
            looked_at += 1
            if selected.row is not None:
                kept += 1
                if changed.total() != told:  # rows come one by one: this is the one that was changed
                    for reason in changed - before:
                        shown = examples.setdefault(reason, [])
                        if len(shown) < EXAMPLES:
                            shown.append(excerpt(unit_of_row(kind, selected.row)))
                    before, told = changed.copy(), changed.total()
                continue
            found = left_out.setdefault(selected.left_out, {"count": 0, "examples": []})
            found["count"] += 1
            if selected.dropped is not None and len(found["examples"]) < EXAMPLES:
                found["examples"].append(excerpt(unit_of_row(kind, selected.dropped)))
    return {
        "looked_at": looked_at,
        "kept": kept,
        "left_out": left_out,
        "changed": dict(changed),
        "changed_examples": examples,
        "counted_at": timezone.now().isoformat(timespec="seconds"),
    }


def build_count(key: str) -> None:
    """Answer a question that waits, unless somebody is at it. What went wrong is told to who asks next."""
    heartbeat = Progress(JOB, key)
    asked = _asked(key)
    if asked is None or _is_begun(key):
        return
    if _is_abandoned(key):
        _forget(key)
        return
    heartbeat.attempt = heartbeat.attempts() + 1
    heartbeat.tell("counting", 0, now=True)
    try:
        _write(_path(key), _read_asked(key, asked, heartbeat))
    except _Abandoned:
        log.info("count_abandoned", key=key)
    except DomainError as error:
        _write(_path(key), {"problem": str(error)})
    except Exception:
        # Without a word about it the page that waits would have it begun again every two seconds.
        _write(_path(key), {"problem": BROKE})
        raise
    finally:
        _forget(key)


def _read_asked(key: str, asked: dict[str, Any], heartbeat: Progress) -> dict[str, Any]:
    project, recipe = Project.objects.get(pk=asked["project"]), Recipe.from_json(asked["recipe"])
    total = count_selected(project, asked["kind"], recipe)

    def read(done: int) -> None:
        if _is_abandoned(key):
            raise _Abandoned
        heartbeat.tell("counting", done, total)

    heartbeat.tell("counting", 0, total, now=True)
    return read_counts(project, asked["kind"], recipe, read)


def revive_lost_counts() -> int:
    """Begin those again whose process died, or that nobody took up; how many. Old answers and questions are
    deleted. Called by the sweep."""
    revived = 0
    for path in _old_files():
        path.unlink(missing_ok=True)
    for key in silent_jobs(JOB):
        heartbeat = Progress(JOB, key)
        if _asked(key) is None or _is_abandoned(key):
            _forget(key)
        elif heartbeat.attempts() >= ATTEMPTS:
            _write(_path(key), {"problem": DIED})
            heartbeat.end()
        elif _one_at_a_time.acquire(blocking=False):  # else the next sweep sees to it
            revived += 1
            _build_and_release(key)
    return revived


def _take_up(key: str) -> None:
    """As soon as this process is at no other count; not at all where nobody waits for it by then."""
    close_old_connections()
    while not _one_at_a_time.acquire(timeout=LOOK_SECONDS):
        if _is_begun(key):
            return
        if _is_abandoned(key):
            _forget(key)  # else who asks again within a minute is taken for one who waits already
            return
        Progress(JOB, key).touch()  # it waits, and has not died
    try:
        _build_and_release(key)
    finally:
        connections.close_all()


def _build_and_release(key: str) -> None:
    try:
        build_count(key)
    except Exception:  # noqa: BLE001 - logged; asked for again, it is begun anew
        log.exception("count_failed", key=key)
    finally:
        _one_at_a_time.release()


def _is_begun(key: str) -> bool:
    heartbeat = Progress(JOB, key)
    told = heartbeat.read()
    return told is not None and told["phase"] != WAITING and not heartbeat.is_silent()


def _is_abandoned(key: str) -> bool:
    """Also where nobody has asked, or has been answered."""
    return _seconds_since(_path(key, ".asked")) > ABANDONED_SECONDS


def _forget(key: str) -> None:
    _path(key, ".asked").unlink(missing_ok=True)
    Progress(JOB, key).end()


# --- Files ------------------------------------------------------------------------------------------------
def _path(key: str, what: str = "") -> Path:
    return Path(settings.DATA_DIR) / "recipe-counts" / f"{key}{what}.json"


def _ask(key: str, asked: dict[str, Any]) -> None:
    try:
        _path(key, ".asked").touch(exist_ok=False)
    except FileNotFoundError:
        _path(key).parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        _path(key, ".asked").touch()
        return
    _write(_path(key, ".asked"), asked)


def _asked(key: str) -> dict[str, Any] | None:
    try:
        return orjson.loads(_path(key, ".asked").read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):  # gone, or being written
        return None


def _answer(key: str) -> dict[str, Any] | None:
    path = _path(key)
    if _seconds_since(path) > FRESH_SECONDS:
        return None
    try:
        return orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None


def _write(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.new")
    temporary.write_bytes(orjson.dumps(value))
    temporary.replace(path)


def _seconds_since(path: Path) -> float:
    """By the clock of the file system; endless where there is no such file."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _old_files() -> Iterator[Path]:
    for path in _path("").parent.glob("*"):
        if _seconds_since(path) > KEPT_SECONDS:
            yield path
