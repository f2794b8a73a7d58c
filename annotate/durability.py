"""A transaction that a power cut may undo without harm: it does not wait for the disk.

The next transaction that does wait brings it to the disk as well, and a crash of our own processes never
undoes it. For what people do again by themselves, such as asking for the next task; never for their work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import DEFAULT_DB_ALIAS, connections, transaction


@contextlib.contextmanager
def undone_by_a_power_cut() -> Iterator[None]:
    """`transaction.atomic()` without the wait for the disk at its end. Inside another transaction it is part
    of that one, as durable as that is.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.in_atomic_block:
        with transaction.atomic():
            yield
    elif connection.vendor == "sqlite":
        with _sqlite_without_waiting(connection), transaction.atomic():
            yield
    else:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit TO off")
            yield


@contextlib.contextmanager
def _sqlite_without_waiting(connection) -> Iterator[None]:
    """SQLite takes the setting between transactions only. In WAL mode NORMAL keeps the database whole."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=NORMAL")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=FULL")
