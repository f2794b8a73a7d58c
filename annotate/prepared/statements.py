"""One SQL statement with holes: finding the holes in what Django compiled, filling them, running it.

On PostgreSQL the statement is prepared on the server as well, with PREPARE on its first use of a connection
and EXECUTE from then on: parsing and planning were half of the server's time for the hand-out's statements.
Constants are part of the statement, so that partial indexes are seen; holes are parameters, so that values
are never text of the statement.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter, methodcaller
from types import NoneType, UnionType
from typing import Any, get_args

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, NotSupportedError, OperationalError, connections

FIRST_NUMBER = 1_900_000_000  # stands for a value while a statement is compiled; fits every integer column
# What PostgreSQL says of a statement whose tables a migration has changed, and of one that was dropped.
OUTDATED = ("0A000", "26000")
MARKER = re.compile("(%[s%])")  # a parameter, or a percent sign
_numbers = itertools.count(1)


def _duration(value: timedelta, connection: Any) -> Any:
    if connection.features.has_native_duration_field:
        return value
    return value // timedelta(microseconds=1)


# Per type of value: what stands for the n-th hole while compiling, and how a value goes to the database.
STAND_INS: dict[type, Callable[[int], Any]] = {
    int: lambda n: FIRST_NUMBER + n,
    str: lambda n: f"stands for hole {n}",
    datetime: lambda n: datetime(1900, 1, 1, tzinfo=UTC) + timedelta(seconds=n),
    date: lambda n: date(1900, 1, 1) + timedelta(days=n),
    timedelta: lambda n: timedelta(days=40_000, seconds=n),
    dict: lambda n: {"stands for": n},
}
ADAPTERS: dict[type, Callable[[Any, Any], Any]] = {
    datetime: lambda value, connection: connection.ops.adapt_datetimefield_value(value),
    date: lambda value, connection: connection.ops.adapt_datefield_value(value),
    timedelta: _duration,
    dict: lambda value, connection: connection.ops.adapt_json_value(value, None),
}


class Holes:
    """The named values of a statement and their types: int, str, date, datetime, timedelta, dict
    (JSON), each also `… | None` where it is stored and not compared.
    """

    def __init__(self, kinds: Mapping[str, type | UnionType]) -> None:
        self.names = tuple(kinds)
        self.allowed: dict[str, tuple[type, ...]] = {
            name: get_args(kind) if isinstance(kind, UnionType) else (kind,) for name, kind in kinds.items()
        }
        self._kinds = {
            name: next(each for each in allowed if each is not NoneType)
            for name, allowed in self.allowed.items()
        }

    def check(self, values: Mapping[str, Any]) -> None:
        if values.keys() != self.allowed.keys():
            raise TypeError(f"This takes {', '.join(self.names)}; it was given {', '.join(values)}.")
        for name, allowed in self.allowed.items():
            if type(values[name]) not in allowed:
                words = " or ".join(each.__name__ for each in allowed)
                raise TypeError(f"{name} must be {words}, not {type(values[name]).__name__}.")

    def stand_ins(self) -> dict[str, Any]:
        return {name: STAND_INS[kind](number) for number, (name, kind) in enumerate(self._kinds.items())}

    def adapted(self, values: Mapping[str, Any], connection: Any) -> list[Any]:
        """Values in the order of `names`, as the connection's driver takes them."""
        found = []
        for name in self.names:
            value, adapt = values[name], ADAPTERS.get(self._kinds[name])
            found.append(value if adapt is None or value is None else adapt(value, connection))
        return found

    def places(self, parameters: Sequence[Any], connection: Any) -> dict[int, int]:
        """{place in `parameters`: number of the hole}. Raises TypeError for a hole that is in none."""
        stands = self.adapted(self.stand_ins(), connection)
        found = {
            place: number
            for place, parameter in enumerate(parameters)
            for number, stand in enumerate(stands)
            if _same(parameter, stand)
        }
        if missing := [name for number, name in enumerate(self.names) if number not in found.values()]:
            raise TypeError(f"{', '.join(missing)} never reaches the database as it was given.")
        return found


def _same(parameter: Any, stand: Any) -> bool:
    """Whether the driver was given the stand-in: JSON comes in a wrapper that knows no equality."""
    wrapped = getattr(stand, "adapted", None)
    if wrapped is not None:
        return json.dumps(getattr(parameter, "adapted", None), default=str) == json.dumps(wrapped)
    return type(parameter) is type(stand) and parameter == stand


# What to take from a cursor once its statement has run.
all_rows = methodcaller("fetchall")
first_row = methodcaller("fetchone")
how_many = attrgetter("rowcount")


@dataclass(frozen=True)
class Statement:
    """SQL as Django compiled it for one kind of database. `places` as Holes.places has them."""

    sql: str
    parameters: tuple[Any, ...]
    places: dict[int, int]
    number: int

    @classmethod
    def of(cls, sql: str, parameters: Sequence[Any], places: dict[int, int], connection: Any) -> Statement:
        if connection.vendor == "sqlite":
            sql, parameters, places = with_constants(sql, parameters, places)
        return cls(sql, tuple(parameters), places, next(_numbers))

    def run(self, connection: Any, values: Sequence[Any], take: Callable[[Any], Any]) -> Any:
        """Execute it and take what it gave; `values` by number of the hole.

        Where nobody counts or wraps statements, on the driver's own cursor: Django's costs as much as a short
        statement itself. What it looks after is looked after here: the connection's health, broken
        transactions, threads, and errors as Django's own.
        """
        if connection.execute_wrappers or connection.queries_logged:
            with connection.cursor() as cursor:
                self._run(connection, cursor.execute, values)
                return take(cursor)
        connection.close_if_health_check_failed()
        connection.ensure_connection()
        connection.validate_thread_sharing()
        connection.validate_no_broken_transaction()
        errors = connection.wrap_database_errors
        with errors:
            cursor = connection.create_cursor()
        try:
            self._run(connection, errors(cursor.execute), values)
            with errors:
                return take(cursor)
        finally:
            cursor.close()

    def _run(self, connection: Any, execute: Callable[..., Any], values: Sequence[Any]) -> None:
        if connection.vendor == "postgresql" and settings.DATABASE_PREPARE:
            self._execute_prepared(connection, execute, values)
        else:
            execute(self.sql, self._filled(values))

    def _filled(self, values: Sequence[Any]) -> list[Any]:
        filled = list(self.parameters)
        for place, number in self.places.items():
            filled[place] = values[number]
        return filled

    def _execute_prepared(self, connection: Any, execute: Callable[..., Any], values: Sequence[Any]) -> None:
        known = _known_statements(connection)
        name = known.name_of(self.number)
        if self.number not in known.numbers:
            # Without parameters: nothing is put in any more, and a % is a %.
            execute(f"PREPARE {name} AS {self._with_markers(connection)}")
            known.numbers.add(self.number)
        holes = f"({', '.join(['%s'] * len(values))})" if values else ""
        try:
            execute(f"EXECUTE {name}{holes}", values)
        except (NotSupportedError, OperationalError) as error:
            if getattr(error.__cause__, "pgcode", None) not in OUTDATED:
                raise
            # All are made anew under other names. Inside a transaction the caller's is lost already.
            known.forget()
            if connection.in_atomic_block:
                raise
            execute(self.sql, self._filled(values))

    def _with_markers(self, connection: Any) -> str:
        from psycopg2.extensions import AsIs  # here: SQLite sites need no driver for PostgreSQL

        filled = list(self.parameters)
        for place, number in self.places.items():
            filled[place] = AsIs(f"${number + 1}")
        return connection.ops.compose_sql(self.sql, filled)


def with_constants(
    sql: str, parameters: Sequence[Any], places: dict[int, int]
) -> tuple[str, list[Any], dict[int, int]]:
    """For SQLite: what never changes becomes part of the text, so that only holes are bound.

    A plan that uses a partial index depends on the constant that was bound, and SQLite compiles such a
    statement again for every execution (sqlite3_prepare_v2: "if the specific value bound to a parameter might
    influence the choice of query plan"): five times the price of running the hand-out's.
    """
    kept: list[Any] = []
    found: dict[int, int] = {}
    pieces, place = [], 0
    for piece in MARKER.split(sql):
        if piece != "%s":
            pieces.append(piece)
            continue
        constant = None if place in places else _literal(parameters[place])
        if constant is None:
            if place in places:
                found[len(kept)] = places[place]
            kept.append(parameters[place])
        pieces.append(piece if constant is None else constant)
        place += 1
    return "".join(pieces), kept, found


def _literal(value: Any) -> str | None:
    """A constant as SQL text of SQLite, or None for what is better bound."""
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(int(value))
    if isinstance(value, str) and "\x00" not in value:
        return "'" + str(value).replace("'", "''").replace("%", "%%") + "'"
    return None


class _Known:
    """Which statements one connection of the server has prepared. A new connection knows none."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.numbers: set[int] = set()
        self.generation = 0

    def name_of(self, number: int) -> str:
        return f"annotate_{number}_{self.generation}"

    def forget(self) -> None:
        self.numbers.clear()
        self.generation += 1


def _known_statements(connection: Any) -> _Known:
    known = connection.__dict__.get("annotate_prepared")
    if known is None or known.raw is not connection.connection:
        known = connection.annotate_prepared = _Known(connection.connection)
    return known


def default_connection() -> Any:
    return connections[DEFAULT_DB_ALIAS]
