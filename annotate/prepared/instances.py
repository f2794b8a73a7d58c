"""Model instances out of rows, as ModelIterable makes them, at a quarter of its price.

Django's way from a row to an instance sets every column through its descriptor and sends two signals. For the
models of the hand-out's statements nothing listens and no descriptor does more than to store the value, which
is checked when the statement is compiled; so the columns are put straight into the instance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model, signals
from django.db.models.base import ModelState
from django.db.models.query_utils import DeferredAttribute

PLAIN = (Model.__init__, Model.from_db.__func__, Model.__new__)  # type: ignore[attr-defined]


class Maker:
    """Makes one model's instances out of its columns of a row, with what select_related hangs on them.

    info, select: Django's, of the compiled query. Raises TypeError for a model that does something of its own
    when an instance is made, and for columns that were left out.
    """

    def __init__(self, info: dict[str, Any], select: Sequence[Any]) -> None:
        self.model = info["model"]
        fields = info["select_fields"]
        self.start, self.end = fields[0], fields[-1] + 1
        self.names = [each[0].target.attname for each in select[self.start : self.end]]
        _refuse_custom(self.model, self.names)
        self.key = self.start + self.names.index(self.model._meta.pk.attname)
        self.related = [
            (Maker(each, select), each["local_setter"], each["remote_setter"])
            for each in info.get("related_klass_infos", [])
        ]

    def make(self, row: Sequence[Any]) -> Any:
        """The instance; None where its key is: the far side of an outer join that found nothing."""
        if row[self.key] is None:
            return None
        instance = self.model.__new__(self.model)
        state = instance._state = ModelState()
        state.db, state.adding = DEFAULT_DB_ALIAS, False
        instance.__dict__.update(zip(self.names, row[self.start : self.end], strict=True))
        for maker, set_here, set_there in self.related:
            other = maker.make(row)
            set_here(instance, other)
            if other is not None:
                set_there(other, instance)
        return instance


def _refuse_custom(model: type[Model], names: Sequence[str]) -> None:
    own = (model.__init__, getattr(model.from_db, "__func__", None), model.__new__) != PLAIN
    if own or any(each.has_listeners(model) for each in (signals.pre_init, signals.post_init)):
        raise TypeError(f"{model.__name__} does something of its own when an instance is made.")
    fields = {field.attname: field for field in model._meta.concrete_fields}
    if fields.keys() != set(names) or model._meta.parents:
        raise TypeError(f"Prepare all columns of {model.__name__}: none deferred, no inherited tables.")
    for name, field in fields.items():
        if (
            not issubclass(field.descriptor_class, DeferredAttribute)
            or type(model.__dict__.get(name, field.descriptor_class(field))) is not field.descriptor_class
        ):
            raise TypeError(f"{model.__name__}.{name} is more than a stored value.")
