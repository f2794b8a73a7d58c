"""Files out: canonical rows streamed into an export format, memory flat."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from .canonical import canonical_line
from .errors import ExportError
from .exports import EXPORT_FORMATS, CannotHold, ExportFormat

# What a spreadsheet takes for the start of a formula, the full-width forms included.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass
class ExportSummary:
    """What an export did: dataset rows read, rows written, and dataset rows left out by reason."""

    read: int = 0
    written: int = 0
    left_out: Counter = field(default_factory=Counter)


def write_rows(rows: Iterable[Mapping[str, Any]], format: str, fileobj: BinaryIO) -> ExportSummary:
    """Writes canonical `rows` to a binary file in the export format of that name. Raises ExportError."""
    summary = ExportSummary()
    for line in export_lines(rows, format, summary=summary):
        fileobj.write(line)
    return summary


def export_lines(
    rows: Iterable[Mapping[str, Any]], format: str, *, summary: ExportSummary | None = None
) -> Iterator[bytes]:
    """The same, line by line, for a streamed answer; `summary`, where given, is filled while it runs."""
    export = find_format(format)
    summary = ExportSummary() if summary is None else summary
    if export.columns:
        yield _csv_line(export.columns)
    for row in rows:
        summary.read += 1
        try:
            encoded = list(export.encode(row))
        except CannotHold as reason:
            summary.left_out[str(reason)] += 1
            continue
        except (KeyError, IndexError, TypeError) as error:
            raise ExportError(
                f"row {summary.read} is not a canonical row of {'/'.join(export.kinds)}"
            ) from error
        for out in encoded:
            summary.written += 1
            yield _csv_line(_cells(out, export.columns)) if export.columns else canonical_line(out)


def find_format(name: str) -> ExportFormat:
    try:
        return EXPORT_FORMATS[name]
    except KeyError:
        raise ExportError(
            f"unknown export format {name!r}; it is one of {', '.join(EXPORT_FORMATS)}"
        ) from None


def formats_for(kind: str) -> list[ExportFormat]:
    """The export formats that a dataset of this kind has: sft, comparison or prompts."""
    return [export for export in EXPORT_FORMATS.values() if kind in export.kinds]


def neutralise(text: str) -> str:
    """`text` as a cell that no spreadsheet runs: one that begins like a formula gets an apostrophe in front.

    >>> neutralise("=1+1"), neutralise("plain")
    ("'=1+1", 'plain')
    """
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def _cells(row, columns):
    return [_cell(row.get(column)) for column in columns]


def _cell(value):
    if value is None:
        return ""
    return neutralise(value) if type(value) is str else repr(value)


class _Line:
    """A file object that keeps the one line written to it, for the csv module to write to."""

    text = ""

    def write(self, text):
        self.text = text


def _csv_line(cells) -> bytes:
    line = _Line()
    # Everything quoted: a first cell that is empty, or holds a blank line, then still makes a row.
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return line.text.encode()
