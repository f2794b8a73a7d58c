"""Events of a run: written only under the writer's own attempt, read by cursor.

`sequence` is given out while the run's row is locked by the same transaction, so events commit in the order
of their sequence and a reader that remembers the last one it saw misses none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from training.models import RunEvent, TrainingRun

PAGE = 500  # events per message to a live page
MOST_POINTS = 1_500  # points per curve that a page gets
MOST_LOG_LINES = 300


def append_event(
    run_id, *, type: str, data: dict[str, Any], step: int | None = None, attempt: int = 0
) -> RunEvent:
    """One event of the site itself (not of the trainer), in the caller's transaction."""
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("append_event needs the caller's transaction")
    TrainingRun.objects.filter(pk=run_id).update(event_count=F("event_count") + 1)
    sequence = TrainingRun.objects.values_list("event_count", flat=True).get(pk=run_id)
    return RunEvent.objects.create(
        run_id=run_id,
        sequence=sequence,
        attempt=attempt,
        type=type,
        step=step,
        data=data,
        occurred_at=timezone.now(),
    )


def append_trainer_events(
    run_id, events: Sequence[dict[str, Any]], *, attempt: int, last_sequence: int
) -> None:
    """Rows for lines of events.jsonl, whose sequences were reserved up to `last_sequence` in this
    transaction.
    """
    first = last_sequence - len(events) + 1
    RunEvent.objects.bulk_create(
        RunEvent(
            run_id=run_id,
            sequence=first + index,
            attempt=attempt,
            type=event["type"],
            step=event["step"],
            data=event["data"],
            occurred_at=datetime.fromisoformat(event["time"]),
        )
        for index, event in enumerate(events)
    )


def damaged_checkpoints(run: TrainingRun) -> list[str]:
    """Names of what the last attempt found damaged, the trainer or the site."""
    told = run.events.filter(attempt=run.attempt, type="log", data__has_key="damaged_checkpoint")
    return sorted({str(data["damaged_checkpoint"]) for data in told.values_list("data", flat=True)})


def event_dict(event: RunEvent) -> dict[str, Any]:
    return {
        "sequence": event.sequence,
        "occurred_at": event.occurred_at.isoformat(timespec="milliseconds"),
        "type": event.type,
        "step": event.step,
        "data": event.data,
    }


def run_state(run: TrainingRun) -> dict[str, Any]:
    """What a live page shows of the run itself."""
    fraction = (
        min(1.0, run.step / run.total_steps)
        if run.total_steps
        else (1.0 if run.status == "succeeded" else 0.0)
    )
    return {
        "id": str(run.pk),
        "status": run.status,
        "status_label": run.get_status_display(),
        "step": run.step,
        "total_steps": run.total_steps,
        "seconds_left": run.seconds_left,
        "progress": {
            "step": run.step,
            "total_steps": run.total_steps,
            "fraction": round(fraction, 6),
            "seconds_left": run.seconds_left,
        },
        "metrics": run.metrics,
        "error_message": run.error_message,
        "attempt": run.attempt,
    }


def live_message(run: TrainingRun, cursor: int) -> dict[str, Any]:
    """The one message of a live run, over the socket and when polling: what is new since `cursor`.

    `run` must have been read just now. It is part of the message only when nothing newer is left to send, so
    that a page that sees a run end has seen all its events. A cursor from the future counts as the newest.
    """
    cursor = max(0, min(cursor, run.event_count))
    rows = run.events.filter(sequence__gt=cursor, sequence__lte=run.event_count).order_by("sequence")
    events = [event_dict(event) for event in rows[:PAGE]]
    if events:
        cursor = events[-1]["sequence"]
    message: dict[str, Any] = {"events": events, "cursor": cursor}
    if cursor >= run.event_count:
        message["run"] = run_state(run)
    return message


def log_lines(run: TrainingRun, search: str = "") -> list[RunEvent]:
    """The newest log, state, checkpoint and error events, oldest first; of those only what holds `search`."""
    rows = run.events.exclude(type__in=["metrics", "progress", "report"])
    if search:
        told = (Q(**{f"data__{key}__icontains": search}) for key in ("message", "state", "path"))
        rows = rows.filter(reduce(or_, told, Q(type__icontains=search)))
    return list(rows.order_by("-sequence")[:MOST_LOG_LINES])[::-1]


def curves(run: TrainingRun) -> dict[str, dict[int, float]]:
    """{metric: {step: value}} of a run, the newest value of each step.

    After a resume the trainer repeats the steps since its last checkpoint: the repeated value replaces the
    old one.
    """
    found: dict[str, dict[int, float]] = {}
    rows = run.events.filter(type="metrics").order_by("sequence").values_list("step", "data")
    for step, data in rows.iterator(chunk_size=2000):
        for name, value in data.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                found.setdefault(name, {})[step or 0] = float(value)
    return {name: _thin(points) for name, points in found.items()}


def reports(run: TrainingRun) -> dict[str, Any]:
    """{name: report} of what the trainer has told in tables; the newest of each name (one query)."""
    rows = run.events.filter(type="report").order_by("sequence").values_list("data", flat=True)
    return {str(data["name"]): data["report"] for data in rows if "name" in data and "report" in data}


def _thin(points: dict[int, float]) -> dict[int, float]:
    """At most MOST_POINTS points, evenly over the steps, the last one always kept."""
    steps = sorted(points)
    stride = -(-len(steps) // MOST_POINTS)
    kept = steps[::stride]
    if kept and kept[-1] != steps[-1]:
        kept.append(steps[-1])
    return {step: points[step] for step in kept}


def chart_data(
    series: Iterable[tuple[str, str, dict[int, float]]], *, keep_empty: bool = False
) -> dict[str, Any]:
    """Curves in the form of static/js/charts.js, from (key, label, {step.

    Value}) on one common axis of steps.
    """
    chosen = [(key, label, points) for key, label, points in series if points or keep_empty]
    steps = sorted({step for _, _, points in chosen for step in points})
    return {
        "x": steps,
        "series": [
            {"key": key, "name": label, "values": [points.get(step) for step in steps]}
            for key, label, points in chosen
        ],
    }
