"""What a database error says, without the rows it quotes.

PostgreSQL puts the row that failed, or the value that it could not read, into its message: "Failing row
contains (17, 'what somebody wrote', …)". A log is read by more people than the database, and kept for longer.
"""

from __future__ import annotations

from collections.abc import Iterator

import django.db


def plain_cause(error: BaseException) -> str:
    """str(error); of a database error only what it is about: state, table, column, constraint."""
    if not _is_of_the_database(error):
        return str(error)
    diag = getattr(error, "diag", None) or getattr(error.__cause__, "diag", None)
    if diag is None:
        # SQLite names tables and columns, and quotes no values; a driver without details may.
        return str(error) if _is_sqlite(error) else "details are in the database's own log"
    parts = {
        "state": diag.sqlstate,
        "table": diag.table_name,
        "column": diag.column_name,
        "constraint": diag.constraint_name,
    }
    told = ", ".join(f"{name} {value}" for name, value in parts.items() if value)
    return told or str(error)  # without a state it never reached a row: the connection failed


def quoting(error: BaseException | None) -> dict[str, str]:
    """{what a traceback would say of it: what it may say}, for each database error in the chain of causes."""
    return {str(each): plain_cause(each) for each in _chain(error) if _is_of_the_database(each) and str(each)}


def _is_of_the_database(error: BaseException) -> bool:
    room = type(error).__module__.partition(".")[0]
    return isinstance(error, django.db.Error) or room in ("psycopg", "psycopg2", "sqlite3")


def _is_sqlite(error: BaseException) -> bool:
    causes = (error, error.__cause__)
    return any(type(each).__module__.partition(".")[0] == "sqlite3" for each in causes if each is not None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
