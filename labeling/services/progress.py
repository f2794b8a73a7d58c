"""How far a long job is, told outside the database.

A job that stores everything in one transaction cannot tell its progress through that database: nobody would
see it before the commit, and SQLite admits no second writer. So it keeps a small file in DATA_DIR, which is
its heartbeat too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
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
        self.path = Path(settings.DATA_DIR) / "progress" / f"{job}-{key}.json"
        self._next_write = 0.0

    def tell(self, phase: str, done: int, total: int | None = None, *, now: bool = False) -> None:
        """Write where the job is; at most twice a second unless `now`."""
        clock = time.monotonic()
        if not now and clock < self._next_write:
            return
        self._next_write = clock + SECONDS_BETWEEN_WRITES
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(orjson.dumps({"phase": phase, "done": done, "total": total}))
        temporary.replace(self.path)

    def read(self) -> dict[str, Any] | None:
        """{"phase", "done", "total"} as last told, or None before the first word and after the last."""
        try:
            return orjson.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None

    def is_silent(self) -> bool:
        """Whether nothing was heard for SILENT_SECONDS, by the clock of the file system."""
        try:
            return time.time() - self.path.stat().st_mtime > SILENT_SECONDS
        except FileNotFoundError:
            return True

    def end(self) -> None:
        self.path.unlink(missing_ok=True)


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
