"""CSV and TSV, read strictly and a row at a time."""

import csv
from collections import Counter
from collections.abc import Iterator

from .errors import FormatError, RowError
from .limits import DEFAULT_LIMITS, Limits
from .sources import ByteSource
from .strict_json import decode_utf8

# The csv module's own limit (131,072 characters) is one number for the whole process. Ours is the limit of a
# row's bytes, checked on each line below, so the module's only has to stay out of the way.
csv.field_size_limit(max(csv.field_size_limit(), DEFAULT_LIMITS.max_line_bytes * 4))

# The column in which our own tables name those of a row that got an apostrophe in front, so that no
# spreadsheet runs them. Only there it is taken away again: one that somebody wrote is theirs.
NEUTRALISED = "neutralised"
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


def sniff_delimiter(header: str) -> str:
    """The separator that a header line uses most outside quotes; a comma where it uses none."""
    unquoted = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=lambda mark: (unquoted.count(mark), mark == ","))


def read_delimited(
    source: ByteSource, delimiter: str, limits: Limits, on_fault=None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields (data row from 1, {column: cell}); the header and blank lines are not counted.

    Tab-separated files are read without quoting, as text/tab-separated-values defines them; the others by
    RFC 4180 with line breaks inside quoted cells kept. Raises FormatError for a quote never closed, text
    after a closing quote, a ragged row, a column named twice, and bytes that are not UTF-8.
    """
    table = _Table(source, delimiter, limits)
    header = _header(table, limits)
    for cells in table.rows():
        fault = _row_fault(cells, header)
        if fault is None:
            yield table.row, _restored(dict(zip(header, cells, strict=True)))
            continue
        fault.located(file=source.filename, row=table.row)
        if on_fault is None:
            raise fault
        on_fault(fault)


def _restored(values: dict[str, str]) -> dict[str, str]:
    """The row as it was before it was neutralised; anything else under that name is metadata."""
    names = values[NEUTRALISED].split() if NEUTRALISED in values else None
    if names is None or not all(values.get(name, "").startswith("'") for name in names):
        return values
    whole = {name: value for name, value in values.items() if name != NEUTRALISED}
    return whole | {name: values[name][1:] for name in names}


def _row_fault(cells, header) -> RowError | None:
    if len(cells) != len(header):
        return RowError(f"{_count(len(cells), 'cell')} where {len(header)} were expected")
    for column, cell in zip(header, cells, strict=True):
        if "\0" in cell:
            return RowError("has a NUL character, which cannot be stored", field=column)
    return None


def _count(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class _Table:
    """The csv module's reader with our limits, and with its errors in our words."""

    def __init__(self, source, delimiter, limits):
        self._source = source
        self._limits = limits
        self.row = 0  # of the data row read last; 0 is the header
        self._row_bytes = 0
        if delimiter == "\t":
            self._reader = csv.reader(self._lines(), delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
        else:
            self._reader = csv.reader(self._lines(), delimiter=delimiter, strict=True)

    def _lines(self):
        for line in self._source.lines():
            self._row_bytes += len(line)
            if self._row_bytes > self._limits.max_line_bytes:
                raise self._source.too_long(row=self._next_row())
            yield decode_utf8(line)

    def _next_row(self):
        return self.row + 1 if self._has_header else None

    _has_header = False

    def header(self):
        for cells in self._guarded():
            if cells:
                self._has_header = True
                return cells
        return None

    def rows(self):
        for cells in self._guarded():
            if cells:
                self.row += 1
                yield cells

    def _guarded(self):
        while True:
            self._row_bytes = 0
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except FormatError as error:
                error.is_row_fault = False  # the reader cannot be asked for the row after it
                error.row = self._next_row()  # the source counts physical lines, a table its data rows
                raise error.located(file=self._source.filename) from None
            except csv.Error as error:
                raise self._explain(error) from error
            yield cells

    def _explain(self, error):
        text = str(error)
        hint = None
        if "unexpected end of data" in text:
            problem = "a quote is opened and never closed"
        elif "expected after" in text:
            problem = "text after a closing quote"
            hint = 'Inside a quoted cell a quote is written twice: "".'
        elif "new-line character" in text:
            problem = "a bare carriage return outside quotes"
            hint = "End lines with a line feed, or quote the cell."
        else:
            problem = f"not readable as a table ({text})"
        return FormatError(problem, file=self._source.filename, row=self._next_row(), hint=hint)


def _header(table, limits):
    cells = table.header()
    name = table._source.filename
    if cells is None:
        raise FormatError("nothing to import: it has no rows", file=name)
    if len(cells) > limits.max_columns:
        raise FormatError(f"{len(cells):,} columns; at most {limits.max_columns:,} are read", file=name)
    columns = [cell.strip() or f"column_{number}" for number, cell in enumerate(cells, start=1)]
    if any("\0" in column for column in columns):
        raise FormatError("a column's name has a NUL character, which cannot be stored", file=name)
    twice = [column for column, times in Counter(columns).items() if times > 1]
    if twice:
        raise FormatError(f"column {twice[0]} is there twice", file=name, field=twice[0])
    return columns
