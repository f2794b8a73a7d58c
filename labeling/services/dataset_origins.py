"""Which imported files a row holds something of: its judgment, its prompt, or completions that it ranks or
began with. Work of people on imported texts stays under those texts' licence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.db.models import BooleanField, Exists, F, Func, Model, OuterRef, Q

from labeling.models import Completion, DatasetKind, Demonstration, Prompt, Ranking, TaskCompletion


class Origin(NamedTuple):
    """Ids of imports, None where it was no import's."""

    judgment: int | None = None
    prompt: int | None = None
    completions: tuple[int, ...] = ()  # sorted, each once

    @property
    def files(self) -> set[int]:
        return {each for each in (self.judgment, self.prompt, *self.completions) if each is not None}

    def of_kind(self, kind: str) -> tuple[int, ...]:
        """The imports that a row of this kind counts as from: of its judgment, or of what it is in place of
        one."""
        if kind == DatasetKind.COMPLETIONS:
            return self.completions
        return imports_of([self.prompt if kind == DatasetKind.PROMPTS else self.judgment])


def imports_of(found: Iterable[int | None]) -> tuple[int, ...]:
    """As Origin.completions.

    >>> imports_of([7, None, 3, 7])
    (3, 7)
    """
    return tuple(sorted({each for each in found if each is not None}))


class _IsAmong(Func):
    """A number, and a JSON list that may hold it."""

    output_field = BooleanField()
    conditional = True

    def as_sqlite(self, compiler, connection, **context):
        among = " IN (SELECT value FROM json_each("
        return self.as_sql(compiler, connection, template="%(expressions)s))", arg_joiner=among, **context)

    def as_postgresql(self, compiler, connection, **context):
        among = " IN (SELECT value::bigint FROM jsonb_array_elements_text("
        return self.as_sql(compiler, connection, template="%(expressions)s))", arg_joiner=among, **context)


def of_files(model: type[Model], ids: tuple[int, ...]) -> Q:
    """Demonstrations, Rankings, Prompts or Completions that hold something of one of these imports."""
    condition = Q()
    for column in _columns(model):
        condition |= Q(**{f"{column}__in": ids})
    for completions in _completions(model, ids):
        condition |= Q(completions)
    return condition


def not_of_files(model: type[Model], ids: tuple[int, ...]) -> Q:
    """Those that hold nothing of any of these imports."""
    condition = Q()
    for column in _columns(model):
        condition &= not_among(column, ids)
    for completions in _completions(model, ids):
        condition &= Q(~completions)
    return condition


def not_among(column: str, ids: tuple[int, ...]) -> Q:
    """Spelled out, because NOT IN over a missing value would leave the row out in SQL: a row that has none of
    the kind stays."""
    return Q(**{column: None}) | ~Q(**{f"{column}__in": ids})


def _columns(model: type[Model]) -> tuple[str, ...]:
    if model is Prompt:
        return ("import_record",)
    if model is Completion:
        return ("import_record", "prompt__import_record")
    both = ("submission__import_record", "submission__prompt__import_record")
    return (*both, "started_from__import_record") if model is Demonstration else both


def _completions(model: type[Model], ids: tuple[int, ...]) -> tuple[Exists, ...]:
    """Whether a ranking's completions came with one of these: its task's, or an imported ranking's own, which
    may have come with an earlier file than the ranking."""
    if model is not Ranking:
        return ()
    asked = TaskCompletion.objects.filter(
        task=OuterRef("submission__task"), completion__import_record__in=ids
    )
    imported = Completion.objects.filter(
        _IsAmong(F("pk"), OuterRef("presented_order")),
        prompt=OuterRef("submission__prompt"),
        import_record__in=ids,
    )
    return Exists(asked), Exists(imported)
