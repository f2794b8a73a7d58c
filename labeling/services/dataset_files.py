"""The folder of a dataset version: written beside its place, fsynced, then renamed; whole or absent.

DATA_DIR/datasets/<public id>/
    train.jsonl validation.jsonl test.jsonl   canonical rows (docs/datasets.md)
    train.index …                             where each row begins: unsigned 64-bit, little-endian
    members.bin                               sorted ids of the judgments (or prompts) inside: signed 64-bit,
                                              little-endian
    manifest.json                             recipe, counts, statistics, size and SHA-256 of every file above
"""

from __future__ import annotations

import bisect
import hashlib
import mmap
import os
import shutil
import sys
from array import array
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy
from django.conf import settings

from labeling.formats import SPLITS, canonical_line
from labeling.models import DatasetVersion

from .dataset_statistics import Statistics
from .selected_rows import Selected

BUILDING = ".building-{}-{}"  # the id of a version and its attempt: a folder that is not whole yet
MANIFEST = "manifest.json"
MEMBERS = "members.bin"
FEW_IDS = 200  # looked up one by one; more are compared with all members at once
WORD = 8  # bytes of one number in index and members files


def root() -> Path:
    return Path(settings.DATA_DIR) / "datasets"


def folder_of(version: DatasetVersion) -> Path:
    return root() / str(version.public_id)


class _HashedFile:
    """A file being written, with its size and SHA-256 so far."""

    def __init__(self, path: Path):
        self.size = 0
        self._digest = hashlib.sha256()
        self._file: BinaryIO = open(path, "wb", buffering=1 << 20)  # noqa: SIM115 - closed by seal()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def seal(self) -> dict[str, Any]:
        """Make the file durable; what the manifest says about it."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {"bytes": self.size, "sha256": self._digest.hexdigest()}

    def close(self) -> None:
        self._file.close()


class VersionWriter:
    """Writes one version's folder. Use as a context manager: what is not published is removed.

    with VersionWriter(version) as writer:
        for selected in …: writer.add(split, selected)
        manifest, sha256, size = writer.finish(recipe)   # files durable, still beside their place
        writer.publish()                                  # renamed into place
    """

    def __init__(self, version: DatasetVersion):
        self.version = version
        # The attempt in the name: two builds of one version never write into the same folder.
        self.folder = root() / BUILDING.format(version.public_id, version.attempt)
        for left in root().glob(BUILDING.format(version.public_id, "*")):  # of attempts whose process died
            shutil.rmtree(left, ignore_errors=True)
        make_folder(root())
        self.folder.mkdir()
        self._rows = {split: _HashedFile(self.folder / f"{split}.jsonl") for split in SPLITS}
        self._offsets = {split: array("Q") for split in SPLITS}
        self._members = array("q")
        self.statistics = Statistics(version.dataset.kind)

    def __enter__(self) -> VersionWriter:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for file in self._rows.values():
            file.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def count(self) -> int:
        return len(self._members)

    def add(self, split: str, selected: Selected) -> None:
        file = self._rows[split]
        self._offsets[split].append(file.size)
        file.write(canonical_line(selected.present_row))
        self._members.append(selected.member_id)
        self.statistics.add(split, selected)

    def finish(self, recipe: dict[str, Any]) -> tuple[dict[str, Any], str, int]:
        """(manifest, SHA-256 of its canonical bytes, bytes of all files); everything is on disk
        afterwards."""
        files = {f"{split}.jsonl": file.seal() for split, file in self._rows.items()}
        for split, offsets in self._offsets.items():
            files[f"{split}.index"] = self._write_numbers(f"{split}.index", offsets)
        files[MEMBERS] = self._write_numbers(MEMBERS, array("q", sorted(self._members)))
        manifest = {
            "format": 1,
            "kind": self.version.dataset.kind,
            "recipe": recipe,
            "rows": {split: len(offsets) for split, offsets in self._offsets.items()},
            "files": files,
            **self.statistics.to_json(),
        }
        data = canonical_line(manifest)
        self._write(MANIFEST, data)
        sync_folder(self.folder)
        size = sum(entry["bytes"] for entry in files.values()) + len(data)
        return manifest, hashlib.sha256(data).hexdigest(), size

    def publish(self) -> None:
        """Rename the finished folder into its place; a folder left there by a build that lost its turn is
        replaced."""
        final = folder_of(self.version)
        shutil.rmtree(final, ignore_errors=True)
        os.rename(self.folder, final)
        sync_folder(final.parent)

    def _write_numbers(self, name: str, numbers: array) -> dict[str, Any]:
        if sys.byteorder == "big":
            numbers = array(numbers.typecode, numbers)
            numbers.byteswap()
        return self._write(name, numbers.tobytes())

    def _write(self, name: str, data: bytes) -> dict[str, Any]:
        file = _HashedFile(self.folder / name)
        file.write(data)
        return file.seal()


def make_folder(folder: Path) -> None:
    """The folder and those above it that there are not, each durable in the one above."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """What was made, renamed or removed in it is durable afterwards."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def has_member(version: DatasetVersion, member_id: int) -> bool:
    """Whether a judgment (or prompt) is in a version: a binary search in members.bin, without loading it."""
    path = folder_of(version) / MEMBERS
    size = path.stat().st_size
    if size == 0:
        return False
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        position = bisect.bisect_left(
            range(size // WORD), member_id, key=lambda index: _number(data, index, signed=True)
        )
        return position < size // WORD and _number(data, position, signed=True) == member_id


def members(version: DatasetVersion) -> Iterator[int]:
    """The sorted ids of the judgments (or prompts) in a version."""
    with open(folder_of(version) / MEMBERS, "rb") as file:
        while data := file.read(WORD * 8192):
            for index in range(len(data) // WORD):
                yield _number(data, index, signed=True)


def count_members(version: DatasetVersion, ids: Collection[int]) -> int:
    """How many of these judgments (or prompts) are in a version."""
    if len(ids) < FEW_IDS:
        return sum(has_member(version, pk) for pk in ids)
    held = numpy.fromfile(folder_of(version) / MEMBERS, dtype="<i8")
    return int(numpy.isin(held, numpy.fromiter(ids, dtype=numpy.int64, count=len(ids))).sum())


def _number(data, index: int, *, signed: bool) -> int:
    return int.from_bytes(data[index * WORD : (index + 1) * WORD], "little", signed=signed)


def lines_at(version: DatasetVersion, split: str, start: int, count: int) -> list[bytes]:
    """`count` rows of a split from number `start` (from 0), found through the index."""
    try:
        offset = offset_of(version, split, start)
    except IndexError:
        return []
    with open(folder_of(version) / f"{split}.jsonl", "rb") as rows:
        rows.seek(offset)
        lines = (rows.readline() for _ in range(count))
        return [line for line in lines if line]


def offset_of(version: DatasetVersion, split: str, number: int) -> int:
    """Where a row (from 0) begins in its file. Raises IndexError where there is no such row."""
    with open(folder_of(version) / f"{split}.index", "rb") as index:
        index.seek(number * WORD)
        data = index.read(WORD)
    if len(data) < WORD:
        raise IndexError(number)
    return _number(data, 0, signed=False)


def file_digest(path: Path) -> tuple[int, str]:
    """(bytes, SHA-256) of a file as it lies there now."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return file.tell(), digest.hexdigest()
