"""SQLite with writers that take turns.

SQLite lets one transaction write at a time. Those that wait sleep and look again, longer each time, and
whoever looks at the right moment goes first: with 32 people some wait for seconds while others pass them.
Here a transaction queues for its turn before BEGIN IMMEDIATE: threads of a process in a queue of their own,
and the first of each process at two lock files beside the database. SQLite's own lock still decides; a
writer that knows nothing of the queue only costs time.

And the next writer begins while the last one waits for the disk: SQLite waits inside COMMIT, holding its
lock; here COMMIT leaves that out and who committed waits for the write-ahead log afterwards, before anybody
is told. It is what PRAGMA synchronous=FULL promises, as all transactions before it are in the same file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections import deque
from functools import lru_cache
from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base

# Seconds between two looks at a lock file: by the one process that is next, and by the others behind it.
NEXT_LOOKS_AGAIN, OTHERS_LOOK_AGAIN = 0.0005, 0.001
SYNCHRONOUS_FULL = 2  # of PRAGMA synchronous: 0 off, 1 normal, 2 full, 3 extra
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has the latter alone


class Turns:
    """The queue of one database file. First come, first served within a process."""

    def __init__(self, path: str) -> None:
        self.path = f"{path}-turn"
        self.guard = threading.Lock()
        self.waiting: deque[threading.Event] = deque()
        self.turn: int | None = None  # descriptors of the two lock files
        self.next: int | None = None
        self.process = os.getpid()

    def take(self, seconds: float) -> bool:
        """Wait for one's turn; False where it does not come in time."""
        until = time.monotonic() + seconds
        mine = threading.Event()
        with self.guard:
            self.waiting.append(mine)
            if self.waiting[0] is mine:
                mine.set()
        if mine.wait(seconds) and self._lock_files(until):
            return True
        self._leave(mine)
        return False

    def give_back(self) -> None:
        if self.turn is not None:
            fcntl.flock(self.turn, fcntl.LOCK_UN)
        with self.guard:
            self.waiting.popleft()
            if self.waiting:
                self.waiting[0].set()

    def _leave(self, mine: threading.Event) -> None:
        with self.guard:
            was_first = self.waiting[0] is mine
            self.waiting.remove(mine)
            if was_first and self.waiting:
                self.waiting[0].set()

    def _lock_files(self, until: float) -> bool:
        """Two locks, so that who gave the turn back cannot take it again before those who wait have looked:
        one process at a time is next, and only who is next may have the turn.
        """
        if self.turn is None or self.next is None:
            self.turn, self.next = _open_lock(self.path), _open_lock(f"{self.path}-next")
        if not _lock(self.next, until, OTHERS_LOOK_AGAIN):
            return False
        try:
            return _lock(self.turn, until, NEXT_LOOKS_AGAIN)
        finally:
            fcntl.flock(self.next, fcntl.LOCK_UN)


def _open_lock(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(file: int, until: float, look_again: float) -> bool:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(look_again)
        else:
            return True


_turns: dict[str, Turns] = {}
_turns_guard = threading.Lock()


def turns_of(path: str) -> Turns:
    """The queue for a database file in this process; a new one after a fork."""
    with _turns_guard:
        found = _turns.get(path)
        if found is None or found.process != os.getpid():
            found = _turns[path] = Turns(path)
        return found


class Cursor(base.SQLiteCursorWrapper):
    """Django's, which puts ? for %s anew on every execution; here a text that comes again is kept."""

    def convert_query(self, query: str, *, param_names: Any = None) -> str:
        return (
            _converted(query)
            if param_names is None
            else super().convert_query(query, param_names=param_names)
        )


@lru_cache(maxsize=1_000)
def _converted(query: str) -> str:
    return base.FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


def _wait_for_disk(path: str) -> None:
    """Until the write-ahead log of the database is on the disk. The file is opened anew: it goes with the
    last connection, and another one may have come with this.
    """
    log = os.open(f"{os.path.realpath(path)}-wal", os.O_RDWR | os.O_CLOEXEC)
    try:
        _sync(log)
    except OSError as error:
        message = f"disk I/O error: what was committed may not outlast a power cut ({error})"
        raise OperationalError(message) from error
    finally:
        os.close(log)


class DatabaseWrapper(base.DatabaseWrapper):
    """Holds the turn from BEGIN to COMMIT or ROLLBACK. Databases in memory have no queue."""

    turn: Turns | None = None
    waits_for_disk = False  # whether the connection is one that does, by PRAGMA synchronous
    outlasts_power_cuts = True  # whether this transaction has to
    is_let_off = False  # whether SQLite does not wait in this transaction's COMMIT

    def init_connection_state(self) -> None:
        super().init_connection_state()
        self.is_let_off = False
        ((mode,),) = self.connection.execute("PRAGMA journal_mode")
        ((level,),) = self.connection.execute("PRAGMA synchronous")
        self.waits_for_disk = mode == "wal" and level >= SYNCHRONOUS_FULL

    def create_cursor(self, name: str | None = None) -> Cursor:
        return self.connection.cursor(factory=Cursor)

    def _start_transaction_under_autocommit(self) -> None:
        name = str(self.settings_dict["NAME"])
        if self.transaction_mode != "IMMEDIATE" or self.is_in_memory_db():
            super()._start_transaction_under_autocommit()
            return
        turn = turns_of(name)
        if not turn.take(self.settings_dict["OPTIONS"].get("timeout", 5.0)):
            raise OperationalError("database is locked: the turn to write did not come")
        self.turn = turn
        try:
            if self.waits_for_disk:
                self.connection.execute("PRAGMA synchronous=NORMAL")
                self.is_let_off = True
            super()._start_transaction_under_autocommit()
        except BaseException:
            self._give_turn_back()
            self._end_letting_off()
            raise

    def _commit(self):
        try:
            super()._commit()
        finally:
            self._give_turn_back()
        if self._end_letting_off() and self.outlasts_power_cuts:
            _wait_for_disk(str(self.settings_dict["NAME"]))

    def _rollback(self):
        try:
            super()._rollback()
        finally:
            self._give_turn_back()
        self._end_letting_off()

    def _close(self):
        try:
            return super()._close()
        finally:
            self._give_turn_back()

    def _give_turn_back(self) -> None:
        if self.turn is not None:
            turn, self.turn = self.turn, None
            with contextlib.suppress(OSError):  # the descriptor went with the folder; the lock with it
                turn.give_back()

    def _end_letting_off(self) -> bool:
        """SQLite waits by itself again, for statements outside transactions; whether it had been let off."""
        was_let_off, self.is_let_off = self.is_let_off, False
        if was_let_off:
            self.connection.execute("PRAGMA synchronous=FULL")
        return was_let_off
