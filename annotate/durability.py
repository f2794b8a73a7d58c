"""A transaction that a power cut may undo without harm: it does not wait for the disk.

The next transaction that does wait brings it to the disk as well, and a crash of our own processes never
undoes it. For what people do again by themselves, such as asking for the next task; never for their work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from annotate.sqlite.base import DatabaseWrapper as SQLite


@contextlib.contextmanager
def undone_by_a_power_cut() -> Iterator[None]:
    """`transaction.atomic()` without the wait for the disk at its end. Inside another transaction it is part
    of that one, as durable as that is.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.in_atomic_block:
        with transaction.atomic():
            yield
    elif isinstance(connection, SQLite):
        connection.outlasts_power_cuts = False  # it waits after COMMIT, or not
        try:
            with transaction.atomic():
                yield
        finally:
            connection.outlasts_power_cuts = True
    else:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit TO off")
            yield
