"""What stands beside the texts of a row and was written by somebody all the same: comments on stretches,
answers to a form's questions, fields, other columns of a file. Personal data may stand there too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def words_beside(row: Mapping[str, Any]) -> list[str]:
    """Everything of a canonical row that somebody typed and that is neither prompt nor answer."""
    words = [note["comment"] for note in row.get("notes", ())]
    words += [given.get("note", "") for given in row.get("unrankable_reasons", {}).values()]
    return [*words, *texts_within(row.get("source", {}).get("answers")), *texts_within(row.get("fields"))]


def texts_within(value: Any) -> Iterator[str]:
    """Every text in JSON; names of fields are none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts_within(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts_within(each)
