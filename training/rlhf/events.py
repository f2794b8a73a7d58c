"""The run's diary: `events.jsonl`, one JSON object a line, only ever appended to.

Each line is {"sequence", "time", "type", "step", "data"}. A reader that remembers the last sequence number
it saw can follow the file while it grows; a line counts once its newline is there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.rlhf.errors import RunFolderError

EVENT_TYPES = ("state", "metrics", "progress", "log", "checkpoint", "error", "report")


class EventLog:
    """Appends events; opened again after a crash it drops a torn last line and goes on counting."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sequence = 0
        whole = 0
        if path.exists():
            raw = path.read_bytes()
            whole = raw.rfind(b"\n") + 1
            if whole:
                self.sequence = _sequence_of(raw[:whole].splitlines()[-1], path)
        self._file = open(path, "ab")  # noqa: SIM115 - lives as long as the run
        self._file.truncate(whole)

    def write(self, kind: str, step: int, data: dict[str, Any]) -> dict[str, Any]:
        if kind not in EVENT_TYPES:
            raise ValueError(f"unknown event type {kind!r}")
        self.sequence += 1
        event = {
            "sequence": self.sequence,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "type": kind,
            "step": step,
            "data": data,
        }
        # One write per line, so that a reader never sees half an event unless the process dies in the middle.
        self._file.write((json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n").encode())
        self._file.flush()
        if kind in ("state", "checkpoint", "error"):
            os.fsync(self._file.fileno())
        return event

    def close(self) -> None:
        self._file.close()


def _sequence_of(line: bytes, path: Path) -> int:
    try:
        return int(json.loads(line)["sequence"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"the last line of {path} is no event: take it out, or choose another folder"
        ) from error


class NoEvents:
    """The diary of a process that has none: the leading one writes for all."""

    def write(self, kind: str, step: int, data: dict[str, Any]) -> None:
        if kind not in EVENT_TYPES:
            raise ValueError(f"unknown event type {kind!r}")

    def close(self) -> None:
        """Nothing is open."""


def read_events(path: Path, after: int = 0) -> Iterator[dict[str, Any]]:
    """Whole events with a sequence number above `after`; a torn last line is left for later."""
    with open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            event = json.loads(line)
            if event["sequence"] > after:
                yield event
