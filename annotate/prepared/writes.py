"""Writes compiled once: what QuerySet.update(), .delete() and objects.create() send, without building it anew
each time. No signals are sent, and models with a save() or signals of their own are refused.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any

from django.db import DEFAULT_DB_ALIAS, models
from django.db.models import QuerySet, signals, sql
from django.db.models.constants import OnConflict
from django.db.models.deletion import Collector

from .statements import Holes, Statement, default_connection, first_row, how_many


class _Write(ABC):
    """A statement with holes that answers how many rows it changed."""

    def __init__(self, build: Callable[..., Any], **kinds: type | UnionType) -> None:
        self.build = build
        self.holes = Holes(kinds)
        self._compiled: dict[str, Statement] = {}
        self._guard = threading.Lock()

    def run(self, **values: Any) -> int:
        """How many rows were changed. Raises TypeError for a value that is missing or of another kind."""
        self.holes.check(values)
        connection = default_connection()
        statement = self._compiled.get(connection.vendor) or self._compile(connection)
        return statement.run(connection, self.holes.adapted(values, connection), how_many)

    def _compile(self, connection: Any) -> Statement:
        with self._guard:
            if connection.vendor not in self._compiled:
                query = self._query(self.build(**self.holes.stand_ins()))
                text, parameters = query.get_compiler(using=DEFAULT_DB_ALIAS).as_sql()
                places = self.holes.places(parameters, connection)
                self._compiled[connection.vendor] = Statement.of(text, parameters, places, connection)
            return self._compiled[connection.vendor]

    @abstractmethod
    def _query(self, built: Any) -> sql.Query:
        """Django's query for what the builder returned. Raises TypeError for what cannot be prepared."""


class PreparedUpdate(_Write):
    """The builder returns (queryset, {field: value}), as for `queryset.update(**values)`."""

    def _query(self, built: tuple[QuerySet, dict[str, Any]]) -> sql.Query:
        rows, values = built
        query: Any = rows.query.chain(sql.UpdateQuery)
        query.add_update_values(values)
        if query.get_related_updates() or rows.query.is_sliced:
            raise TypeError("Prepare an update of one table, without a slice.")
        query.clear_ordering(force=True)
        query.clear_select_clause()
        return query


class PreparedDelete(_Write):
    """The builder returns the queryset whose rows go; nothing may hang on them."""

    def _query(self, rows: QuerySet) -> sql.Query:
        if rows.query.is_sliced or not Collector(DEFAULT_DB_ALIAS).can_fast_delete(rows):
            raise TypeError("Prepare the deletion of rows on which nothing hangs, without a slice.")
        query = rows.query.chain(sql.DeleteQuery)
        query.clear_ordering(force=True)
        return query


class PreparedInsert:
    """`create(**fields)` as that of the model's manager.

    update, unique: names of fields; where a row with the same `unique` ones is there, its `update` ones are
    changed instead. The instance then has no primary key, as with bulk_create().
    guards_changes: the model's own save() only refuses to change a stored row; it is not called here.
    """

    def __init__(
        self,
        model: type[models.Model],
        *,
        update: Sequence[str] = (),
        unique: Sequence[str] = (),
        guards_changes: bool = False,
    ) -> None:
        self.model = model
        self._guards_changes = guards_changes
        self._update, self._unique = tuple(update), tuple(unique)
        self._compiled: dict[str, Statement] = {}
        self._guard = threading.Lock()
        self._fields: list[Any] = []

    def create(self, **fields: Any) -> Any:
        return self.insert(self.model(**fields))

    def insert(self, instance: Any) -> Any:
        """Store a new instance; it is given back with its key."""
        connection = default_connection()
        statement = self._compiled.get(connection.vendor) or self._compile(connection, instance)
        values = [
            field.get_db_prep_save(field.pre_save(instance, True), connection) for field in self._fields
        ]
        if self._update:
            statement.run(connection, values, how_many)
        else:
            instance.pk = statement.run(connection, values, first_row)[0]
        instance._state.adding, instance._state.db = False, DEFAULT_DB_ALIAS
        return instance

    def _compile(self, connection: Any, instance: models.Model) -> Statement:
        with self._guard:
            if connection.vendor in self._compiled:
                return self._compiled[connection.vendor]
            options = self.model._meta
            _refuse_custom(self.model, self._guards_changes)
            self._fields = [field for field in options.concrete_fields if field is not options.pk]
            by_name = [options.get_field(name) for name in self._update]
            query = sql.InsertQuery(
                self.model,
                on_conflict=OnConflict.UPDATE if self._update else None,
                update_fields=by_name,
                unique_fields=[options.get_field(name) for name in self._unique],
            )
            query.insert_values(self._fields, [instance])
            compiler = query.get_compiler(using=DEFAULT_DB_ALIAS)
            compiler.returning_fields = None if self._update else [options.pk]  # type: ignore[attr-defined]
            [(text, parameters)] = compiler.as_sql()
            if len(parameters) != len(self._fields):
                raise TypeError("Every field must be a plain value: no expressions.")
            places = {place: place for place in range(len(parameters))}
            statement = Statement.of(text, parameters, places, connection)
            self._compiled[connection.vendor] = statement
            return statement


def _refuse_custom(model: type[models.Model], guards_changes: bool) -> None:
    """What create() would do beyond the INSERT must not be left out silently."""
    own_signals = (signals.pre_save, signals.post_save)
    own_save = model.save is not models.Model.save and not guards_changes
    if own_save or any(each.has_listeners(model) for each in own_signals):
        raise TypeError(f"{model.__name__} does more than an INSERT when it is saved.")
    options = model._meta
    if options.parents or not isinstance(options.pk, models.AutoField):
        raise TypeError(f"{model.__name__} is not one table with an automatic key.")
