"""Two frozen versions, row by row: what was added, removed and changed.

Neither side ever changes, so a comparison is made once and kept: DATA_DIR/comparisons/<old>-<new>.sqlite
holds one line per row that differs (its id and where it stands in both), never a row's content. That stays
in the versions' own files and is read for the rows of one page. The folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.db.models import QuerySet

from annotate.errors import Conflict, Invalid
from annotate.words import _
from labeling.formats import SPLITS
from labeling.formats.differences import FieldDifference, field_differences
from labeling.models import DatasetVersion, DatasetVersionStatus

from .dataset_files import lines_at
from .datasets import require_ready, split_path

CHANGES = ("added", "removed", "changed")
KEPT_DAYS = 7  # a comparison nobody has looked at for so long is made again when asked for
CACHE_KIB = 65_536  # what SQLite may hold of its tables in memory; the rest lies on disk
CHUNK = 5_000

# A split is told by its place in SPLITS, a row by its number in the split from 1.
SIDE = """CREATE TABLE work.{} (id TEXT PRIMARY KEY, split INTEGER, number INTEGER, digest BLOB)
          WITHOUT ROWID"""
FOUND = """CREATE TABLE changes (place INTEGER PRIMARY KEY, change TEXT NOT NULL, id TEXT NOT NULL,
           old_split INTEGER, old_number INTEGER, new_split INTEGER, new_number INTEGER)"""
# Ids are numbers where they come from our tables; elsewhere they are sorted as text after them.
COMPARE = """
INSERT INTO changes (change, id, old_split, old_number, new_split, new_number)
SELECT * FROM (
    SELECT 'changed' AS change, n.id AS id, o.split, o.number, n.split, n.number
      FROM work.new n JOIN work.old o ON o.id = n.id WHERE o.digest <> n.digest OR o.split <> n.split
    UNION ALL
    SELECT 'added', n.id, NULL, NULL, n.split, n.number
      FROM work.new n LEFT JOIN work.old o ON o.id = n.id WHERE o.id IS NULL
    UNION ALL
    SELECT 'removed', o.id, o.split, o.number, NULL, NULL
      FROM work.old o LEFT JOIN work.new n ON n.id = o.id WHERE n.id IS NULL
) ORDER BY CAST(id AS INTEGER), id"""


@dataclass
class RowChange:
    """One row that differs. `old_at` and `new_at`: (split, number from 1), None where the version lacks
    it."""

    place: int  # in the comparison, from 1: the cursor
    change: str  # of CHANGES
    id: str
    old_at: tuple[str, int] | None
    new_at: tuple[str, int] | None
    old: dict[str, Any] | None = None
    new: dict[str, Any] | None = None
    fields: list[FieldDifference] = field(default_factory=list)  # of a changed row; a move is `split`


@dataclass
class Comparison:
    """The older and the newer version and how many rows differ, by kind of change."""

    old: DatasetVersion
    new: DatasetVersion
    counts: dict[str, int]
    path: Path

    @property
    def unchanged(self) -> int:
        return self.new.row_count - self.counts["added"] - self.counts["changed"]

    def changes(self, *, change: str = "", split: str = "", after: int = 0, limit: int) -> list[RowChange]:
        """Up to `limit` changes behind the place `after`, by row id, with both rows and what differs between
        them. `split`: only those that are or were in it. Raises Conflict where files are not as frozen."""
        where, values = _conditions(change, split)
        query = f"SELECT * FROM changes WHERE place > ? {where} ORDER BY place LIMIT ?"  # noqa: S608 - ours
        with contextlib.closing(_opened(self.path)) as connection:
            found = [_row_change(values) for values in connection.execute(query, [after, *values, limit])]
        for each in found:
            self._fill(each)
        return found

    def count(self, *, change: str = "", split: str = "") -> int:
        where, values = _conditions(change, split)
        with contextlib.closing(_opened(self.path)) as connection:
            query = f"SELECT count(*) FROM changes WHERE 1 {where}"  # noqa: S608 - ours
            return connection.execute(query, values).fetchone()[0]

    def place_before(self, skip: int, *, change: str = "", split: str = "") -> int:
        """The place after which a page begins that skips so many changes."""
        if skip == 0:
            return 0
        where, values = _conditions(change, split)
        with contextlib.closing(_opened(self.path)) as connection:
            query = f"SELECT place FROM changes WHERE 1 {where} ORDER BY place LIMIT 1 OFFSET ?"  # noqa: S608
            row = connection.execute(query, [*values, skip - 1]).fetchone()
            return row[0] if row else 0

    def every_change(self, *, change: str = "") -> Iterator[RowChange]:
        """All of them, a chunk at a time."""
        after = 0
        while found := self.changes(change=change, after=after, limit=500):
            yield from found
            after = found[-1].place

    def _fill(self, each: RowChange) -> None:
        each.old = _row(self.old, each.old_at)
        each.new = _row(self.new, each.new_at)
        if each.change == "changed":
            if each.old_at and each.new_at and each.old_at[0] != each.new_at[0]:
                each.fields.append(FieldDifference("split", each.old_at[0], each.new_at[0]))
            each.fields += field_differences(each.old, each.new)


def _conditions(change: str, split: str) -> tuple[str, list[Any]]:
    """More of a WHERE, and its values. Raises Invalid for words there are not."""
    where = ""
    values: list[Any] = []
    if change:
        if change not in CHANGES:
            raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(CHANGES)}, field="change")
        where, values = " AND change = ?", [change]
    if split:
        if split not in SPLITS:
            raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(SPLITS)}, field="split")
        where += " AND (old_split = ? OR new_split = ?)"
        values += [SPLITS.index(split)] * 2
    return where, values


def _row_change(values: tuple) -> RowChange:
    place, change, row_id, old_split, old_number, new_split, new_number = values
    old_at = None if old_split is None else (SPLITS[old_split], old_number)
    new_at = None if new_split is None else (SPLITS[new_split], new_number)
    return RowChange(place, change, row_id, old_at, new_at)


def _row(version: DatasetVersion, at: tuple[str, int] | None) -> dict[str, Any] | None:
    if at is None:
        return None
    try:
        return orjson.loads(lines_at(version, at[0], at[1] - 1, 1)[0])
    except (FileNotFoundError, IndexError, orjson.JSONDecodeError) as error:
        raise _not_as_frozen(version) from error


def _not_as_frozen(version: DatasetVersion) -> Conflict:
    return Conflict(
        _("The files of %(version)s are not as they were frozen.") % {"version": version},
        code="files_changed",
        hint="Verify it to see which, and restore them from a backup.",
    )


def require_comparable(old: DatasetVersion, new: DatasetVersion) -> None:
    """Raises Invalid (of two kinds or projects), Conflict (not ready)."""
    for version in (old, new):
        require_ready(version)
    if old.dataset.project_id != new.dataset.project_id or old.dataset.kind != new.dataset.kind:
        raise Invalid(
            _("%(old)s and %(new)s cannot be compared: one project, one kind of rows.")
            % {"old": old, "new": new},
            field="against",
        )


def compare_versions(
    *, old: DatasetVersion, new: DatasetVersion, tell: Callable[[int], None] | None = None
) -> Comparison:
    """The comparison of two ready versions of one project and kind, made now if it is not there.

    Rows are matched by their id: the judgment, or the prompt. Reads both versions once; memory stays flat.
    `tell(rows read)` is called now and then. Raises as `require_comparable` does, and Conflict (files
    changed), NotFound (files gone).
    """
    require_comparable(old, new)
    path = _path(old, new)
    try:
        os.utime(path)  # looked at: kept for longer
    except FileNotFoundError:
        _make(path, old, new, tell)
    with contextlib.closing(_opened(path)) as connection:
        counts = dict(connection.execute("SELECT change, count(*) FROM changes GROUP BY change"))
    return Comparison(old, new, {change: counts.get(change, 0) for change in CHANGES}, path)


def comparable_versions(version: DatasetVersion) -> QuerySet[DatasetVersion]:
    """The other ready versions of the project that a version can be compared with, the newest first."""
    dataset = version.dataset
    others = DatasetVersion.objects.filter(
        dataset__project=dataset.project_id, dataset__kind=dataset.kind, status=DatasetVersionStatus.READY
    )
    return others.exclude(pk=version.pk).select_related("dataset__project").order_by("-created_at", "-pk")


def default_older(version: DatasetVersion) -> DatasetVersion | None:
    """What somebody most likely wants to compare with: the version it was made of, else the one before."""
    others = comparable_versions(version)
    if version.parent_id is not None:
        return others.filter(pk=version.parent_id).first()
    return others.filter(dataset=version.dataset_id, number__lt=version.number).order_by("-number").first()


def root() -> Path:
    return Path(settings.DATA_DIR) / "comparisons"


def _path(old: DatasetVersion, new: DatasetVersion) -> Path:
    return root() / f"{old.public_id}-{new.public_id}.sqlite"


def is_made(old: DatasetVersion, new: DatasetVersion) -> bool:
    return _path(old, new).exists()


def problem_path(old: DatasetVersion, new: DatasetVersion) -> Path:
    """Where a comparison made in the background leaves why there is none."""
    root().mkdir(parents=True, exist_ok=True)
    return _path(old, new).with_suffix(".problem")


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def _make(path: Path, old: DatasetVersion, new: DatasetVersion, tell: Callable[[int], None] | None) -> None:
    """Beside its place, then renamed: two that make the same one at once both end with a whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _forget_old_ones()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")  # what is lost is made again
            connection.execute("ATTACH DATABASE '' AS work")  # a file that is gone when we are
            connection.execute(f"PRAGMA work.cache_size = -{CACHE_KIB}")
            connection.execute("BEGIN")
            before = 0
            for name, version in (("old", old), ("new", new)):
                connection.execute(SIDE.format(name))
                before = _read_side(connection, name, version, before, tell)
            connection.execute(FOUND)
            connection.execute(COMPARE)
            connection.execute("COMMIT")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_side(
    connection: sqlite3.Connection,
    name: str,
    version: DatasetVersion,
    done: int,
    tell: Callable[[int], None] | None,
) -> int:
    """Rows read so far: `done` and those of the version."""
    insert = f"INSERT INTO work.{name} VALUES (?, ?, ?, ?)"  # noqa: S608 - "old" or "new"
    for place, split in enumerate(SPLITS):
        chunk: list[tuple[str, int, int, bytes]] = []
        try:
            with open(split_path(version=version, split=split), "rb") as file:
                for number, line in enumerate(file, start=1):
                    digest = hashlib.blake2b(line, digest_size=16).digest()
                    chunk.append((orjson.loads(line)["id"], place, number, digest))
                    done += 1
                    if len(chunk) == CHUNK:
                        connection.executemany(insert, chunk)
                        chunk.clear()
                        if tell is not None:
                            tell(done)
            connection.executemany(insert, chunk)
        except (orjson.JSONDecodeError, KeyError, TypeError, sqlite3.IntegrityError) as error:
            raise _not_as_frozen(version) from error
    return done


def _forget_old_ones() -> None:
    limit = time.time() - KEPT_DAYS * 86_400
    # The second: of processes that were killed while they made one.
    for path in [*root().glob("*.sqlite"), *root().glob("*.problem"), *root().glob(".*.sqlite.*")]:
        with contextlib.suppress(FileNotFoundError):  # another process was first
            if path.stat().st_mtime < limit:
                path.unlink()
