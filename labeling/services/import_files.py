"""The files of imports on disk: stored once by content, checked for size on their way in."""

from __future__ import annotations

import hashlib
import os
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from django.conf import settings

from annotate.errors import Invalid
from annotate.words import _
from labeling.formats import unpacks_to_more_than
from labeling.models import ImportRecord

PIECE = 1 << 20
LONGEST_NAME = 255


@dataclass(frozen=True)
class StoredFile:
    sha256: str
    size_bytes: int


def folder() -> Path:
    """Where import files lie; made on first use, private."""
    path = Path(settings.DATA_DIR) / "imports"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


ROW_BYTES = 32  # a row of Parquet is reckoned as long as the shortest line that says something


def is_small(import_record: ImportRecord, most_bytes: int) -> bool:
    """Whether somebody may wait while it is read: as it lies there, and as what it unpacks to."""
    if import_record.size_bytes > most_bytes:
        return False
    return not unpacks_to_more_than(path_of(import_record), most_bytes, most_bytes // ROW_BYTES)


def path_of(import_record: ImportRecord) -> Path:
    return stored_path(import_record.sha256)


def stored_path(sha256: str) -> Path:
    return folder() / sha256[:2] / sha256


def clean_filename(name: str) -> str:
    """The last part of a name that somebody sent, without control and direction characters; never a path."""
    base = PurePosixPath(name.replace("\\", "/")).name
    kept = "".join(c for c in base if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    # From the front: the suffix at the end tells the format.
    return kept.strip()[-LONGEST_NAME:] or "file"


def store(file: BinaryIO, filename: str) -> StoredFile:
    """Copy an upload or open file into the folder under its SHA-256: fsynced, then renamed into place.

    Raises Invalid for an empty file and for one over IMPORT_MAX_BYTES, leaving nothing behind.
    """
    digest, size = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(dir=folder(), prefix=".incoming-", delete=False) as target:
        try:
            for piece in _pieces(file):
                size += len(piece)
                if size > settings.IMPORT_MAX_BYTES:
                    raise too_large(filename)
                digest.update(piece)
                target.write(piece)
            if size == 0:
                raise Invalid(
                    _("%(filename)s: nothing to import: the file is empty.") % {"filename": filename},
                    code="file_empty",
                    field="file",
                )
            target.flush()
            os.fsync(target.fileno())
        except BaseException:
            os.unlink(target.name)
            raise
    final = folder() / digest.hexdigest()[:2] / digest.hexdigest()
    final.parent.mkdir(exist_ok=True, mode=0o700)
    os.replace(target.name, final)
    return StoredFile(digest.hexdigest(), size)


def too_large(filename: str, field: str = "file") -> Invalid:
    return Invalid(
        _("%(filename)s: the file is larger than %(most)s bytes.")
        % {"filename": filename, "most": f"{settings.IMPORT_MAX_BYTES:,}"},
        code="file_too_large",
        field=field,
        hint="Split it, or compress it with gzip.",
    )


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    if hasattr(file, "chunks"):  # an upload of Django
        yield from file.chunks(PIECE)
        return
    while piece := file.read(PIECE):
        yield piece


def remove_if_unused(sha256: str) -> None:
    """Delete a stored file that no import refers to any more."""
    if not ImportRecord.objects.filter(sha256=sha256).exists():
        stored_path(sha256).unlink(missing_ok=True)
