"""Many rows of one model at once, as the database itself loads them: COPY, or executemany on SQLite.

A tenth of the cost of bulk_create, which makes an object of each row and asks each of its fields twice.
"""

from __future__ import annotations

import contextlib
import io
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson
from django.db import models, transaction

from .statements import default_connection

Value = str | int | float | None
CACHE_KIB = 131_072


class PreparedLoad:
    """`load(rows)` stores rows of the model, which are tuples in the order of `fields` (names as of columns:
    `prompt_id`), and answers with their new keys in that order.

    A value is text, a number or None; a JSON field takes JSON as text. Fields that are not named are alike
    in all rows of a call: what `load` is given for them, or their default (a moment: now). Needs the caller's
    transaction. No signals are sent.
    """

    def __init__(self, model: type[models.Model], *fields: str) -> None:
        by_name = {field.attname: field for field in model._meta.concrete_fields}
        self.model = model
        self._varying = [by_name.pop(name) for name in fields]
        by_name.pop(model._meta.pk.attname)
        self._constant = list(by_name.values())

    def load(self, rows: Iterable[Sequence[Value]], **alike: Any) -> list[int]:
        """Raises TransactionManagementError outside a transaction, IntegrityError as any insert does."""
        connection = default_connection()
        if not connection.in_atomic_block:
            raise transaction.TransactionManagementError(f"loading {self.model.__name__} needs a transaction")
        rows = list(rows)
        if not rows:
            return []
        values = [self._value_alike(field, alike) for field in self._constant]
        if unknown := set(alike) - {field.attname for field in self._constant}:
            raise TypeError(f"{self.model.__name__} has no such fields alike: {', '.join(sorted(unknown))}")
        table, key = self.model._meta.db_table, str(self.model._meta.pk.column)
        columns = [key, *(field.column for field in (*self._varying, *self._constant))]
        names = ", ".join(f'"{column}"' for column in columns)
        if connection.vendor == "postgresql":
            return _copied(connection, table, key, names, rows, values)
        prepared = [
            field.get_db_prep_save(value, connection)
            for field, value in zip(self._constant, values, strict=True)
        ]
        return _inserted(connection, table, names, rows, prepared)

    @staticmethod
    def _value_alike(field: Any, alike: dict[str, Any]) -> Any:
        if field.attname in alike:
            return alike[field.attname]
        return (
            field.pre_save(field.model(), True)
            if getattr(field, "auto_now_add", False)
            else field.get_default()
        )


@contextlib.contextmanager
def room_for_pages() -> Iterator[None]:
    """While many rows are loaded SQLite keeps CACHE_KIB of its pages in memory. Keys that are digests fall
    anywhere in their index; with the 2 MiB it has else, each page is written to the log again and again.
    """
    connection = default_connection()
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA cache_size")
        (before,) = cursor.fetchone()
        cursor.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA cache_size = {before}")


def json_text(value: Any) -> str:
    """A value for a JSON field of `PreparedLoad.load`, also one that orjson refuses: whole numbers of more
    than 64 bits, halves of surrogate pairs (which PostgreSQL refuses in turn)."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return json.dumps(value)


def random_uuids(count: int) -> list[str]:
    """Hexadecimal version 4 UUIDs, as SQLite stores them and PostgreSQL reads them."""
    drawn = secrets.token_hex(16 * count)
    parts = (drawn[start : start + 32] for start in range(0, 32 * count, 32))
    return [f"{part[:12]}4{part[13:16]}{'89ab'[int(part[16], 16) & 3]}{part[17:]}" for part in parts]


def _inserted(
    connection: Any, table: str, names: str, rows: Sequence[Sequence[Value]], alike: list[Any]
) -> list[int]:
    """Keys are counted on from the last: in a transaction on SQLite nobody else writes."""
    marks = ", ".join(["%s"] * (1 + len(rows[0]) + len(alike)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        last = (cursor.fetchone() or (0,))[0]
        keys = list(range(last + 1, last + 1 + len(rows)))
        cursor.executemany(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 - names of our own columns
            ((key, *row, *alike) for key, row in zip(keys, rows, strict=True)),
        )
    return keys


def _copied(
    connection: Any, table: str, key: str, names: str, rows: Sequence[Sequence[Value]], alike: list[Any]
) -> list[int]:
    tail = "".join(f"\t{_copy_text(_plain(value))}" for value in alike)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)",
            [f'"{table}"', key, len(rows)],
        )
        keys = [row[0] for row in cursor.fetchall()]
        lines = (
            f"{number}\t{chr(9).join(map(_copy_text, row))}{tail}"
            for number, row in zip(keys, rows, strict=True)
        )
        text = "\n".join(lines)
        with connection.wrap_database_errors:
            cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN", io.BytesIO(f"{text}\n".encode()))
    return keys


def _plain(value: Any) -> Value:
    """A value of Python as PostgreSQL reads it."""
    adapters: dict[type, Callable[[Any], Value]] = {
        bool: lambda given: "t" if given else "f",
        datetime: datetime.isoformat,
        dict: json.dumps,
        list: json.dumps,
    }
    adapt = adapters.get(type(value))
    return value if adapt is None else adapt(value)


def _copy_text(value: Value) -> str:
    r"""A value in COPY's text form, where \N is NULL and a backslash quotes."""
    if value is None:
        return r"\N"
    if type(value) is not str:
        return str(value)
    if "\\" in value:
        value = value.replace("\\", "\\\\")
    if "\n" in value:
        value = value.replace("\n", "\\n")
    if "\r" in value:
        value = value.replace("\r", "\\r")
    return value.replace("\t", "\\t") if "\t" in value else value
