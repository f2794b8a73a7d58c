"""What the writers of export formats share."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from .canonical import pair_margin, pairs_from_ranks
from .errors import ExportError

JSONL = "application/x-ndjson"
CSV = "text/csv; charset=utf-8"
TSV = "text/tab-separated-values; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


class CannotHold(Exception):
    """This format has no place for that row; the message is the reason, the same for all rows like it."""


@dataclass(frozen=True)
class ExportFormat:
    """`columns`: of a table (CSV; TSV by its media type), in order; None for JSON lines. `is_text`: lines
    of {"text"} alone. `marks`: a dataclass of what can be chosen; then `encode` takes (row, marks).
    `holds_fields`: whether the prompt's fields go along (`spread_fields`)."""

    name: str
    kinds: tuple[str, ...]
    extension: str
    media_type: str
    description: str
    encode: Callable[..., Iterator[Mapping[str, Any]]]
    columns: tuple[str, ...] | None = None
    is_text: bool = False
    marks: type | None = None
    holds_fields: bool = True

    def marks_of(self, chosen: Mapping[str, Any] | None) -> Any:
        """An instance of `marks` with what was chosen. Raises ExportError for what there is not to choose."""
        if not chosen:
            return self.marks() if self.marks else None
        known = {each.name: each for each in fields(self.marks)} if self.marks else {}
        for name, value in chosen.items():
            if name not in known:
                raise ExportError(
                    f"{self.name} has no {name!r} to choose; it has: {', '.join(known) or 'nothing'}"
                )
            if type(value) is not type(known[name].default):
                raise ExportError(f"{name} must be of type {type(known[name].default).__name__}")
        return self.marks(**chosen) if self.marks else None


# Of the fields of prompts those that other tools read too stand beside the row's own; the others together.
LABELS, FIELDS = ("category", "language"), "fields"


def field_columns(names: Sequence[str]) -> tuple[str, ...]:
    """The columns in which a table holds fields of these names.

    >>> field_columns(["category", "licence", "source"])
    ('category', 'fields')
    """
    others = (FIELDS,) if any(name not in LABELS for name in names) else ()
    return (*(name for name in LABELS if name in names), *others)


def spread_fields(fields: Mapping[str, Any], *, as_cells: bool = False) -> dict[str, Any]:
    """The fields of a row's prompt as an exported row has them; in the cells of a table the others are JSON.

    >>> spread_fields({"category": "law", "source": "web"})
    {'category': 'law', 'fields': {'source': 'web'}}
    """
    out = {name: fields[name] for name in LABELS if name in fields}
    if others := {name: value for name, value in fields.items() if name not in LABELS}:
        out[FIELDS] = json.dumps(others, ensure_ascii=False, sort_keys=True) if as_cells else others
    return out


def flat_prompt(messages):
    """{"prompt"} or {"system", "prompt"} of a single-turn prompt."""
    system = messages[0]["content"] if messages[0]["role"] == "system" else None
    turns = messages[1:] if system is not None else messages
    if len(turns) != 1:
        raise CannotHold("the prompt has several turns, the format one; messages hold them")
    prompt = {"prompt": turns[0]["content"]}
    return prompt if system is None else {"system": system, **prompt}


def decided_pairs(row):
    """(better text, worse text, {"margin"} or {}) of each decided pair."""
    texts = [completion["text"] for completion in row["completions"]]
    ranks, margins = row["ranks"], row["margins"]
    for pair in pairs_from_ranks(ranks):
        best, worst = texts[pair[0]], texts[pair[1]]
        if best == worst:
            continue  # the same text twice: no preference can be learnt from it, and importers refuse it
        margin = None if margins is None else pair_margin(ranks, margins, pair)
        yield best, worst, {} if margin is None else {"margin": margin}


def check_tabs(cells: Mapping[str, Any]) -> None:
    """Raises CannotHold for what a table with tabs, which has no quoting, cannot hold in a cell."""
    if any(type(v) is str and ("\t" in v or v.splitlines() not in ([], [v])) for v in cells.values()):
        raise CannotHold("a text holds a tab or a line break, which a table with tabs has no place for")


def one_line(prompt: str) -> str:
    """A prompt as a line of a file of lines. Raises CannotHold for what would not come back."""
    if prompt.splitlines() != [prompt]:
        raise CannotHold("the prompt has line breaks, and a line is one prompt")
    if prompt.startswith(("\ufeff", "{", "[")):
        raise CannotHold("the prompt begins as a file of another format does: with a byte order mark, { or [")
    return prompt


def turn(text):
    return {"role": "assistant", "content": text}
