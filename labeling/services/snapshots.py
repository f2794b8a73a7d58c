"""Reading a project as it is in one moment, while people go on working."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import connection, transaction


@contextlib.contextmanager
def one_snapshot() -> Iterator[None]:
    """Everything read inside comes from one moment, while people go on writing.

    PostgreSQL: a REPEATABLE READ, READ ONLY transaction. SQLite: a deferred transaction; `atomic` would take
    the write lock there (IMMEDIATE) and keep people waiting. Inside a caller's transaction, that one is the
    snapshot.
    """
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
    else:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                # What was read is worked on for minutes, and nobody waits for a reader.
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield
