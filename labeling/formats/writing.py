"""Files out: canonical rows streamed into an export format, memory flat."""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from .canonical import canonical_line
from .delimited import NEUTRALISED
from .errors import ExportError
from .export_base import TSV, CannotHold, ExportFormat, check_tabs, field_columns, spread_fields
from .exports import EXPORT_FORMATS

# What a spreadsheet takes for the start of a formula, the full-width forms included.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass
class ExportSummary:
    """What an export did: dataset rows read, rows written, and dataset rows left out by reason."""

    read: int = 0
    written: int = 0
    left_out: Counter = field(default_factory=Counter)


def write_rows(
    rows: Iterable[Mapping[str, Any]],
    format: str,
    fileobj: BinaryIO,
    *,
    marks: Mapping[str, Any] | None = None,
    fields: Sequence[str] = (),
) -> ExportSummary:
    """Writes canonical `rows` to a binary file in the export format of that name. Raises ExportError."""
    summary = ExportSummary()
    for line in export_lines(rows, format, summary=summary, marks=marks, fields=fields):
        fileobj.write(line)
    return summary


def export_lines(
    rows: Iterable[Mapping[str, Any]],
    format: str,
    *,
    summary: ExportSummary | None = None,
    marks: Mapping[str, Any] | None = None,
    fields: Sequence[str] = (),
) -> Iterator[bytes]:
    """The same, line by line, for a streamed answer; `summary`, where given, is filled while it runs.
    `marks`: what is chosen of a format that leaves something to choose. `fields`: those of prompts that the
    version's recipe includes; a table has columns for them."""
    export = find_format(format)
    columns = export.columns and (*export.columns, *field_columns(fields), NEUTRALISED)
    line_of = _line_writer(export, columns)
    if columns:
        yield _table_line(export, columns)
    for out in encoded_rows(rows, format, summary=summary, marks=marks):
        yield line_of(out)


def encoded_rows(
    rows: Iterable[Mapping[str, Any]],
    format: str,
    *,
    summary: ExportSummary | None = None,
    marks: Mapping[str, Any] | None = None,
) -> Iterator[Mapping[str, Any]]:
    """The rows of a format before they are bytes; arguments as for `export_lines`."""
    export = find_format(format)
    summary = ExportSummary() if summary is None else summary
    chosen = export.marks_of(marks)
    more = () if chosen is None else (chosen,)
    for row in rows:
        summary.read += 1
        try:
            encoded = [_with_fields(export, row, out) for out in export.encode(row, *more)]
        except CannotHold as reason:
            summary.left_out[str(reason)] += 1
            continue
        except (KeyError, IndexError, TypeError) as error:
            raise ExportError(
                f"row {summary.read} is not a canonical row of {'/'.join(export.kinds)}"
            ) from error
        summary.written += len(encoded)
        yield from encoded


def _with_fields(export: ExportFormat, row: Mapping[str, Any], out: Mapping[str, Any]) -> Mapping[str, Any]:
    if not export.holds_fields or not row.get("fields"):
        return out
    spread = spread_fields(row["fields"], as_cells=export.columns is not None)
    if export.media_type == TSV:
        check_tabs(spread)
    return {**out, **spread}


def _line_writer(
    export: ExportFormat, columns: tuple[str, ...] | None
) -> Callable[[Mapping[str, Any]], bytes]:
    if export.is_text:
        return lambda out: f"{out['text']}\n".encode()
    if columns is None:
        return canonical_line
    return lambda out: _table_line(export, _cells(out, columns))


def _table_line(export: ExportFormat, cells: Sequence[str]) -> bytes:
    return ("\t".join(cells) + "\n").encode() if export.media_type == TSV else _csv_line(cells)


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


def _cells(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """The last column names those that were changed, for the way back (delimited.NEUTRALISED)."""
    *named, _ = columns
    cells = [_cell(row.get(column)) for column in named]
    changed = [name for name, cell in zip(named, cells, strict=True) if cell[:1] == "'" and cell != row[name]]
    return [*cells, " ".join(changed)]


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
