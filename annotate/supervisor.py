"""Keeps a few processes running together: restarts what dies, and stops all of them, children included.

Each service is started as the leader of its own process group, so that stopping it reaches whatever it
started; where the system can (Linux), it is also told to end when this process is killed outright.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
STEADY_SECONDS = 60.0  # a service that ran for so long has earned a quick restart again
SETTLING_SECONDS = 3.0  # in which the services that are not asked say their first lines
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


class AlreadyRunning(Exception):
    """Another process holds the lock; `pid` is its number where it could be read."""

    def __init__(self, pid: str) -> None:
        super().__init__(pid)
        self.pid = pid


class FolderLock:
    """One process per folder. The kernel drops the lock when its holder ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def acquire(self) -> None:
        """Raises AlreadyRunning."""
        file = open(self.path, "a+")  # noqa: SIM115 - held open for the life of the process
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid = file.read().strip()
            file.close()
            raise AlreadyRunning(pid) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass
class Service:
    """A command that should be running. `on_exit` restarts after growing pauses."""

    name: str
    command: list[str]
    process: subprocess.Popen | None = None
    started_at: float = 0.0
    pause: float = FIRST_PAUSE
    restart_at: float = 0.0
    restarts: int = field(default=0)

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, start_new_session=True, preexec_fn=_end_with_parent())
        self.started_at = time.monotonic()

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def has_group(self) -> bool:
        """True while the service or anything it started is still there."""
        if self.process is None:
            return False
        if self.process.poll() is not None:  # the leader is reaped; now the orphans we have adopted
            _reap_group(self.process.pid)
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def signal_group(self, number: int) -> None:
        """Send a signal to the service and everything it started."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return  # nobody left in the group


def _reap_group(group: int) -> None:
    """Collect ended members of a group, which would otherwise count as still there."""
    try:
        while os.waitpid(-group, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return  # none of them is ours (left)


def adopt_orphans() -> None:
    """Become the parent of what our services leave behind, as a container without an init needs."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_with_parent() -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask


class Supervisor:
    """Runs services until SIGINT or SIGTERM, or until `stop` is called."""

    def __init__(self, services: list[Service], *, say: Callable[[str], None], grace: float = 10.0) -> None:
        self.services = services
        self.say = say
        self.grace = grace
        self._stopping = False
        self._hurry = False

    def stop(self, *_: object) -> None:
        """Signal handler too: the first call begins the stop, a second one ends the waiting."""
        self._hurry = self._stopping
        self._stopping = True

    def run(self, *, is_up: Callable[[], bool] = bool, when_up: Callable[[], None] | None = None) -> None:
        """Until it is stopped; `when_up` is called once, SETTLING_SECONDS after `is_up` is true."""
        up_since: float | None = None
        previous = {number: signal.signal(number, self.stop) for number in (signal.SIGINT, signal.SIGTERM)}
        adopt_orphans()
        try:
            for service in self.services:
                service.start()
            while not self._stopping:
                self.tend()
                if when_up and up_since is None and is_up():
                    up_since = time.monotonic()
                if when_up and up_since and time.monotonic() - up_since > SETTLING_SECONDS:
                    when_up()
                    when_up = None
                time.sleep(0.1)
        finally:
            self.shut_down()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def tend(self) -> None:
        """One look at every service; restart those that are down and have waited long enough."""
        now = time.monotonic()
        for service in self.services:
            if service.is_running:
                continue
            if service.process is not None:
                self._note_exit(service, now)
            elif now >= service.restart_at:
                service.restarts += 1
                service.start()

    def _note_exit(self, service: Service, now: float) -> None:
        assert service.process is not None  # noqa: S101 - for the type checker
        service.signal_group(
            signal.SIGKILL
        )  # what a crashed leader left behind must not run on beside its heir
        if now - service.started_at > STEADY_SECONDS:
            service.pause = FIRST_PAUSE
        service.restart_at = now + service.pause
        self.say(f"{service.name} ended with {service.process.returncode}; again in {service.pause:.0f} s")
        service.pause = min(service.pause * 2, LONGEST_PAUSE)
        service.process = None

    def shut_down(self) -> None:
        """Ask every leader to end, wait up to `grace` seconds for its whole group, then end what is left.

        Leaders first: a worker that is asked alone lets its training run write a checkpoint; what is still
        there once its leader has gone is asked next. A second Ctrl-C ends the wait.
        """
        running = [service for service in self.services if service.is_running]
        for service in running:
            assert service.process is not None  # noqa: S101 - for the type checker
            service.process.terminate()
        self._hurry = False
        deadline = time.monotonic() + self.grace
        asked: set[str] = set()
        while (
            any(service.has_group for service in running) and time.monotonic() < deadline and not self._hurry
        ):
            for service in running:
                if not service.is_running and service.name not in asked:
                    asked.add(service.name)
                    service.signal_group(signal.SIGTERM)
            time.sleep(0.05)
        for service in running:
            if service.has_group:
                self.say(f"{service.name} did not stop in time and was killed")
                service.signal_group(signal.SIGKILL)
            if service.process is not None:
                service.process.wait()
