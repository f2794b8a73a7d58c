"""Following a growing events.jsonl from a known byte: whole lines only, in order."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.rlhf.events import EVENT_TYPES

from .locations import without_our_folders

CHUNK = 256 * 1024  # bytes read at a time
LONGEST_LOG_LINE = 4_000  # characters of a log message that are kept in the database


@dataclass
class Batch:
    """Events read in one go, and what they say about the run."""

    events: list[dict[str, Any]] = field(default_factory=list)
    offset: int = 0
    values: dict[str, Any] = field(default_factory=dict)  # fields of TrainingRun to be updated
    metrics: dict[str, float] = field(default_factory=dict)
    has_checkpoint: bool = False


def read_batch(path: Path, offset: int) -> Batch:
    """The whole lines after byte `offset`, at most CHUNK bytes of them (a longer single line is read
    entirely).
    """
    batch = Batch(offset=offset)
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read(CHUNK)
            while data and b"\n" not in data and (more := file.read(CHUNK)):
                data += more
    except FileNotFoundError:
        return batch
    whole = data.rfind(b"\n") + 1
    for line in data[:whole].splitlines():
        event = _parse(line)
        batch.events.append(event)
        _take_note(batch, event)
    batch.offset = offset + whole
    return batch


def _parse(line: bytes) -> dict[str, Any]:
    """The event in a line. A line that is none becomes a log event.

    A broken trainer must not stop its supervisor.
    """
    try:
        event = json.loads(line)
        step = event["step"]
        if (
            event["type"] not in EVENT_TYPES
            or not isinstance(event["data"], dict)
            or not isinstance(step, int)
        ):
            raise ValueError("not an event")
        data = {name: value for name, value in event["data"].items() if _storable(value)}
        if isinstance(data.get("message"), str):
            message = without_our_folders(data["message"])
            data["message"] = message.replace("\x00", "")[:LONGEST_LOG_LINE]
        return {"type": event["type"], "time": event["time"], "step": step, "data": data}
    except (ValueError, KeyError, TypeError):
        text = line[:200].decode("utf-8", "replace").replace("\x00", "")
        return {
            "type": "log",
            "time": _now(),
            "step": 0,
            "data": {"message": f"A line nobody can read: {text}"},
        }


def _storable(value: Any) -> bool:
    """PostgreSQL's JSON holds no NaN; the trainer writes none, a broken one might."""
    return not (isinstance(value, float) and not math.isfinite(value))


def _take_note(batch: Batch, event: dict[str, Any]) -> None:
    kind, data = event["type"], event["data"]
    if kind == "metrics":
        batch.metrics |= {name: value for name, value in data.items() if isinstance(value, int | float)}
    elif kind == "progress":
        batch.values["step"] = int(data.get("step") or 0)
        batch.values["total_steps"] = data.get("total_steps")
        batch.values["seconds_left"] = data.get("seconds_left")
    elif kind == "checkpoint":
        batch.has_checkpoint = True


def _now() -> str:
    from django.utils import timezone

    return timezone.now().isoformat()
