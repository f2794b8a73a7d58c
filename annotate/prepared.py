"""Queries that are the same each time but for their values: built and compiled once, then only run.

Django builds a query anew for every call: on the hand-out's path that was two thirds of the time of a
request.

    SLOT = Prepared(lambda pk: Assignment.objects.select_related("task", "batch").filter(pk=pk), pk=int)
    slot = SLOT.first(pk=17)

The builder is an ordinary queryset: what it returns, Prepared returns, model instances or rows of
values_list. Only for hot paths; anywhere else the queryset itself is clearer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import QuerySet
from django.db.models.query import ModelIterable, ValuesListIterable, get_related_populators

FIRST_NUMBER = 1_900_000_000  # stands for a value while a query is compiled; fits in every integer column


@dataclass(frozen=True)
class _Compiled:
    """One query for one kind of database. `places` says where in `parameters` each value goes."""

    sql: str
    parameters: tuple[Any, ...]
    places: tuple[tuple[int, str], ...]
    compiler: Any  # Django's, of the first run: it knows the columns and how to convert them
    converters: dict[int, Any]
    make: Callable[[Iterable[Sequence[Any]]], list[Any]]

    def filled(self, values: dict[str, Any]) -> list[Any]:
        parameters = list(self.parameters)
        for place, name in self.places:
            parameters[place] = values[name]
        return parameters


class Prepared:
    """A queryset of the default database with named holes for numbers (int) and texts (str)."""

    def __init__(self, build: Callable[..., QuerySet], **kinds: type) -> None:
        self.build = build
        self.kinds = kinds
        self._compiled: dict[str, _Compiled] = {}
        self._guard = threading.Lock()

    def all(self, **values: Any) -> list[Any]:
        """Everything the query finds. Raises TypeError for a value that is missing or of another kind."""
        self._check(values)
        connection = connections[DEFAULT_DB_ALIAS]
        query = self._compiled.get(connection.vendor) or self._compile(connection)
        with connection.cursor() as cursor:
            cursor.execute(query.sql, query.filled(values))
            rows: Iterable[Sequence[Any]] = cursor.fetchall()
        if query.converters:
            rows = _converted(rows, query.converters, connection)
        return query.make(rows)

    def first(self, **values: Any) -> Any:
        """What comes first, or None. Slice the queryset with [:1] where more could be found."""
        found = self.all(**values)
        return found[0] if found else None

    def _check(self, values: dict[str, Any]) -> None:
        if values.keys() != self.kinds.keys():
            raise TypeError(f"This query takes {', '.join(self.kinds)}; it was given {', '.join(values)}.")
        for name, kind in self.kinds.items():
            if type(values[name]) is not kind:
                raise TypeError(f"{name} must be {kind.__name__}, not {type(values[name]).__name__}.")

    def _compile(self, connection: Any) -> _Compiled:
        with self._guard:
            if connection.vendor in self._compiled:
                return self._compiled[connection.vendor]
            stand_ins = {
                name: FIRST_NUMBER + number if kind is int else f"stands for {name} ({number})"
                for number, (name, kind) in enumerate(self.kinds.items())
            }
            queryset = self.build(**stand_ins)
            compiler = queryset.query.get_compiler(using=DEFAULT_DB_ALIAS)
            sql, parameters = compiler.as_sql()
            names = {value: name for name, value in stand_ins.items()}
            places = tuple((at, names[each]) for at, each in enumerate(parameters) if each in names)
            if missing := self.kinds.keys() - {name for _, name in places}:
                raise TypeError(f"{', '.join(sorted(missing))} never reaches the database as it was given.")
            columns = [each[0] for each in compiler.select[: compiler.col_count]]
            compiled = _Compiled(
                sql, tuple(parameters), places, compiler, compiler.get_converters(columns),
                _maker(queryset, compiler),
            )  # fmt: skip
            self._compiled[connection.vendor] = compiled
            return compiled


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
    info, select = compiler.klass_info, compiler.select
    model, fields = info["model"], info["select_fields"]
    start, end = fields[0], fields[-1] + 1
    names = [each[0].target.attname for each in select[start:end]]
    populators = get_related_populators(info, select, DEFAULT_DB_ALIAS)  # type: ignore[call-arg]
    annotations = list(compiler.annotation_col_map.items()) if compiler.annotation_col_map else []

    def make(rows: Iterable[Sequence[Any]]) -> list[Any]:
        made = []
        for row in rows:
            each = model.from_db(DEFAULT_DB_ALIAS, names, row[start:end])
            for populator in populators:
                populator.populate(row, each)
            for name, place in annotations:
                setattr(each, name, row[place])
            made.append(each)
        return made

    return make
