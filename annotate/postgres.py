"""What each new connection to PostgreSQL is told."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper


def without_jit(*, connection: BaseDatabaseWrapper, **_: object) -> None:
    """Receiver of `connection_created`. Statements of pages take milliseconds; compiling one takes hundreds,
    and PostgreSQL does so where its estimate of the cost is far too high.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET jit = off")
