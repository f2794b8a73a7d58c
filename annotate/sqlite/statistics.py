"""Statistics that somebody gathered are forgotten by `migrate`, which every start runs first.

What ANALYZE stores misleads SQLite here: where all waiting work is one project's, it says that an index over
the project finds every row, so the planner reads and sorts the whole backlog instead of walking the index to
the first slot (650 ms for a hand-out with 1,000,000 waiting instead of 1). Without statistics it takes the
indexes as they were made to be taken: docs/decisions/0015.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import connections

logger = logging.getLogger(__name__)


def forget_statistics(*, using: str, **_: Any) -> None:
    """Receiver of `post_migrate`. Other connections go without them once they are opened anew."""
    connection = connections[using]
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE name IN ('sqlite_stat1', 'sqlite_stat4')")
        tables = [name for (name,) in cursor.fetchall()]
        removed = 0
        for table in tables:
            removed += cursor.execute(f"DELETE FROM {table}").rowcount  # noqa: S608 - one of the two above
        if removed:
            cursor.execute("ANALYZE sqlite_master")  # this connection reads them again: none
            logger.warning("Statistics that ANALYZE had stored in this SQLite database were removed.")
