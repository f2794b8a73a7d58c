"""The faulty rows of one import, all of them: a file of lines beside the import's, read out as CSV.

The record itself keeps the first few, for its page. The file is bounded too: MOST_LISTED faults, after which
they are counted only.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from labeling.formats import FormatError, neutralise
from labeling.models import ImportRecord

from .import_files import folder

FAULTS_KEPT = 200  # on the record, to look at
MOST_LISTED = 100_000
COLUMNS = ("row", "field", "message")
_PIECE_ROWS = 500


class FaultList:
    """Faults as they are found. `first` is for the record; `publish` makes the list the import's own."""

    def __init__(self, import_record: ImportRecord):
        self.count = 0
        self.first: list[dict[str, Any]] = []
        self._final = path_of(import_record)
        self._path = self._final.with_suffix(f".{os.getpid()}")
        self._file: BinaryIO | None = None

    def note(self, error: FormatError) -> None:
        self.count += 1
        fault = {"row": error.row, "field": error.field, "message": str(error)}
        if len(self.first) < FAULTS_KEPT:
            self.first.append(fault)
        if self.count <= MOST_LISTED:
            if self._file is None:
                self._final.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._file = self._path.open("wb")
            self._file.write(orjson.dumps(fault) + b"\n")

    def begin_anew(self) -> None:
        """The file is read once more: what was noted is noted again."""
        self.close()
        self._file = None
        self.count = 0
        self.first = []

    def publish(self) -> None:
        """The list replaces that of a former run; no fault, no list."""
        if self._file is None:
            self._final.unlink(missing_ok=True)
            return
        self._file.close()
        self._file = None
        self._path.replace(self._final)

    def close(self) -> None:
        """Nothing is left of a list that was not published."""
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)


def path_of(import_record: ImportRecord) -> Path:
    return folder() / "faults" / f"{import_record.pk}.jsonl"


def remove(import_record: ImportRecord) -> None:
    path_of(import_record).unlink(missing_ok=True)


def filename_of(import_record: ImportRecord) -> str:
    return f"{import_record.filename}.faults.csv"


def faults_as_csv(import_record: ImportRecord) -> Iterator[bytes]:
    """The header, then one line a fault, in the file's order; cells that spreadsheets would run are
    neutralised. An import that was refused as a whole has the one fault that it was refused for."""
    yield _lines([COLUMNS])
    piece: list[list[str]] = []
    for fault in _faults(import_record):
        piece.append([neutralise(str(fault.get(name) or "")) for name in COLUMNS])
        if len(piece) == _PIECE_ROWS:
            yield _lines(piece)
            piece = []
    if piece:
        yield _lines(piece)


def _faults(import_record: ImportRecord) -> Iterator[dict[str, Any]]:
    try:
        with path_of(import_record).open("rb") as file:
            for line in file:
                yield orjson.loads(line)
    except FileNotFoundError:  # of before lists were kept, or refused at its first fault
        yield from import_record.faults or [import_record.error or {}]


def _lines(rows) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
