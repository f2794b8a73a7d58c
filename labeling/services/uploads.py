"""Files that come in piece by piece: a broken connection, a closed browser or a killed server costs the piece
in flight and nothing else.

A piece is acknowledged when it lies on disk (fsynced) and the row says so; bytes beyond the row's offset were
never acknowledged and are written over. The last piece makes the import's record.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from annotate.errors import Conflict, Invalid, NotFound
from annotate.words import _
from labeling.models import ImportRecord, ImportUpload, Project

from . import import_files
from .import_preview import check_kind
from .imports import record_upload
from .upload_room import require_room

PIECE_BYTES = 4 * 2**20  # the most of one request
MOST_OPEN = 20  # unfinished uploads of one person in one project
KEPT_HOURS = 24  # after the last piece


def path_of(upload: ImportUpload) -> Path:
    return import_files.folder() / "uploads" / str(upload.pk)


@transaction.atomic
def begin_upload(
    *, project: Project, kind: str, filename: str, size_bytes: int, acting_user, licence: str = ""
) -> ImportUpload:
    """A place for a file of `size_bytes`. Raises Invalid (kind, empty, too large, no room), Conflict (too
    many open)."""
    check_kind(kind)
    filename = import_files.clean_filename(filename)
    if size_bytes <= 0:
        raise Invalid(
            _("%(filename)s: nothing to import: the file is empty.") % {"filename": filename},
            code="file_empty",
            field="size_bytes",
        )
    if size_bytes > settings.IMPORT_MAX_BYTES:
        raise import_files.too_large(filename, field="size_bytes")
    project = Project.objects.select_for_update().get(pk=project.pk)  # two at once count one after the other
    if project.uploads.filter(created_by=acting_user).count() >= MOST_OPEN:
        raise Conflict(
            _("You have %(n)s unfinished uploads in this project.") % {"n": MOST_OPEN},
            code="too_many_uploads",
            hint=_("Finish or cancel one; each is removed %(n)s hours after its last piece.")
            % {"n": KEPT_HOURS},
        )
    require_room(project=project, acting_user=acting_user, size_bytes=size_bytes, field="size_bytes")
    return ImportUpload.objects.create(
        project=project,
        kind=kind,
        filename=filename,
        licence=licence.strip()[:120],
        size_bytes=size_bytes,
        created_by=acting_user,
    )


def add_piece(*, upload: ImportUpload, offset: int, data: bytes, acting_user) -> ImportRecord | None:
    """Put the next piece on disk; the import's record once the file is whole, else None.

    A piece without bytes at the end finishes an upload whose last answer was lost. Raises Conflict where
    `offset` is not where the upload stands (ask, and go on from there) or another request writes, Invalid for
    a piece too large or beyond the file's size.
    """
    if len(data) > PIECE_BYTES:
        raise Invalid(
            _("A piece has at most %(n)s bytes.") % {"n": f"{PIECE_BYTES:,}"},
            code="piece_too_large",
            status=413,
        )
    with _written_alone(upload) as file:
        _stand_where_the_file_ends(upload, file)
        if offset != upload.offset:
            raise Conflict(
                _("The upload stands at byte %(n)s.") % {"n": f"{upload.offset:,}"},
                code="upload_offset",
                field="Upload-Offset",
                hint="Go on from there.",
            )
        end = offset + len(data)
        if end > upload.size_bytes:
            raise Invalid(
                _("The file was to have %(all)s bytes, this would make %(n)s.")
                % {"all": f"{upload.size_bytes:,}", "n": f"{end:,}"},
                code="upload_size",
                field="Upload-Offset",
            )
        file.seek(offset)
        file.truncate()
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        ImportUpload.objects.filter(pk=upload.pk).update(offset=end, touched_at=timezone.now())
        upload.offset = end
        if end < upload.size_bytes:
            return None
        return _finish(upload, file, acting_user)


def _stand_where_the_file_ends(upload: ImportUpload, file) -> None:
    """Read the offset anew; where the file is shorter (a power cut, a restored backup) the upload goes back
    to its end, since a hole would be filled with zeros. Raises NotFound where it is finished or cancelled."""
    try:
        upload.refresh_from_db()
    except ImportUpload.DoesNotExist as error:
        path_of(upload).unlink(missing_ok=True)  # opening it may have made it anew
        raise NotFound("There is no such upload.") from error
    there = os.fstat(file.fileno()).st_size
    if there < upload.offset:
        ImportUpload.objects.filter(pk=upload.pk).update(offset=there)
        upload.offset = there


def _finish(upload: ImportUpload, file, acting_user) -> ImportRecord:
    path = path_of(upload)
    file.seek(0)
    stored = import_files.store(file, upload.filename)
    with transaction.atomic():
        if not ImportUpload.objects.filter(pk=upload.pk).delete()[0]:
            raise NotFound("There is no such upload.")
        record = record_upload(
            project=upload.project,
            kind=upload.kind,
            stored=stored,
            filename=upload.filename,
            licence=upload.licence,
            acting_user=acting_user,
        )
    path.unlink(missing_ok=True)
    return record


@contextlib.contextmanager
def _written_alone(upload: ImportUpload) -> Iterator:
    """The upload's file, opened and locked: two requests never write into one another."""
    path = path_of(upload)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                "Another request is writing this file.", code="upload_busy", hint="Ask where it stands."
            ) from error
        yield file


def cancel_upload(*, upload: ImportUpload) -> None:
    path = path_of(upload)
    upload.delete()
    path.unlink(missing_ok=True)


def remove_stale_uploads() -> int:
    """Remove uploads that nobody went on with for a day, and what killed processes left of files; how many
    uploads. Called by the sweep."""
    before = timezone.now() - datetime.timedelta(hours=KEPT_HOURS)
    stale = list(ImportUpload.objects.filter(touched_at__lt=before))
    for upload in stale:
        cancel_upload(upload=upload)
    folder = import_files.folder()
    known = {str(key) for key in ImportUpload.objects.values_list("pk", flat=True)}
    leftovers = [path for path in (folder / "uploads").glob("*") if path.name not in known]
    for path in [*leftovers, *folder.glob(".incoming-*")]:
        with contextlib.suppress(FileNotFoundError):  # another sweep was faster
            if time.time() - path.stat().st_mtime > KEPT_HOURS * 3600:
                path.unlink()
    return len(stale)
