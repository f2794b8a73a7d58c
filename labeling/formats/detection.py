"""What a file is, told by its content first and its name second."""

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import orjson

from .delimited import sniff_delimiter
from .errors import FormatError
from .shapes import choose_shape, known_fields
from .sources import PARQUET
from .stackexchange import is_dump

FORMATS = {
    "jsonl": "JSON lines, one object a line",
    "json": "one JSON array of objects",
    "csv": "comma- or semicolon-separated values with a header",
    "tsv": "tab-separated values with a header, without quoting",
    "text": "plain text, one prompt a line",
    "parquet": "Parquet, as Hugging Face datasets come",
    "stackexchange": "a Stack Exchange dump (Posts.xml): questions, answers and their votes",
}
_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_TABLE_SUFFIXES = (".csv", ".tsv", ".tab")
_ARRAY_START = re.compile(rb'\s*\[\s*(?:[\[{"\]]|\Z)')


@dataclass(frozen=True)
class Detection:
    """What a file is, told by its beginning.

    `sample_rows`: the first rows as {column: value}, before mapping. `kinds`: what they can be imported as,
    the most telling first. `shape`: which of a kind's shapes they have. `faults`: of rows among them that
    could not be read.
    """

    format: str
    compression: str
    delimiter: str | None = None
    columns: tuple[str, ...] = ()
    sample_rows: tuple[dict[str, Any], ...] = ()
    shape: str | None = None
    kinds: tuple[str, ...] = ()
    faults: tuple[FormatError, ...] = ()


def suffix_of(filename: str) -> str:
    suffixes = [suffix.lower() for suffix in PurePath(filename.replace("\\", "/")).suffixes]
    while suffixes and suffixes[-1] in (".gz", ".zst", ".zstd"):
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def detect_format(head: bytes, filename: str, kind: str | None) -> tuple[str, str | None]:
    """(format, delimiter) of a file that begins with `head`. Raises FormatError where nothing fits."""
    suffix = suffix_of(filename)
    body = head.lstrip()
    if head.startswith(PARQUET):
        return "parquet", None
    if is_dump(head):
        return "stackexchange", None
    if body.startswith(b"<?xml"):
        raise FormatError(
            "not a table, JSON or plain text: it is an XML document",
            file=filename,
            hint="Of XML only the posts of a Stack Exchange dump are read.",
        )
    header = head.split(b"\n", 1)[0].decode("utf-8", errors="replace")
    if _ARRAY_START.match(body):
        return "json", None
    if body.startswith(b"{") and (suffix in _JSON_SUFFIXES or _is_object(body.split(b"\n", 1)[0])):
        return "jsonl", None
    if suffix in _TABLE_SUFFIXES or _has_known_columns(header, kind):
        return _table(header)
    if suffix in _JSON_SUFFIXES:
        return "json" if suffix == ".json" else "jsonl", None
    if body.startswith(b"{") and suffix not in (".txt", ".text"):
        return "jsonl", None
    if kind in (None, "prompts"):
        return "text", None
    raise FormatError(
        "cannot tell its format",
        file=filename,
        hint=f"{kind.capitalize()} are read from JSON lines, a JSON array, CSV or TSV with a header, "
        "or Parquet.",
    )


def _table(header):
    delimiter = sniff_delimiter(header)
    return ("tsv" if delimiter == "\t" else "csv"), delimiter


def _is_object(line):
    try:
        return type(orjson.loads(line)) is dict
    except orjson.JSONDecodeError:
        return False


def _has_known_columns(header, kind):
    cells = {cell.strip(' "\r').lower() for cell in header.split(sniff_delimiter(header))}
    if len(cells) < 2 or not cells & known_fields():
        return False
    try:
        return choose_shape(dict.fromkeys(cells), kind or "prompts").is_whole(cells)
    except FormatError:
        return False
