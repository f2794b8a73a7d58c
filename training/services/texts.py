"""Texts to pretrain on, uploaded to a project."""

from __future__ import annotations

import filecmp
import os
import tempfile
from pathlib import Path
from typing import IO

from django.db import transaction

from annotate.errors import Conflict, Invalid
from annotate.words import _
from labeling.models import Project
from labeling.services.activity import record_event
from training.rlhf.checkpoints import fsync_path

from .locations import LONGEST_TEXT_FILE, check_text_name, texts_directory

CHUNK = 1024 * 1024


def save_text(*, project: Project, name: str, file: IO[bytes], acting_user, reuse: bool = False) -> Path:
    """Store a text file under its name. Raises Invalid (name, size, not UTF-8, empty) and Conflict (the name
    is taken).

    The file gets its name only when it is whole; a name stands for the same bytes for ever, so that runs can
    be repeated.
    """
    target = texts_directory(project) / check_text_name(os.path.basename(name))
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A name of its own: two may upload the same name at once, in two threads of one process.
    handle, place = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".writing", dir=target.parent)
    os.close(handle)
    temporary = Path(place)
    try:
        size = _copy(file, temporary)
        if size == 0:
            raise Invalid("The file is empty.", field="file")
        _check_utf8(temporary)
        os.link(temporary, target)  # fails where there is one of that name
        fsync_path(target.parent)
    except FileExistsError as error:
        if reuse and filecmp.cmp(temporary, target, shallow=False):
            return target
        raise Conflict(
            _("There is another text “%(name)s” already.") % {"name": target.name},
            field="file",
            hint="Choose another name.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    with transaction.atomic():
        record_event(
            action="text.uploaded",
            actor=acting_user,
            obj=project,
            project=project,
            name=target.name,
            size_bytes=size,
        )
    return target


def _copy(source: IO[bytes], path: Path) -> int:
    size = 0
    with open(path, "wb") as target:
        while chunk := source.read(CHUNK):
            size += len(chunk)
            if size > LONGEST_TEXT_FILE:
                raise Invalid(_("At most %(most)s MB.") % {"most": LONGEST_TEXT_FILE // 2**20}, field="file")
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    return size


def _check_utf8(path: Path) -> None:
    try:
        with open(path, encoding="utf-8", errors="strict") as file:
            while text := file.read(CHUNK):
                if "\x00" in text:
                    raise Invalid("The file holds NUL characters: it is no plain text.", field="file")
    except UnicodeDecodeError as error:
        raise Invalid(
            _("The file is not UTF-8 text (byte %(start)s).") % {"start": error.start}, field="file"
        ) from error
