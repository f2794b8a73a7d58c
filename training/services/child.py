"""The training process.

Started in its own process group, asked to stop, and ended with everything it started.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from django.conf import settings

MARK, OUTPUT, LOCK = "process.json", "output.log", ".lock"
# The trainer needs none of the site's secrets.
WITHHELD = (
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "DATABASE_URL",
    "REDIS_URL",
    "EMAIL_URL",
    "DJANGO_SETTINGS_MODULE",
)
LAST_WORDS = 4_000  # bytes of output read for an error message


def trainer_command() -> list[str]:
    """How the trainer is started; TRAINER_COMMAND in the settings puts another one in its place (tests)."""
    return list(getattr(settings, "TRAINER_COMMAND", None) or [sys.executable, "-m", "training.rlhf"])


def child_environment() -> dict[str, str]:
    environment = {
        name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in WITHHELD
    }
    return environment | {
        "MALLOC_ARENA_MAX": environment.get("MALLOC_ARENA_MAX", "2"),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
    }


class TrainingProcess:
    """One child and its group."""

    def __init__(self, folder: Path, *, stage: str, config: Path, resume: bool) -> None:
        self.folder = folder
        environment = child_environment() | {"RLHF_PARENT_PID": str(os.getpid())}
        command = [*trainer_command(), stage, "--config", str(config), "--out", str(folder)]
        if resume:
            command.append("--resume")
        with open(folder / OUTPUT, "ab") as output:
            output.write(f"--- {' '.join(command[-5:])}\n".encode())
            output.flush()
            self._start_of_output = output.tell()
            self._process = subprocess.Popen(
                command,
                cwd=settings.BASE_DIR,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        mark = {"host": socket.gethostname(), "pid": self.pid, "born": _birth(self.pid)}
        (folder / MARK).write_text(json.dumps(mark))

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.poll()

    def ask_to_stop(self) -> None:
        _signal_group(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End the whole group and reap the child."""
        _signal_group(self.pid, signal.SIGKILL)
        self._process.wait()

    def last_words(self) -> str:
        """The last line it wrote, for a failure that left no result."""
        with open(self.folder / OUTPUT, "rb") as output:
            output.seek(0, os.SEEK_END)
            output.seek(max(self._start_of_output, output.tell() - LAST_WORDS))
            lines = output.read().decode("utf-8", "replace").replace("\x00", "").strip().splitlines()
        return lines[-1].strip()[:400] if lines else ""


def end_predecessor(folder: Path, *, patience: float = 5.0) -> bool:
    """End a training process that a lost supervisor of this machine left in `folder`.

    Only the very process in the mark (same number, same birth) is ended. False if the folder stays locked: by
    a process of another machine.
    """
    deadline = time.monotonic() + patience
    while (predecessor := _living_predecessor(folder)) or _is_locked(folder):
        if time.monotonic() > deadline:
            return False
        if predecessor:
            _signal_group(predecessor, signal.SIGKILL)
        time.sleep(0.05)
    return True


def _living_predecessor(folder: Path) -> int | None:
    """The process in the mark, if it runs here.

    Where the system tells no births, the lock says whether it does.
    """
    mark = _read_mark(folder)
    if mark is None or mark.get("host") != socket.gethostname():
        return None
    born = _birth(mark["pid"])
    is_same = born == mark.get("born") and (bool(born) or _is_locked(folder))
    return mark["pid"] if is_same else None


def _is_locked(folder: Path) -> bool:
    try:
        with open(folder / LOCK, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _read_mark(folder: Path) -> dict | None:
    try:
        mark = json.loads((folder / MARK).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return mark if isinstance(mark, dict) and isinstance(mark.get("pid"), int) and mark["pid"] > 1 else None


def _birth(pid: int) -> str:
    """When a process was started, in the kernel's own count.

    "" where the system does not say (or it is gone).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]  # a zombie is dead, it only waits to be reaped


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return  # nobody left in the group
