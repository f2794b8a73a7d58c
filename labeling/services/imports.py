"""Imports: a file is stored, looked at, confirmed, and brought in whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import structlog
from django.db import transaction
from django.db.models import F
from django.urls import reverse
from django.utils import timezone

from annotate.doorbell import ring_on_commit
from annotate.errors import Conflict, DomainError, Invalid
from annotate.prepared import room_for_pages
from annotate.words import _, in_a_sentence, later
from labeling.formats import FORMATS, FormatError
from labeling.models import ImportRecord, ImportStatus, Project

from . import import_faults, import_files
from .activity import notify, record_event
from .import_faults import FaultList
from .import_preview import check_kind, checked_columns, file_gone, to_domain_error
from .import_rows import RowStore
from .import_spool import Spooled, Teller, dry_run_report, spool_rows, spooled_chunks
from .progress import Progress
from .prompts import lock_project_rows
from .upload_room import store_within_room

log = structlog.get_logger(__name__)

INLINE_BYTES = 2_000_000  # a file up to this size is brought in while the person waits (about two seconds)
ATTEMPTS = 3  # a file that takes its process down so often is given up
CONFIRMABLE = (ImportStatus.UPLOADED, ImportStatus.FAILED)


def upload_file(
    *, project: Project, kind: str, file: BinaryIO, filename: str, acting_user, licence: str = ""
) -> ImportRecord:
    """Store a file and make its record, which waits to be confirmed. Raises Invalid (kind, empty, too
    large, no room)."""
    check_kind(kind)
    filename = import_files.clean_filename(filename)
    stored = store_within_room(project=project, acting_user=acting_user, file=file, filename=filename)
    return record_upload(
        project=project, kind=kind, stored=stored, filename=filename, licence=licence, acting_user=acting_user
    )


@transaction.atomic
def record_upload(
    *,
    project: Project,
    kind: str,
    stored: import_files.StoredFile,
    filename: str,
    acting_user,
    licence: str = "",
) -> ImportRecord:
    """The record of a file that lies in the folder already, however it came there."""
    import_record = ImportRecord.objects.create(
        project=project,
        kind=kind,
        filename=filename,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        licence=licence.strip()[:120],
        status=ImportStatus.UPLOADED,
        created_by=acting_user,
    )
    record_event(
        action="import.uploaded",
        actor=acting_user,
        obj=import_record,
        project=project,
        filename=import_record.filename,
        sha256=stored.sha256,
    )
    return import_record


@transaction.atomic
def confirm_import(
    *,
    import_record: ImportRecord,
    acting_user,
    kind: str | None = None,
    format: str | None = None,
    column_mapping: Mapping[str, str] | None = None,
    leave_out_faulty_rows: bool = False,
    dry_run: bool = False,
) -> ImportRecord:
    """Say how the file is to be read, and let it wait for its run. A failed import may be confirmed anew.

    A dry run reads and checks every row, stores none, lists all faults and ends as a record that waits to be
    confirmed, with its `report`.

    Raises Invalid (kind, format, mapping), Conflict (it runs or is done).
    """
    kind = kind or import_record.kind
    check_kind(kind)
    if format and format not in FORMATS:
        raise Invalid(
            _("There is no format “%(format)s”.") % {"format": format},
            field="format",
            hint=_("It is one of %(known)s.") % {"known": ", ".join(FORMATS)},
        )
    changed = ImportRecord.objects.filter(pk=import_record.pk, status__in=CONFIRMABLE).update(
        status=ImportStatus.WAITING,
        kind=kind,
        format=format or "",
        column_mapping=checked_columns(column_mapping) or {},
        leave_out_faulty_rows=leave_out_faulty_rows,
        is_dry_run=dry_run,
        report=None,
        rows_left_out=0,
        faults=[],
        error=None,
        attempt=0,
        finished_at=None,
    )
    import_record.refresh_from_db()
    if changed != 1:
        raise Conflict(
            _("This import is %(state)s.") % {"state": in_a_sentence(import_record.get_status_display())},
            code="import_status",
        )
    record_event(
        action="import.checked" if dry_run else "import.confirmed",
        actor=acting_user,
        obj=import_record,
        project=import_record.project,
        kind=kind,
    )
    return import_record


def start_import(
    *,
    project: Project,
    kind: str,
    file: BinaryIO,
    filename: str,
    acting_user,
    format: str | None = None,
    column_mapping: Mapping[str, str] | None = None,
    licence: str = "",
    leave_out_faulty_rows: bool = False,
    dry_run: bool = False,
) -> ImportRecord:
    """Upload, confirm, and run: at once for a small file, in the background for a large one.

    The answer is the record; where it failed, `raise_if_failed` turns its error into an exception.
    """
    import_record = upload_file(
        project=project, kind=kind, file=file, filename=filename, acting_user=acting_user, licence=licence
    )
    confirm_import(
        import_record=import_record,
        acting_user=acting_user,
        format=format,
        column_mapping=column_mapping,
        leave_out_faulty_rows=leave_out_faulty_rows,
        dry_run=dry_run,
    )
    return run_or_ring(import_record=import_record)


def run_or_ring(*, import_record: ImportRecord, wait: bool = True) -> ImportRecord:
    """Run a waiting import now if its file is small and somebody may `wait` for it, else ring a worker (and a
    sweep finds it without)."""
    if wait and import_files.is_small(import_record, INLINE_BYTES):
        return run_import(import_record=import_record)
    ring_on_commit("labeling.tasks.run_import", import_record.pk)
    return import_record


def run_import(
    *, import_record: ImportRecord, progress: Teller | None = None, in_background: bool = False
) -> ImportRecord:
    """Bring a waiting import in, whole or not at all. Runs once however often it is called.

    1. Claim it: waiting → running with the next attempt number.
    2. Read and check every row, outside any transaction, into a spool of prepared rows.
    3. Store the spool in one transaction, which ends by moving this very attempt to succeeded. A dry run
       counts instead what would be new, and ends as it began: to be confirmed.
    What is wrong with the file becomes the record's error; anything else is recorded and raised.
    """
    import_record.refresh_from_db()
    if import_record.status != ImportStatus.WAITING:
        return import_record
    heartbeat = Progress("import", import_record.pk)
    heartbeat.tell("reading", 0, now=True)  # before the claim, so that a sweep never takes it for dead
    waiting = ImportRecord.objects.filter(pk=import_record.pk, status=ImportStatus.WAITING)
    claimed = waiting.update(status=ImportStatus.RUNNING, attempt=F("attempt") + 1)
    import_record.refresh_from_db()
    if claimed != 1:
        return import_record

    def tell(phase: str, done: int, total: int | None = None) -> None:
        heartbeat.tell(phase, done, total)
        if progress is not None:
            progress(phase, done, total)

    spooled = Spooled(FaultList(import_record))
    try:
        with tempfile.TemporaryFile(dir=import_files.folder()) as spool:
            spool_rows(import_record, spool, spooled, tell)
            if import_record.is_dry_run:
                report = dry_run_report(import_record, spool, spooled, tell)
                _end_dry_run(import_record, spooled, report, in_background)
            else:
                _store_rows(import_record, spool, spooled, tell, in_background)
    except FormatError as error:
        _fail(import_record, to_domain_error(error), in_background, spooled)
    except FileNotFoundError:
        _fail(import_record, file_gone(import_record), in_background)
    except DomainError as error:
        _fail(import_record, error, in_background)
    except Exception:
        log.exception("import_failed", import_record=import_record.pk)
        problem = DomainError(
            "Something broke on our side while the file was brought in. Nothing was stored.",
            code="internal_error",
            hint="Try it again; if it stays, tell an administrator the number of this import.",
        )
        _fail(import_record, problem, in_background)
        raise
    finally:
        spooled.faults.close()
        heartbeat.end()
    import_record.refresh_from_db()
    return import_record


def _store_rows(
    import_record: ImportRecord, spool: BinaryIO, spooled: Spooled, tell: Teller, in_background: bool
) -> None:
    store = RowStore(import_record)
    left_out = spooled.left_out + spooled.dropped
    with room_for_pages(), transaction.atomic():
        lock_project_rows(import_record.project)
        for chunk in spooled_chunks(spool):
            store.store(chunk)
            tell("storing", store.added + store.already_there, spooled.rows)
        mine = ImportRecord.objects.filter(
            pk=import_record.pk, status=ImportStatus.RUNNING, attempt=import_record.attempt
        )
        moved = mine.update(
            status=ImportStatus.SUCCEEDED,
            format=spooled.format,
            rows_read=spooled.rows + left_out,
            rows_added=store.added,
            rows_already_there=store.already_there,
            rows_left_out=left_out,
            faults=spooled.faults.first,
            finished_at=timezone.now(),
        )
        if moved != 1:
            raise Conflict("This import was taken up by another worker.", code="import_lost")
        if spooled.plan is not None:
            spooled.plan.keep_counts(import_record)
        record_event(
            action="import.succeeded",
            actor=import_record.created_by,
            obj=import_record,
            project=import_record.project,
            read=spooled.rows + left_out,
            added=store.added,
            **({"fixes": spooled.plan.counts} if spooled.plan and spooled.plan.counts else {}),
            digests={"judgments": store.digest.to_json()},
        )
        if in_background:
            _notify_owner(
                import_record,
                later(
                    "%(file)s is in: %(new)s of %(all)s rows are new.",
                    file=import_record.filename,
                    new=f"{store.added:,}",
                    all=f"{spooled.rows:,}",
                ),
            )
        # Last: a process that dies here has stored nothing, and no import is done without its list.
        spooled.faults.publish()


@transaction.atomic
def _end_dry_run(
    import_record: ImportRecord, spooled: Spooled, report: dict[str, Any], in_background: bool
) -> None:
    mine = ImportRecord.objects.filter(
        pk=import_record.pk, status=ImportStatus.RUNNING, attempt=import_record.attempt
    )
    moved = mine.update(
        status=ImportStatus.UPLOADED,
        is_dry_run=False,
        report=report,
        rows_left_out=spooled.left_out,
        faults=spooled.faults.first,
    )
    if moved != 1:
        raise Conflict("This import was taken up by another worker.", code="import_lost")
    if in_background:
        counts = {key: f"{report[key]:,}" for key in ("added", "rows", "left_out")}
        said = later(
            "%(name)s is checked: %(added)s of %(rows)s rows would be new, %(left_out)s left out.",
            name=import_record.filename,
            **counts,
        )
        _notify_owner(import_record, said)
    spooled.faults.publish()


@transaction.atomic
def _fail(
    import_record: ImportRecord, error: DomainError, in_background: bool, spooled: Spooled | None = None
) -> None:
    mine = ImportRecord.objects.filter(
        pk=import_record.pk, status=ImportStatus.RUNNING, attempt=import_record.attempt
    )
    place = error.details[0] if error.details else {}
    described = {
        "message": error.message,
        "code": error.code,
        "file": import_record.filename,
        "row": place.get("row"),
        "field": error.field,
        "hint": error.hint,
    }
    failed = mine.update(
        status=ImportStatus.FAILED,
        is_dry_run=False,
        error=described,
        rows_left_out=spooled.left_out if spooled else 0,
        faults=spooled.faults.first if spooled else [],
        finished_at=timezone.now(),
    )
    if failed != 1:
        return  # a later attempt owns the record, and says how it went
    record_event(
        action="import.failed",
        actor=import_record.created_by,
        obj=import_record,
        project=import_record.project,
        error=error.message,
    )
    if in_background:
        _notify_owner(
            import_record,
            later(
                "%(file)s was not brought in: %(problem)s", file=import_record.filename, problem=error.message
            ),
        )
    if spooled is not None:
        spooled.faults.publish()


def _notify_owner(import_record: ImportRecord, text: str) -> None:
    if import_record.created_by is not None:
        notify(
            user=import_record.created_by,
            project=import_record.project,
            kind="import.ended",
            text=text,
            path=reverse("labeling:import_detail", args=[import_record.project.slug, import_record.pk]),
        )


def raise_if_failed(import_record: ImportRecord) -> None:
    """Raise the error of a failed import as Invalid, with file, row and field."""
    if import_record.status == ImportStatus.FAILED and import_record.error:
        error = import_record.error
        raise Invalid(
            error["message"],
            code=error.get("code") or "import_failed",
            field=error["field"],
            hint=error["hint"],
            details=[{"field": error["field"], "row": error["row"], "message": error["message"]}],
        )


@transaction.atomic
def discard_import(*, import_record: ImportRecord, acting_user) -> None:
    """Forget an upload that stored nothing. Raises Conflict for an import that runs or is done."""
    faults_of = ImportRecord(pk=import_record.pk)
    gone, _ = ImportRecord.objects.filter(pk=import_record.pk, status__in=CONFIRMABLE).delete()
    if not gone:
        raise Conflict("Only an import that has stored nothing can be discarded.", code="import_status")
    record_event(
        action="import.discarded",
        actor=acting_user,
        obj=ImportRecord(pk=import_record.pk),
        project=import_record.project,
        filename=import_record.filename,
        sha256=import_record.sha256,
    )
    transaction.on_commit(lambda: import_files.remove_if_unused(import_record.sha256))
    transaction.on_commit(lambda: import_faults.remove(faults_of))


def revive_lost_imports() -> int:
    """Imports whose process died wait again, or fail after ATTEMPTS; how many. Called by the sweep."""
    revived = 0
    for import_record in ImportRecord.objects.filter(status=ImportStatus.RUNNING):
        if not Progress("import", import_record.pk).is_silent():
            continue
        if import_record.attempt >= ATTEMPTS:
            lost = DomainError(
                "The process that brought it in died too often. Nothing was stored.",
                code="import_lost",
                hint="Split the file.",
            )
            _fail(import_record, lost, True)
            continue
        revived += ImportRecord.objects.filter(
            pk=import_record.pk, status=ImportStatus.RUNNING, attempt=import_record.attempt
        ).update(status=ImportStatus.WAITING)
    return revived
