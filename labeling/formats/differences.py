"""What differs between two rows of one id, field by field."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


class _Absent:
    """Stands for a field that a row does not have: null is a value."""

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


ABSENT: Any = _Absent()


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """`field`: names and positions (from 0) joined by dots. `old` or `new` is ABSENT where one row has no
    such field."""

    field: str
    old: Any
    new: Any

    def to_json(self) -> dict[str, Any]:
        """{"field", "old", "new"}; what is absent is not named."""
        sides = {"old": self.old, "new": self.new}
        return {"field": self.field} | {name: value for name, value in sides.items() if value is not ABSENT}


def field_differences(old: Any, new: Any, field: str = "") -> Iterator[FieldDifference]:
    """The smallest fields that differ, by name; lists position by position, what is longer as added or
    removed.

    >>> [each.field for each in field_differences({"a": [1, 2], "b": 1}, {"a": [1, 3, 4], "b": 1})]
    ['a.1', 'a.2']
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            yield from field_differences(old.get(name, ABSENT), new.get(name, ABSENT), _below(field, name))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            left = old[index] if index < len(old) else ABSENT
            right = new[index] if index < len(new) else ABSENT
            yield from field_differences(left, right, _below(field, str(index)))
    elif type(old) is not type(new) or old != new:
        yield FieldDifference(field, old, new)


def _below(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name
