"""The fields of a draft in the shapes that work screens expect.

A draft is saved as it was sent, whatever a program sends: no word may be lost for a wrong bracket. So shapes
are looked at when it is read: a field of another shape counts as not there, and stays in the stored draft.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from labeling.models import Draft

WORDS = {"text", "rationale", "strength", "neither_reason", "neither_note", "prompt", "category"}
SEVERAL = ("prompt_flags", "flag-", "answer.")  # fields, or the beginnings of their names


def readable_fields(draft: Draft) -> dict[str, Any]:
    """The draft's fields without those whose value no screen could show."""
    return {name: value for name, value in draft.body.items() if _fits(name, value)}


def texts_of_field(value: Any) -> list[str]:
    """A form's field that may occur several times: one value is text, several are a list."""
    if value in (None, ""):
        return []
    return [str(each) for each in (value if isinstance(value, list) else [value])]


def _fits(name: str, value: Any) -> bool:
    if name in STRUCTURED:
        return STRUCTURED[name](_parsed(value))
    if name.startswith(SEVERAL):
        return _is_scalar(value) or _is_list(value)
    if name in WORDS or name.startswith("score-"):
        return _is_scalar(value)
    return True


def _parsed(value: Any) -> Any:
    """Forms send JSON text, programs the value itself."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value or "null")
    except (ValueError, RecursionError):
        return None


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _list_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _object_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


_is_list = _list_of(_is_scalar)
_is_text = _list_of(lambda value: isinstance(value, str))

STRUCTURED: dict[str, Callable[[Any], bool]] = {
    "tiers": _list_of(_is_list),
    "unrankable": _is_text,
    "touched": _is_text,
    "margins": _is_list,
    "scores": _object_of(_is_scalar),
    "flags": _object_of(_is_list),
    "unrankable_reasons": _object_of(_object_of(_is_scalar)),
    "notes": _list_of(lambda value: isinstance(value, dict)),
    "set_aside": _list_of(_object_of(_is_scalar)),
}
