"""Every text that a program may send: read from the serializers of the requests, as the schema knows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from rest_framework import serializers

# Their values are of a shape of their own, which bounds them.
SHAPED = (serializers.UUIDField, serializers.IPAddressField, serializers.RegexField)


@dataclass(frozen=True)
class Text:
    """One place for a text in the body of a request; `longest` is None where nothing bounds it."""

    serializer: serializers.BaseSerializer
    path: str
    longest: int | None
    body: Callable[[str], Any]  # the text -> a body with that text in its place, and nothing else

    def __str__(self) -> str:
        return f"{type(self.serializer).__name__}.{self.path}"


def request_serializers() -> list[serializers.BaseSerializer]:
    """One of each class that reads the body of a request."""
    generator = SchemaGenerator()
    generator._initialise_endpoints()
    found: dict[type, serializers.BaseSerializer] = {}
    for _path, _regex, method, view in generator._get_paths_and_endpoints():
        if method not in ("POST", "PUT", "PATCH"):
            continue
        view.schema.view = view
        view.schema.method = method
        made = view.schema.get_request_serializer()
        for each in made.values() if isinstance(made, dict) else [made]:
            one = each() if isinstance(each, type) else each
            one = one.child if isinstance(one, serializers.ListSerializer) else one
            if isinstance(one, serializers.BaseSerializer):
                found.setdefault(type(one), one)
    return list(found.values())


def all_texts() -> list[Text]:
    return [
        Text(one, path.lstrip("."), longest, body)
        for one in request_serializers()
        for path, longest, body in _texts(one)
    ]


def _texts(field: serializers.Field) -> Iterator[tuple[str, int | None, Callable[[str], Any]]]:
    """The texts in one field, those of lists, dictionaries and serializers within it included."""
    if field.read_only:
        return
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        for path, longest, body in _texts(field.child):
            yield f".*{path}", longest, lambda text, body=body: [body(text)]
    elif isinstance(field, serializers.DictField):
        for path, longest, body in _texts(field.child):
            yield f".*{path}", longest, lambda text, body=body: {"a": body(text)}
    elif isinstance(field, serializers.Serializer):
        for name, inner in field.fields.items():
            for path, longest, body in _texts(inner):
                yield f".{name}{path}", longest, lambda text, name=name, body=body: {name: body(text)}
    elif isinstance(field, serializers.CharField) and not isinstance(field, SHAPED):
        yield "", field.max_length, lambda text: text
