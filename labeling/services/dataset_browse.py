"""Looking into a version's files: pages of rows, and a search through them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from annotate.errors import Conflict
from annotate.words import _
from labeling.models import DatasetVersion

from .dataset_files import lines_at
from .datasets import split_path

MOST_MATCHES = 1_000  # a search stops there


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
    *, version: DatasetVersion, split: str, text: str = "", page: int = 1, per_page: int = 20
) -> RowPage:
    """One page of a split, through its index; with `text`, of the rows that hold it, whatever the case.

    Raises as `split_path` does, and Conflict where the files are not as they were frozen.
    """
    path = split_path(version=version, split=split)
    try:
        return _browse(version, path, split, text, page, per_page)
    except (orjson.JSONDecodeError, UnicodeDecodeError, FileNotFoundError, IndexError) as error:
        raise Conflict(
            _("The files of %(version)s are not as they were frozen.") % {"version": version},
            code="files_changed",
            hint="Verify it to see which, and restore them from a backup.",
        ) from error


def _browse(version: DatasetVersion, path: Path, split: str, text: str, page: int, per_page: int) -> RowPage:
    if not text:
        found = RowPage(page, version.row_counts.get(split, 0), per_page)
        found.number = min(max(1, page), found.pages)
        first = (found.number - 1) * per_page
        lines: Iterator[tuple[int, bytes]] = enumerate(
            lines_at(version, split, first, per_page), start=first + 1
        )
    else:
        matches = list(islice(_matches(path, text), MOST_MATCHES + 1))
        found = RowPage(page, min(len(matches), MOST_MATCHES), per_page, is_cut=len(matches) > MOST_MATCHES)
        found.number = min(max(1, page), found.pages)
        first = (found.number - 1) * per_page
        numbers = matches[: found.total][first : first + per_page]
        lines = ((number, lines_at(version, split, number - 1, 1)[0]) for number in numbers)
    found.rows = [(number, orjson.loads(line)) for number, line in lines]
    return found


def _matches(path, text: str) -> Iterator[int]:
    """Numbers of the rows whose line holds the text; the line is searched as JSON writes it."""
    needle = orjson.dumps(text)[1:-1].decode().casefold()
    with open(path, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if needle in line.casefold():
                yield number
