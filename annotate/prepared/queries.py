"""Querysets compiled once.

Django builds a query anew for every call: on the hand-out's path that was two thirds of the time of a
request. The builder is an ordinary queryset: what it returns, Prepared returns, model instances or rows of
values_list.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet
from django.db.models.query import ModelIterable, ValuesListIterable

from .instances import Maker
from .statements import Holes, Statement, all_rows, default_connection


@dataclass(frozen=True)
class _Compiled:
    """One query for one kind of database."""

    statement: Statement
    compiler: Any  # Django's, of the first run: it knows the columns and how to convert them
    converters: dict[int, Any]
    make: Callable[[Iterable[Sequence[Any]]], list[Any]]


class Prepared:
    """A queryset of the default database with named holes (their types: statements.Holes)."""

    def __init__(self, build: Callable[..., QuerySet], **kinds: type | UnionType) -> None:
        self.build = build
        self.holes = Holes(kinds)
        self._compiled: dict[str, _Compiled] = {}
        self._guard = threading.Lock()

    def all(self, **values: Any) -> list[Any]:
        """Everything the query finds. Raises TypeError for a value that is missing or of another kind."""
        self.holes.check(values)
        connection = default_connection()
        query = self._compiled.get(connection.vendor) or self._compile(connection)
        rows: Iterable[Sequence[Any]] = query.statement.run(
            connection, self.holes.adapted(values, connection), all_rows
        )
        if query.converters:
            rows = _converted(rows, query.converters, connection)
        return query.make(rows)

    def first(self, **values: Any) -> Any:
        """What comes first, or None. Slice the queryset with [:1] where more could be found."""
        found = self.all(**values)
        return found[0] if found else None

    def _compile(self, connection: Any) -> _Compiled:
        with self._guard:
            if connection.vendor in self._compiled:
                return self._compiled[connection.vendor]
            queryset = self.build(**self.holes.stand_ins())
            compiler = queryset.query.get_compiler(using=DEFAULT_DB_ALIAS)
            sql, parameters = compiler.as_sql()
            columns = [each[0] for each in compiler.select[: compiler.col_count]]
            compiled = _Compiled(
                Statement.of(sql, parameters, self.holes.places(parameters, connection), connection),
                compiler,
                compiler.get_converters(columns),
                _maker(queryset, compiler),
            )
            self._compiled[connection.vendor] = compiled
            return compiled


class PreparedIn:
    """A queryset for a list of keys: compiled once for each length, up to MOST_KEYS."""

    MOST_KEYS = 20

    def __init__(self, build: Callable[[list[int]], QuerySet]) -> None:
        self.build = build
        self._by_length: dict[int, Prepared] = {}

    def all(self, keys: Sequence[int]) -> list[Any]:
        """Everything the query finds for these keys; nothing for none."""
        if not keys:
            return []
        if len(keys) > self.MOST_KEYS:
            return list(self.build(list(keys)))
        names = [f"key_{number}" for number in range(len(keys))]
        prepared = self._by_length.get(len(keys))
        if prepared is None:
            prepared = Prepared(lambda **found: self.build(list(found.values())), **dict.fromkeys(names, int))
            self._by_length[len(keys)] = prepared
        return prepared.all(**dict(zip(names, keys, strict=True)))


def _converted(rows: Iterable[Sequence[Any]], converters: dict[int, Any], connection: Any) -> list[list[Any]]:
    """As SQLCompiler.apply_converters, with the connection of this thread."""
    converted = [list(row) for row in rows]
    for place, (functions, expression) in converters.items():
        for row in converted:
            for function in functions:
                row[place] = function(row[place], expression, connection)
    return converted


def _maker(queryset: QuerySet, compiler: Any) -> Callable[[Iterable[Sequence[Any]]], list[Any]]:
    """Rows to what the queryset yields: as ModelIterable and ValuesListIterable do."""
    kind = queryset._iterable_class  # type: ignore[attr-defined]
    if kind is ValuesListIterable:
        return lambda rows: [tuple(row) for row in rows]
    if kind is not ModelIterable or queryset._known_related_objects or queryset._prefetch_related_lookups:  # type: ignore[attr-defined]
        raise TypeError("Prepare a plain queryset or values_list: no flat lists, no prefetching.")
    make_one = Maker(compiler.klass_info, compiler.select).make
    annotations = list(compiler.annotation_col_map.items()) if compiler.annotation_col_map else []

    def make(rows: Iterable[Sequence[Any]]) -> list[Any]:
        made = []
        for row in rows:
            each = make_one(row)
            for name, place in annotations:
                setattr(each, name, row[place])
            made.append(each)
        return made

    return make
