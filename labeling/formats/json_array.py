"""The elements of one JSON array, cut out of a stream one at a time so that memory stays flat."""

import re
from collections.abc import Iterator

from .errors import FormatError
from .limits import Limits
from .sources import ByteSource
from .strict_json import parse_json

# One token: a whole string (or one that has not ended yet), or a mark of structure.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|[\[\]{},]', re.DOTALL)
_SPACE = b" \t\r\n"


def read_json_array(source: ByteSource, limits: Limits, on_fault=None) -> Iterator[tuple[int, object]]:
    """Yields (number from 1, value) for each element of the array that `source` is.

    Raises FormatError naming the element, and the line and column in the file, for anything that is not one
    whole array: an early end, trailing commas, comments, data after the closing bracket.
    """
    cutter = _ElementCutter(source, limits)
    for number, element, offset in cutter.elements():
        try:
            value = parse_json(element, limits=limits)
        except FormatError as error:
            line, column = cutter.place(offset + len(element) - len(element.lstrip(_SPACE)))
            error.problem += f" (the record begins at line {line}, column {column})"
            # Where the text itself is broken the next element cannot be trusted to begin where it seems to.
            error.is_row_fault = error.field is not None
            error.located(file=source.filename, row=number)
            if on_fault is None or not error.is_row_fault:
                raise
            on_fault(error)
            continue
        yield number, value


class _ElementCutter:
    """Finds where elements begin and end by counting brackets outside strings; parses nothing."""

    def __init__(self, source, limits):
        self._source = source
        self._limits = limits
        self._chunks = source.chunks()
        self._buffer = b""
        self._dropped_lines = 0  # line feeds before the buffer
        self._column_base = 0  # bytes between the last of those and the buffer
        self._number = 1

    def place(self, offset):
        """Line and column (in bytes), both from 1, of a position in the buffer."""
        before = self._buffer[:offset]
        feeds = before.count(b"\n")
        column = offset - before.rfind(b"\n") if feeds else self._column_base + offset + 1
        return self._dropped_lines + feeds + 1, column

    def elements(self) -> Iterator[tuple[int, bytes, int]]:
        self._buffer = next(self._chunks, b"")
        position = self._skip_space(0)
        if self._buffer[position : position + 1] != b"[":
            raise self._fault(position, "a JSON array must begin with [")
        start = position + 1
        while True:
            end, mark = self._find_end(start)
            element = self._buffer[start:end]
            if end - start > self._limits.max_line_bytes:
                raise self._source.too_long(row=self._number)
            if element.strip(_SPACE):
                yield self._number, element, start
                self._number += 1
            elif mark == b"," or self._number > 1:
                raise self._fault(end, "a value is missing before " + mark.decode() + " (trailing comma?)")
            start = self._drop(end + 1)
            if mark == b"]":
                break
        position = self._skip_space(start)
        if position < len(self._buffer):
            raise self._fault(position, "extra data after the array")

    def _find_end(self, start):
        """Position and mark of the comma or bracket that ends the element beginning at `start`."""
        depth, position = 0, start
        while True:
            match = _TOKEN.search(self._buffer, position)
            if match is None or (match[0][:1] == b'"' and not match[1]):
                # Nothing more in the buffer, or a string that goes on behind it: scan again from there.
                position = len(self._buffer) if match is None else match.start()
                self._read_more(start)
                continue
            mark, position = match[0], match.end()
            if mark in (b"[", b"{"):
                depth += 1
                if depth > self._limits.max_depth:
                    raise self._fault(match.start(), f"nested more than {self._limits.max_depth} levels deep")
            elif depth == 0 and mark in (b",", b"]"):
                return match.start(), mark
            elif mark in (b"]", b"}"):
                depth -= 1
                if depth < 0:
                    raise self._fault(match.start(), "a closing } without its opening {")

    def _read_more(self, start):
        if len(self._buffer) - start > self._limits.max_line_bytes:
            raise self._source.too_long(row=self._number)
        # Strings are scanned again from their start: growing by doubling keeps that linear in their length.
        wanted = max(1, len(self._buffer) - start)
        pieces, size = [self._buffer], 0
        while size < wanted:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            pieces.append(chunk)
            size += len(chunk)
        if not size:
            raise self._fault(len(self._buffer), "the JSON array ends early: its closing ] is missing")
        self._buffer = b"".join(pieces)

    def _drop(self, position):
        """Forgets the buffer before `position` once that is worth a copy; returns where `position` is now."""
        if position < 128 * 1024:
            return position
        line, column = self.place(position)
        self._dropped_lines, self._column_base = line - 1, column - 1
        self._buffer = self._buffer[position:]
        return 0

    def _skip_space(self, position):
        while True:
            rest = self._buffer[position:].lstrip(_SPACE)
            if rest:
                return len(self._buffer) - len(rest)
            position = len(self._buffer)
            chunk = next(self._chunks, b"")
            if not chunk:
                return position
            position = self._drop(position)
            self._buffer += chunk

    def _fault(self, position, problem):
        line, column = self.place(position)
        return FormatError(
            f"{problem}, at line {line}, column {column}", file=self._source.filename, row=self._number
        )
