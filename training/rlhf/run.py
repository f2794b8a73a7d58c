"""One run's folder and its relations with the world: diary, lock, signals, supervisor, result."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from training.rlhf import checkpoints
from training.rlhf.config import as_dict, describe, validate
from training.rlhf.data_digests import require_same_data, store_digests
from training.rlhf.errors import EXIT_ORPHANED, ConfigError, RlhfError, RunFolderError
from training.rlhf.events import EventLog, NoEvents
from training.rlhf.footing import Footing

CONFIG, EVENTS, RESULT, CHECKPOINTS, LOCK = (
    "config.json",
    "events.jsonl",
    "result.json",
    "checkpoints",
    ".lock",
)
LOCK_PATIENCE_SECONDS = 10.0
# Fields that a resumed run may have otherwise: what may be loaded says nothing of what is computed.
CHANGEABLE = ("allowed_hub_ids",)


class Run:
    """An open run folder, as a context manager: it holds the lock and restores signal handlers on exit."""

    def __init__(self, folder: Path, stage: str) -> None:
        self.folder = Path(folder)
        self.stage = stage
        self.stop_requested = False
        self.step = 0
        self.footing: Footing | None = None
        self._started = time.monotonic()
        self._handlers: dict[int, Any] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.folder / LOCK, "w")  # noqa: SIM115 - held until exit
        except OSError as error:
            raise RunFolderError(f"cannot write to {self.folder}: {error.strerror}") from error
        self._take_lock()
        try:
            self.events: EventLog | NoEvents = EventLog(self.folder / EVENTS)
        except RunFolderError:
            self._lock.close()  # or this process would keep itself out
            raise

    @property
    def leads(self) -> bool:
        """Whether this process writes to the folder (see `Follower`)."""
        return True

    @property
    def checkpoints(self) -> Path:
        return self.folder / CHECKPOINTS

    def __enter__(self) -> Run:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._handlers[number] = signal.signal(number, self._request_stop)
        self._watch_supervisor()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self.events.close()
        self._lock.close()

    def settle_config(self, values: dict[str, Any] | None, *, resume: bool) -> Any:
        """The complete configuration, written to `config.json`; a resumed run must not have changed its
        own.
        """
        path = self.folder / CONFIG
        stored = _stored_config(path) if path.exists() else None
        if stored is not None and stored["stage"] != self.stage:
            raise RunFolderError(f"{self.folder} holds a {stored['stage']} run, not a {self.stage} run")
        if stored is not None and not resume:
            raise RunFolderError(
                f"{self.folder} already holds a run: continue it with --resume, or choose another"
            )
        if values is None:
            if stored is None:
                raise ConfigError("config", f"--config is needed: {self.folder} holds no run to resume")
            values = stored["config"]
        config = validate(self.stage, values)
        resolved: dict[str, Any] = {"stage": self.stage, "config": as_dict(config)}
        if stored is not None:
            old, new = stored["config"], resolved["config"]
            # A field that came later is as it was while it has its default.
            defaults = {spec.name: spec.default for spec in describe(self.stage)}
            changed = [
                name for name in new if name not in CHANGEABLE and old.get(name, defaults[name]) != new[name]
            ]
            if changed:
                raise ConfigError(
                    changed[0],
                    f"was {old.get(changed[0])!r} when this run began; a run is resumed "
                    "with the configuration it has",
                )
            require_same_data(self.folder, self.stage, resolved["config"])
        else:
            store_digests(self.folder, self.stage, resolved["config"])
            checkpoints.write_json(path, resolved)
        return config

    def state(self, state: str, **data: Any) -> None:
        self.events.write("state", self.step, {"state": state, **data})

    def log(self, message: str, **data: Any) -> None:
        self.events.write("log", self.step, {"message": message, **data})

    def metrics(self, values: dict[str, float]) -> None:
        self.events.write("metrics", self.step, values)

    def report(self, name: str, data: dict[str, Any]) -> None:
        """A table or more, whole in one event; a later one of the same name takes its place."""
        self.events.write("report", self.step, {"name": name, "report": data})

    def progress(self, total_steps: int, seconds_per_step: float | None) -> None:
        left = None if seconds_per_step is None else round(seconds_per_step * (total_steps - self.step), 1)
        self.events.write(
            "progress",
            self.step,
            {
                "step": self.step,
                "total_steps": total_steps,
                "fraction": round(self.step / total_steps, 6) if total_steps else 1.0,
                "seconds_left": left,
            },
        )

    def finish(self, status: str, **result: Any) -> None:
        """Write `result.json`, then the closing state: whoever sees the state finds the result."""
        checkpoints.write_json(
            self.folder / RESULT, {"status": status, "stage": self.stage, "step": self.step, **result}
        )
        self.state(status, seconds=round(time.monotonic() - self._started, 3))

    def fail(self, error: RlhfError) -> None:
        self.events.write("error", self.step, error.as_dict())
        self.finish("failed", error=error.as_dict())

    def finished(self) -> bool:
        path = self.folder / RESULT
        if not path.exists():
            return False
        result = json.loads(path.read_bytes())
        return result.get("status") == "succeeded" and result.get("stage", self.stage) == self.stage

    def relative(self, folder: Path) -> str:
        return str(folder.relative_to(self.folder))

    def _take_lock(self) -> None:
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RunFolderError(f"another process is writing to {self.folder}") from None
                time.sleep(0.1)

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop_requested = True

    def _watch_supervisor(self) -> None:
        """Leave at once when the process that launched us is gone.

        Another worker may already be resuming this folder, so nothing more is written.
        """
        expected = os.environ.get("RLHF_PARENT_PID", "")
        if not expected:
            return
        if not expected.isdigit():
            raise ConfigError("RLHF_PARENT_PID", "must be a process id")

        def watch() -> None:
            while os.getppid() == int(expected):
                time.sleep(0.5)
            os._exit(EXIT_ORPHANED)

        threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()


def _stored_config(path: Path) -> dict[str, Any]:
    """What a run wrote as it began. RunFolderError where the file is something else's, a model's, say."""
    try:
        stored = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{path} is not readable JSON ({error}): choose another folder") from error
    if not isinstance(stored, dict) or set(stored) != {"stage", "config"}:
        raise RunFolderError(f"{path} is no run's configuration: choose a folder of its own for the run")
    return stored


class Follower(Run):
    """The run folder as a process sees it that helps another one: read, and never written to."""

    def __init__(self, folder: Path, stage: str) -> None:
        self.folder = Path(folder)
        self.stage = stage
        self.stop_requested = False
        self.step = 0
        self.footing = None
        self._handlers = {}
        self.events = NoEvents()

    @property
    def leads(self) -> bool:
        return False

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def settle_config(self, values: dict[str, Any] | None, *, resume: bool) -> Any:
        """The configuration; what is wrong with it is for the leading process to say."""
        if values is None:
            values = json.loads((self.folder / CONFIG).read_bytes())["config"]
        return validate(self.stage, values)

    def finish(self, status: str, **result: Any) -> None:
        """The leading process writes the result."""
