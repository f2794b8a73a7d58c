"""How far a long job is, told outside the database.

A job that stores everything in one transaction cannot tell its progress through that database: nobody would
see it before the commit, and SQLite admits no second writer. So it keeps a small file in DATA_DIR, which is
its heartbeat too.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import orjson
from django.conf import settings

Row = TypeVar("Row", bound=Any)  # of a model with `attempt`
SECONDS_BETWEEN_WRITES = 0.5
SILENT_SECONDS = 60.0  # a job that has not been heard of for so long has died


class Progress:
    """The file of one job: `Progress("import", 12)`."""

    def __init__(self, job: str, key: Any):
        self.path = _folder() / f"{job}-{key}.json"
        self.attempt = 0  # of jobs without a row that counts them
        self._next_write = 0.0

    def tell(self, phase: str, done: int, total: int | None = None, *, now: bool = False) -> None:
        """Write where the job is; at most twice a second unless `now`."""
        clock = time.monotonic()
        if not now and clock < self._next_write:
            return
        self._next_write = clock + SECONDS_BETWEEN_WRITES
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        told = {"phase": phase, "done": done, "total": total, "attempt": self.attempt}
        temporary.write_bytes(orjson.dumps(told))
        temporary.replace(self.path)

    def read(self) -> dict[str, Any] | None:
        """{"phase", "done", "total"} as last told, or None before the first word and after the last."""
        told = self._read()
        return {name: told[name] for name in ("phase", "done", "total")} if told else None

    def attempts(self) -> int:
        """How often the job was begun, as last told."""
        return (self._read() or {}).get("attempt", 0)

    def _read(self) -> dict[str, Any] | None:
        try:
            return orjson.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None

    @contextmanager
    def kept_alive(self, phase: str) -> Iterator[None]:
        """Tell the phase again and again meanwhile: for work that says nothing of its own."""
        is_over = threading.Event()

        def tell() -> None:
            while not is_over.wait(SILENT_SECONDS / 6):
                self.tell(phase, 0, now=True)

        self.tell(phase, 0, now=True)
        thread = threading.Thread(target=tell, daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def touch(self) -> None:
        """Say that what was told last still holds; nothing where the job has ended."""
        with suppress(FileNotFoundError):
            os.utime(self.path)

    def is_silent(self) -> bool:
        """Whether nothing was heard for SILENT_SECONDS, by the clock of the file system."""
        try:
            return time.time() - self.path.stat().st_mtime > SILENT_SECONDS
        except FileNotFoundError:
            return True

    def end(self) -> None:
        self.path.unlink(missing_ok=True)


def _folder() -> Path:
    return Path(settings.DATA_DIR) / "progress"


def silent_jobs(job: str) -> list[str]:
    """Keys of jobs of which nothing but this file tells, and that died: whoever was at them, or was to be,
    says nothing any more and has not ended them.
    """
    keys = [path.stem.removeprefix(f"{job}-") for path in sorted(_folder().glob(f"{job}-*.json"))]
    return [key for key in keys if Progress(job, key).is_silent() and Progress(job, key).path.exists()]


def lost_jobs(job: str, rows: Iterable[Row], *, attempts: int, give_up: Callable[[Row], None]) -> list[Row]:
    """Of rows with an `attempt`, those to be done: nobody has begun, or whoever did has died. What died
    `attempts` times is given up instead.
    """
    lost = []
    for row in rows:
        if row.attempt and not Progress(job, row.pk).is_silent():
            continue
        if row.attempt >= attempts:
            give_up(row)
        else:
            lost.append(row)
    return lost
