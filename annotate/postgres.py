"""What each new connection to PostgreSQL is told, and how long its answers may take where that matters."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

log = structlog.get_logger(__name__)
# A peer that is gone without a word is noticed by the system within a quarter of a minute, where nothing else
# is said in DATABASE_URL: an unanswered byte (tcp_user_timeout, milliseconds), or an idle line (keepalives).
GONE = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


# A transaction in which nothing has been said for so long is ended by the server: its process was stopped, or
# its machine frozen, and whoever waits for its locks would wait for ever.
ASLEEP_SECONDS = 60


def set_up_connection(*, connection: BaseDatabaseWrapper, **_: object) -> None:
    """Receiver of `connection_created`. Statements of pages take milliseconds; compiling one takes hundreds,
    and PostgreSQL does so where its estimate of the cost is far too high.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET jit = off; SET idle_in_transaction_session_timeout = '{ASLEEP_SECONDS}s'")


@contextmanager
def answers_within(seconds: Callable[[], float]) -> Iterator[None]:
    """Cut this thread's connection each time that the block has waited so long: what waits then fails with
    OperationalError. Also a decorator; it belongs outside of `transaction.atomic`.

    The system's own timeouts see a peer that is gone, not one which takes every byte and never answers: a
    proxy whose server is lost, a server that is stopped. SQLite, a file, needs none of it.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.vendor != "postgresql":
        yield
        return
    done, patience = threading.Event(), seconds()

    def watch() -> None:
        while not done.wait(patience):
            log.warning("database_silent", seconds=patience)
            _cut(connection)

    watcher = threading.Thread(target=watch, name="database-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _cut(connection: BaseDatabaseWrapper) -> None:
    """End the conversation from outside of the thread that waits for an answer; it closes what is left."""
    inner = connection.connection  # None while a connection is made, which has a limit of its own
    # It may be closed by now.
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(inner.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
