"""Looking into a version's files: pages of rows, and a search through them."""

from __future__ import annotations

import bisect
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from annotate.errors import Conflict
from annotate.words import _
from labeling.formats import SPLITS
from labeling.models import DatasetVersion

from .dataset_files import lines_at, offset_of
from .datasets import split_path

PER_PAGE = 20
MOST_MATCHES = 1_000  # a search stops there
# What reading files raises that somebody changed.
SPOILT = (orjson.JSONDecodeError, UnicodeDecodeError, FileNotFoundError, IndexError, KeyError, TypeError)


class Wanted(NamedTuple):
    """What rows of a page have; without text and field it wants all."""

    text: str
    field: str = ""
    value: str = ""


@dataclass
class RowPage:
    """Rows of one page as (number in the split from 1, row). `total` counts matches where a text was looked
    for."""

    number: int
    total: int
    per_page: int
    rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    is_cut: bool = False  # the search stopped at MOST_MATCHES

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.per_page))

    @property
    def previous(self) -> int | None:
        return self.number - 1 if self.number > 1 else None

    @property
    def next(self) -> int | None:
        return self.number + 1 if self.number < self.pages else None


def browse_rows(
    *,
    version: DatasetVersion,
    split: str,
    text: str = "",
    field: str = "",
    value: str = "",
    page: int = 1,
    per_page: int = PER_PAGE,
) -> RowPage:
    """One page of a split, through its index; with `text`, of the rows that hold it, whatever the case; with
    `field`, of those whose prompt's field of that name has this value as text ("none" for rows without).

    Raises as `split_path` does, and Conflict where the files are not as they were frozen.
    """
    path = split_path(version=version, split=split)
    try:
        return _browse(version, path, split, Wanted(text, field, value), page, per_page)
    except SPOILT as error:
        raise _not_as_frozen(version) from error


def _not_as_frozen(version: DatasetVersion) -> Conflict:
    return Conflict(
        _("The files of %(version)s are not as they were frozen.") % {"version": version},
        code="files_changed",
        hint="Verify it to see which, and restore them from a backup.",
    )


def _browse(
    version: DatasetVersion, path: Path, split: str, wanted: Wanted, page: int, per_page: int
) -> RowPage:
    if not (wanted.text or wanted.field):  # a value alone looks for nothing: it is there with every request
        found = RowPage(page, version.row_counts.get(split, 0), per_page)
        found.number = min(max(1, page), found.pages)
        first = (found.number - 1) * per_page
        lines: Iterator[tuple[int, bytes]] = enumerate(
            lines_at(version, split, first, per_page), start=first + 1
        )
    else:
        matches = list(islice(_matches(path, wanted), MOST_MATCHES + 1))
        found = RowPage(page, min(len(matches), MOST_MATCHES), per_page, is_cut=len(matches) > MOST_MATCHES)
        found.number = min(max(1, page), found.pages)
        first = (found.number - 1) * per_page
        numbers = matches[: found.total][first : first + per_page]
        lines = ((number, lines_at(version, split, number - 1, 1)[0]) for number in numbers)
    found.rows = [(number, orjson.loads(line)) for number, line in lines]
    return found


def find_row(*, version: DatasetVersion, row_id: str) -> tuple[str, int] | None:
    """(split, number from 1) of the row with this id; None where the version has none. Reads the files up to
    it, some hundred MB a second. Raises as `browse_rows` does."""
    needle = orjson.dumps({"id": row_id})[1:-1]
    for split in SPLITS:
        path = split_path(version=version, split=split)
        if not path.stat().st_size:
            continue
        try:
            start = _start_of(path, needle, row_id)
            if start is not None:
                return split, _number_at(version, split, start)
        except SPOILT as error:
            raise _not_as_frozen(version) from error
    return None


def _start_of(path: Path, needle: bytes, row_id: str) -> int | None:
    """Where the line of the row with this id begins."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.find(needle)
        while place >= 0:
            start = data.rfind(b"\n", 0, place) + 1
            end = data.find(b"\n", place)
            # A completion may have the same id as another's row.
            if orjson.loads(data[start:end])["id"] == row_id:
                return start
            place = data.find(needle, end)
    return None


def _number_at(version: DatasetVersion, split: str, offset: int) -> int:
    """The number, from 1, of the row that begins there: a binary search in the index."""
    rows = range(version.row_counts.get(split, 0))
    return bisect.bisect_left(rows, offset, key=lambda row: offset_of(version, split, row)) + 1


def _matches(path, wanted: Wanted) -> Iterator[int]:
    """Numbers of the rows whose line holds the text; the line is searched as JSON writes it."""
    needle = orjson.dumps(wanted.text)[1:-1].decode().casefold()
    with open(path, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if needle in line.casefold() and (
                not wanted.field or _has_field(orjson.loads(line), wanted.field, wanted.value)
            ):
                yield number


def value_as_text(value: Any) -> str:
    """A field's value as pages show it and filters name it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _has_field(row: dict[str, Any], field: str, value: str) -> bool:
    fields = row.get("fields", {})
    return value_as_text(fields[field]) == value if field in fields else value == "none"


# --- Rows by cursor, for programs -------------------------------------------------------------------------
MOST_SCANNED = 200_000  # rows looked at for one answer; the cursor goes on from there
SOURCE_FILTERS = ("annotator", "import", "guideline_version", "review", "batch", "judgment")


@dataclass
class RowsAfter:
    """Rows behind a cursor, and the cursor to go on with; None at the end of the split. A page may be
    short, or empty, though `next` goes on: then nothing among the rows looked at fitted."""

    rows: list[dict[str, Any]]
    next: int | None


def rows_after(
    *,
    version: DatasetVersion,
    split: str,
    cursor: int = 0,
    limit: int = 100,
    filters: dict[str, str] | None = None,
) -> RowsAfter:
    """Up to `limit` rows of a split behind the row number `cursor` that fit all filters: a key of
    SOURCE_FILTERS with its value as text ("none" for null), `prompt` with the prompt's id, or `field` and
    `value` as in `browse_rows`.

    Raises as `split_path` does, and Conflict where the files are not as they were frozen.
    """
    path = split_path(version=version, split=split)
    total = version.row_counts.get(split, 0)
    found: list[dict[str, Any]] = []
    number = cursor
    try:
        with open(path, "rb") as file:
            file.seek(offset_of(version, split, cursor) if cursor < total else 0)
            while number < total and len(found) < limit and number - cursor < MOST_SCANNED:
                row = orjson.loads(file.readline())
                number += 1
                if _fits(row, filters or {}):
                    found.append(row)
    except (orjson.JSONDecodeError, FileNotFoundError, IndexError) as error:
        raise Conflict(
            _("The files of %(version)s are not as they were frozen.") % {"version": version},
            code="files_changed",
        ) from error
    return RowsAfter(found, number if number < total else None)


def _fits(row: dict[str, Any], filters: dict[str, str]) -> bool:
    sought = dict(filters)
    field, value = sought.pop("field", ""), sought.pop("value", "none")
    if field and not _has_field(row, field, value):
        return False
    for name, wanted in sought.items():
        value = row["prompt_id"] if name == "prompt" else row.get("source", {}).get(name)
        if ("none" if value is None else str(value)) != wanted:
            return False
    return True
