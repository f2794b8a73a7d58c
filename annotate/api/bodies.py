"""What requests of the API send, in the shape that they take; nothing else passes for a part of it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.serializers import ListSerializer, Serializer

from annotate.errors import Invalid
from annotate.words import _

from .filters import refuse_unknown

_threads = threading.local()
CSRF_FIELD = "csrfmiddlewaretoken"  # of forms that a page sends


def valid_input(serializer_class: type[Serializer], request) -> dict[str, Any]:
    """The request's body in the serializer's shape. Raises DRF's ValidationError, answered as 422, and
    Invalid (422) for names that the serializer takes no value for: left out in silence they pass for done.
    """
    taken = _kept(serializer_class)
    if unknown := sorted(_not_taken(taken, request.data)):
        names = sorted(name for name, each in taken.fields.items() if not each.read_only)
        raise _not_taken_here(unknown, hint=_("It takes: %(known)s.") % {"known": ", ".join(names)})
    return _valid(serializer_class, request.data)


def takes_nothing(**schema: Any) -> Callable[[Any], Any]:
    """`extend_schema` for a view whose request has no body: one that has is refused, by its names (422)."""

    def decorate(view: Any) -> Any:
        @extend_schema(request=None, **schema)
        @functools.wraps(view)
        def refusing(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            sent = request.data
            if (
                names := sorted(set(sent) - {CSRF_FIELD})
                if isinstance(sent, Mapping)
                else ["body"][: len(sent)]
            ):
                raise _not_taken_here(names, hint=_("It takes nothing: send no body."))
            return view(self, request, *args, **kwargs)

        return refusing

    return decorate


def valid_query(serializer_class: type[Serializer], request) -> dict[str, Any]:
    """The address's query in the serializer's shape. Raises as valid_input does, and Invalid (400) for names
    that the serializer does not know."""
    refuse_unknown(request, _kept(serializer_class).fields)
    return _valid(serializer_class, request.query_params)


def shaped(serializer_class: type[Serializer], row: Any) -> dict[str, Any]:
    """What the serializer makes of one row; it may know nothing of the request."""
    return _kept(serializer_class).to_representation(row)


def _not_taken_here(names: Sequence[str], hint: str) -> Invalid:
    message = _("This request takes no %(name)s.")
    return Invalid(
        message % {"name": names[0][:80]},
        code="unknown_field",
        field=names[0][:80],
        hint=str(hint),
        details=[{"field": name[:80], "message": message % {"name": name[:80]}} for name in names[:20]],
    )


def _not_taken(taken: Any, sent: Any, place: str = "") -> Iterator[str]:
    """Where `sent` names what the serializer does not take: "status", or "prompts.0.status" further in."""
    if isinstance(taken, ListSerializer) and isinstance(sent, list):
        for number, each in enumerate(sent):
            yield from _not_taken(taken.child, each, f"{place}{number}.")
    elif isinstance(taken, Serializer) and isinstance(sent, Mapping):
        for name in sent:
            field = taken.fields.get(name)
            if field is None or field.read_only:
                if name != CSRF_FIELD:
                    yield f"{place}{name}"
            else:
                yield from _not_taken(field, sent[name], f"{place}{name}.")


def _valid(serializer_class: type[Serializer], data: Any) -> dict[str, Any]:
    return _kept(serializer_class).run_validation(data)


def _kept(serializer_class: type[Serializer]) -> Serializer:
    """One instance a thread: making one copies all its fields, which costs more than what it does then."""
    kept = _threads.__dict__.setdefault("serializers", {})
    if serializer_class not in kept:
        kept[serializer_class] = serializer_class()
    return kept[serializer_class]
