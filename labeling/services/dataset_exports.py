"""Exports prepared as files: a hash, parts that can be fetched again, and links that expire.

DATA_DIR/exports/<public id>/ holds the file. It is made of a version, which never changes, so it may be
deleted at any time; `forget_unused` does so after a week without a download.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import F
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_noop

from annotate.accounts.models import User
from annotate.doorbell import ring_on_commit
from annotate.errors import Conflict, DomainError, Gone, Invalid, NotFound
from annotate.words import _, in_a_sentence, later
from labeling.formats import SPLITS, ExportError, ExportSummary, canonical_line
from labeling.models import DatasetExport, DatasetExportStatus, DatasetVersion
from labeling.permissions import Action, membership_of, require

from .activity import notify, record_event
from .dataset_files import make_folder, sync_folder
from .datasets import ATTEMPTS, INLINE_ROWS, require_ready
from .downloads import record_download, stem_of
from .export_writing import TOKENS, checked_options, extension_of, write_export
from .progress import Progress, lost_jobs

log = structlog.get_logger(__name__)
KEPT = timedelta(days=7)
LONGEST_LINK = timedelta(days=7)
SALT = "labeling.dataset_export"
# Stored as they are, said in the language of whoever reads them.
BROKE = gettext_noop("Something broke on our side while the file was written.")
DIED = gettext_noop("The process that wrote its file died too often.")


def root() -> Path:
    return Path(settings.DATA_DIR) / "exports"


def filename_of(export: DatasetExport) -> str:
    """project-dataset-v3-1a2b3c4d-train.messages.jsonl.gz"""
    part = f"-{export.split}" if export.split else ""
    return f"{stem_of(export.version)}{part}.{export.format}.{extension_of(export)}"


def prepare_export(
    *,
    version: DatasetVersion,
    format: str,
    acting_user,
    split: str = "",
    options: Mapping[str, Any] | None = None,
    in_background: bool | None = None,
    try_again: bool = True,
) -> DatasetExport:
    """The prepared file of a version in a format: the one there is, else made at once up to INLINE_ROWS
    rows, else in the background; token ids always there, as starting the tokenizer's process takes ten
    seconds and more. One that failed is tried again, unless told not to.

    Raises Conflict (not ready), Invalid (format, split or options).
    """
    require_ready(version)
    if split and split not in SPLITS:
        raise Invalid(
            _("There is no split “%(split)s”.") % {"split": split},
            field="split",
            hint=_("It is one of %(known)s.") % {"known": ", ".join(SPLITS)},
        )
    checked = checked_options(version, format, dict(options or {}))
    key = hashlib.sha256(canonical_line({"format": format, "split": split, "options": checked})).hexdigest()
    if in_background is None:
        in_background = version.row_count > INLINE_ROWS or format == TOKENS
    with transaction.atomic():
        export, is_new = DatasetExport.objects.get_or_create(
            version=version,
            key=key,
            defaults={"format": format, "split": split, "options": checked, "created_by": acting_user},
        )
        is_gone = export.status == DatasetExportStatus.READY and not _path(export).exists()
        if is_gone or (try_again and export.status == DatasetExportStatus.FAILED):
            # Only from the state that was seen: of two who ask at once one begins it anew, and nobody takes
            # a turn away from a process that writes already.
            seen = DatasetExport.objects.filter(pk=export.pk, status=export.status, attempt=export.attempt)
            seen.update(status=DatasetExportStatus.WAITING, attempt=0, error="", sha256="")
            export.refresh_from_db()
        if is_new:
            record_event(
                action="dataset.export_asked",
                actor=acting_user,
                obj=version,
                project=version.dataset.project,
                format=format,
                split=split or "all",
            )
        if in_background and export.status == DatasetExportStatus.WAITING:
            ring_on_commit("labeling.tasks.build_export", export.pk)
    return export if in_background else build_export(export=export)


def build_export(*, export: DatasetExport, in_background: bool = False) -> DatasetExport:
    """Write the file of a waiting export and make it ready. Runs once however often it is called, as
    `build_version` does."""
    heartbeat = Progress("export", export.pk)
    export.refresh_from_db()
    if export.status != DatasetExportStatus.WAITING or (export.attempt and not heartbeat.is_silent()):
        return export
    heartbeat.tell("writing", 0, now=True)
    mine = DatasetExport.objects.filter(pk=export.pk, status=DatasetExportStatus.WAITING)
    if mine.filter(attempt=export.attempt).update(attempt=F("attempt") + 1) != 1:
        return export
    export.refresh_from_db()
    folder = root() / f".building-{export.public_id}-{export.attempt}"
    for left in root().glob(f".building-{export.public_id}-*"):  # of attempts whose process died
        shutil.rmtree(left, ignore_errors=True)
    make_folder(root())
    folder.mkdir()
    try:
        path = folder / filename_of(export)
        sha256, size, summary = write_export(
            export, path, lambda done, total: heartbeat.tell("writing", done, total)
        )
        sync_folder(folder)
        _make_ready(export, folder, sha256, size, summary, in_background)
    except (DomainError, ExportError) as error:
        _fail(export, str(error), in_background)
    except Exception:
        log.exception("export_failed", export=export.pk)
        _fail(export, BROKE, in_background)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        heartbeat.end()
    export.refresh_from_db()
    return export


@transaction.atomic
def _make_ready(
    export: DatasetExport,
    folder: Path,
    sha256: str,
    size: int,
    summary: ExportSummary,
    in_background: bool,
) -> None:
    mine = DatasetExport.objects.filter(
        pk=export.pk, status=DatasetExportStatus.WAITING, attempt=export.attempt
    )
    counts = {"read": summary.read, "written": summary.written, "left_out": dict(summary.left_out)}
    ready = {"sha256": sha256, "size_bytes": size, "summary": counts, "used_at": timezone.now()}
    if mine.update(status=DatasetExportStatus.READY, **ready) != 1:
        raise Conflict("This export was taken up by another worker.", code="export_lost")
    if in_background:
        _tell(export, later("%(name)s is ready to be downloaded.", name=export))
    final = root() / str(export.public_id)
    shutil.rmtree(final, ignore_errors=True)
    folder.rename(final)  # last: if the commit then fails, the next attempt replaces it
    sync_folder(root())


@transaction.atomic
def _fail(export: DatasetExport, problem: str, in_background: bool) -> None:
    mine = DatasetExport.objects.filter(
        pk=export.pk, status=DatasetExportStatus.WAITING, attempt=export.attempt
    )
    if mine.update(status=DatasetExportStatus.FAILED, error=problem) == 1 and in_background:
        _tell(export, later("%(name)s was not prepared: %(problem)s", name=export, problem=_(problem)))


def _tell(export: DatasetExport, text: str) -> None:
    if export.created_by is not None:
        version, project = export.version, export.version.dataset.project
        path = reverse("labeling:dataset_exports", args=[project.slug, version.dataset_id, version.number])
        notify(user=export.created_by, project=project, kind="dataset.exported", text=text, path=path)


def lost_exports() -> list[DatasetExport]:
    """Exports to be built: nobody has begun, or whoever did has died. Died too often: failed here."""
    waiting = DatasetExport.objects.filter(status=DatasetExportStatus.WAITING).order_by("pk")
    return lost_jobs("export", waiting, attempts=ATTEMPTS, give_up=_give_up)


def _give_up(export: DatasetExport) -> None:
    _fail(export, DIED, True)


def forget_unused(*, now: datetime | None = None) -> int:
    """Delete what nobody asked for or fetched in a week, row and file; how many."""
    old = DatasetExport.objects.exclude(status=DatasetExportStatus.WAITING).filter(
        used_at__lt=(now or timezone.now()) - KEPT
    )
    forgotten = 0
    for export in old:
        for left in (str(export.public_id), f".building-{export.public_id}-*"):
            for path in root().glob(left):
                shutil.rmtree(path, ignore_errors=True)
        forgotten += export.delete()[0]
    return forgotten


# --- Fetching ---------------------------------------------------------------------------------------------
def _path(export: DatasetExport) -> Path:
    return root() / str(export.public_id) / filename_of(export)


def existing_path(export: DatasetExport) -> Path | None:
    """The file as it lies there, for who checks it; None where it was removed."""
    path = _path(export)
    return path if path.exists() else None


def open_export(*, export: DatasetExport) -> Path:
    """The file of a ready export, which is kept for longer now. What of it is sent has to be on record:
    `record_fetched`. Raises Conflict, NotFound (file gone)."""
    if export.status != DatasetExportStatus.READY:
        raise Conflict(
            _("%(export)s is not ready: %(state)s.")
            % {"export": export, "state": in_a_sentence(export.get_status_display())},
            code="export_not_ready",
        )
    path = _path(export)
    if not path.exists():
        raise NotFound("This file was deleted meanwhile.", code="files_missing", hint="Prepare it again.")
    DatasetExport.objects.filter(pk=export.pk).update(used_at=timezone.now())
    return path


def record_fetched(*, export: DatasetExport, acting_user, by_link: bool = False, first_byte: int = 0) -> None:
    """The audit row of a download, as `record_download` has it."""
    record_download(
        version=export.version,
        format=export.format,
        split=export.split,
        acting_user=acting_user,
        first_byte=first_byte,
        file_sha256=export.sha256,
        **({"by_link": True} if by_link else {}),
    )


def make_link(
    *, export: DatasetExport, acting_user, lasts: timedelta = timedelta(hours=1)
) -> tuple[str, datetime]:
    """(path, when it ends) of a link that needs no sign-in: whoever has it can fetch this one file, for so
    long, and only while the person who made it may. Raises Invalid (too long), Conflict (not ready)."""
    if not timedelta(0) < lasts <= LONGEST_LINK:
        raise Invalid(_("A link lasts up to %(n)s days.") % {"n": LONGEST_LINK.days}, field="seconds")
    if export.status != DatasetExportStatus.READY:
        raise Conflict(_("%(name)s is not ready.") % {"name": export}, code="export_not_ready")
    ends_at = timezone.now() + lasts
    held = {"export": str(export.public_id), "by": acting_user.pk, "until": int(ends_at.timestamp())}
    token = signing.dumps(held, salt=SALT, compress=True)
    with transaction.atomic():
        record_event(
            action="dataset.link_made",
            actor=acting_user,
            obj=export.version,
            project=export.version.dataset.project,
            format=export.format,
            ends_at=ends_at.isoformat(),
        )
    return reverse("labeling:dataset_link", args=[token]), ends_at


def follow_link(*, token: str) -> tuple[DatasetExport, User]:
    """What a link leads to, and whose it is. Raises NotFound (no link of ours, the file is forgotten), Gone
    (ended), Forbidden (whoever made it may no longer download)."""
    try:
        held = signing.loads(token, salt=SALT)
    except signing.BadSignature as error:
        raise NotFound("There is no such link.") from error
    if held["until"] <= timezone.now().timestamp():
        raise Gone("This link has ended.", hint="Ask whoever gave it to you for a new one.")
    exports = DatasetExport.objects.select_related("version__dataset__project")
    export = exports.filter(public_id=held["export"]).first()
    user = User.objects.filter(pk=held["by"]).first()
    if export is None or user is None:
        raise NotFound("This file was deleted meanwhile.", hint="Ask for a new link.")
    require(membership_of(user, export.version.dataset.project), Action.DOWNLOAD_DATASETS)
    return export, user
