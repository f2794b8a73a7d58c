"""Category, language and further fields of prompts in the rows of a version, where its recipe names some."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet

from labeling.models import Project, Prompt

from .bulk_reading import json_text_of, parsed, with_ids
from .prompts import chunked

if TYPE_CHECKING:
    from .selected_rows import Selected

COLUMNS = ("category", "language")  # of the prompt itself; every other name is a key of its metadata
CHUNK = 500
MOST_LOOKED_AT = 1_000  # prompts, the newest, whose keys a form offers
MOST_OFFERED = 50
INTEGERS = (-(2**63), 2**64)


def with_fields(rows: Iterable[Selected], names: Sequence[str]) -> Iterator[Selected]:
    """The same rows, each with `fields`: {name: value} of those its prompt has; a row whose prompt has none
    is left as it was. One query a chunk; memory stays flat. Call it inside the rows' snapshot."""
    for chunk in chunked(rows, CHUNK):
        wanted = {int(each.row["prompt_id"]) for each in chunk if each.row is not None}
        held = fields_of_prompts(wanted, names)
        for each in chunk:
            found = held.get(int(each.row["prompt_id"])) if each.row is not None else None
            if found:
                # A copy for each row: a mask of one must not reach the prompt's other rows.
                each = dataclasses.replace(each, row={**each.present_row, "fields": {**found}})
            yield each


def fields_of_prompts(prompts: set[int], names: Sequence[str]) -> dict[int, dict[str, Any]]:
    """{prompt: {name: value}} of the prompts that have any of these fields."""
    if not prompts:
        return {}
    rows = with_ids(Prompt.objects.order_by(), prompts)
    values = rows.values_list("pk", *COLUMNS, json_text_of("metadata"))
    return {
        pk: found
        for pk, category, language, metadata in values
        if (found := _chosen({"category": category, "language": language}, parsed(metadata), names))
    }


def _chosen(own: dict[str, str], metadata: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    chosen = {}
    for name in names:
        value = own[name] if name in own else metadata.get(name)
        if value is not None and value != "":
            chosen[name] = steady(value)
    return chosen


def steady(value: Any) -> Any:
    """JSON as it comes out of every database: a number that PostgreSQL hands back as 100, SQLite as 1e2 or
    100.0, is 100; one beyond 64 bits is a float.

    >>> steady({"a": [1e2, -0.0, 0.5, 10**30]})
    {'a': [100, 0, 0.5, 1e+30]}
    """
    if isinstance(value, dict):
        return {name: steady(each) for name, each in value.items()}
    if isinstance(value, list):
        return [steady(each) for each in value]
    if isinstance(value, float) and value.is_integer() and INTEGERS[0] <= value < INTEGERS[1]:
        return int(value)
    if type(value) is int and not INTEGERS[0] <= value < INTEGERS[1]:
        return float(value)
    return value


def count_fields(rows: QuerySet, of_prompts: bool, names: Sequence[str]) -> dict[str, int]:
    """{name: how many of the selected rows have a prompt with it}, a counting query each."""
    prefix = "" if of_prompts else "submission__prompt__"
    counts = {}
    for name in names:
        if name in COLUMNS:
            counts[name] = rows.exclude(**{f"{prefix}{name}": ""}).count()
        else:
            counts[name] = rows.filter(**{f"{prefix}metadata__has_key": name}).count()
    return counts


def offered_fields(project: Project) -> list[str]:
    """What a form offers: the columns, then the keys that the newest prompts have, the most frequent
    first."""
    keys: Counter[str] = Counter()
    newest = project.prompts.exclude(metadata={}).order_by("-pk").values_list("metadata", flat=True)
    for metadata in newest[:MOST_LOOKED_AT]:
        keys.update(name for name in metadata if name not in COLUMNS)
    ordered = sorted(keys, key=lambda name: (-keys[name], name))
    return [*COLUMNS, *ordered[:MOST_OFFERED]]
