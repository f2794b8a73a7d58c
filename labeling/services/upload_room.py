"""How much room on the disk people may take up with files for imports: settings of whoever runs the site, for
a person and for a project."""

from __future__ import annotations

from typing import BinaryIO

from django.conf import settings
from django.db.models import Q, Sum

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import ImportRecord, ImportStatus, ImportUpload, Project

from . import import_files
from .import_files import StoredFile

# Files that lie there and have not brought anything in: their owner can discard them.
WAITING = (ImportStatus.UPLOADED, ImportStatus.FAILED)


def require_room(*, project: Project, acting_user, size_bytes: int, field: str = "file") -> None:
    """Raises Invalid where a file of that size would be over what the person or the project may take up.

    A person's share counts what has brought nothing in yet, in all projects: unfinished uploads by the size
    they were announced with, files to be confirmed, files refused. A project's counts all of its files, those
    of finished imports too: they are kept.
    """
    if acting_user is not None:
        theirs = _bytes_of(Q(created_by=acting_user), Q(created_by=acting_user, status__in=WAITING))
        _check(
            theirs + size_bytes,
            settings.IMPORT_WAITING_MAX_BYTES,
            _("Your files that wait to be imported would take up %(n)s bytes; at most %(most)s are allowed."),
            _("Confirm or discard some of them first."),
            field,
        )
    of_project = _bytes_of(Q(project=project), Q(project=project))
    _check(
        of_project + size_bytes,
        settings.IMPORT_PROJECT_MAX_BYTES,
        _("The files of this project would take up %(n)s bytes; at most %(most)s are allowed."),
        _("Ask whoever runs this site for more room."),
        field,
    )


def store_within_room(*, project: Project, acting_user, file: BinaryIO, filename: str) -> StoredFile:
    """`import_files.store` where there is room for the file; nothing stays of one that is refused."""
    size = getattr(file, "size", None)  # an upload of Django knows it before
    require_room(project=project, acting_user=acting_user, size_bytes=size or 0)
    stored = import_files.store(file, filename)
    if size is None:
        try:
            require_room(project=project, acting_user=acting_user, size_bytes=stored.size_bytes)
        except Invalid:
            import_files.remove_if_unused(stored.sha256)
            raise
    return stored


def _bytes_of(uploads: Q, imports: Q) -> int:
    """Of uploads by their announced size; of imports by their files, each once however often it came."""
    open_ones = ImportUpload.objects.filter(uploads).aggregate(total=Sum("size_bytes"))["total"] or 0
    files = ImportRecord.objects.filter(imports).order_by().values("sha256", "size_bytes").distinct()
    return open_ones + (files.aggregate(total=Sum("size_bytes"))["total"] or 0)


def _check(taken: int, most: int, problem: str, hint: str, field: str) -> None:
    if taken > most:
        raise Invalid(
            problem % {"n": f"{taken:,}", "most": f"{most:,}"}, code="no_room", field=field, hint=hint
        )
