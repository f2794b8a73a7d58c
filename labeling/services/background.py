"""Long imports and freezes: who runs them when. Every path is safe to take twice, because the rows are
claimed.

A worker runs them when it is rung, a sweep finds what nobody was rung for, and where no worker takes a job up
within PATIENCE_SECONDS the web process that was asked for it does the work itself: labeling never depends on
the broker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from django.db import close_old_connections, connections

from labeling.models import (
    DatasetExport,
    DatasetExportStatus,
    DatasetSizes,
    DatasetVersion,
    DatasetVersionStatus,
    ImportRecord,
    ImportStatus,
    Preparation,
    PreparationStatus,
)

from .answer_index import build_index, waiting_indexes
from .assignments import release_expired
from .audit_seals import seal_events
from .batch_control import hold_overdue
from .batch_ends import note_finished_batches
from .dataset_comparing import revive_lost_comparisons
from .dataset_exports import build_export as build_file
from .dataset_exports import forget_unused, lost_exports
from .dataset_sizes import build_sizes as count_tokens
from .dataset_sizes import lost_sizes
from .datasets import build_version as build
from .datasets import lost_versions
from .imports import revive_lost_imports
from .imports import run_import as run
from .preparations import lost_preparations, run_preparation
from .recipe_counting import revive_lost_counts
from .uploads import remove_stale_uploads
from .work_again import tell_of_work

log = structlog.get_logger(__name__)
PATIENCE_SECONDS = 5.0
Job = ImportRecord | DatasetVersion | DatasetExport | DatasetSizes | Preparation


def run_import(import_record: ImportRecord) -> None:
    run(import_record=import_record, in_background=True)


def build_version(version: DatasetVersion) -> None:
    build(version=version, in_background=True)


def build_export(export: DatasetExport) -> None:
    build_file(export=export, in_background=True)


def build_sizes(sizes: DatasetSizes) -> None:
    count_tokens(sizes=sizes)


def prepare(preparation: Preparation) -> None:
    run_preparation(preparation=preparation)


def sweep() -> int:
    """Do what waits and was not begun, and take up what died; how many jobs were done. Cheap when there are
    none."""
    release_expired()
    hold_overdue()
    revive_lost_imports()
    remove_stale_uploads()
    seal_events()
    note_finished_batches()
    tell_of_work()
    done = 0
    for import_record in ImportRecord.objects.filter(status=ImportStatus.WAITING).order_by("pk"):
        done += _without_stopping(run_import, import_record)
    for version in lost_versions():
        done += _without_stopping(build_version, version)
    for export in lost_exports():
        done += _without_stopping(build_export, export)
    for sizes in lost_sizes():
        done += _without_stopping(build_sizes, sizes)
    forget_unused()
    for preparation in lost_preparations():
        done += _without_stopping(prepare, preparation)
    done += revive_lost_comparisons()
    done += revive_lost_counts()
    for project_id in waiting_indexes():
        done += build_index(project_id) > 0
    return done


def _without_stopping(job: Callable, row: Job) -> bool:
    """One job that breaks must not keep the others waiting; it has recorded itself as failed already."""
    try:
        job(row)
    except Exception:  # noqa: BLE001 - logged, and the row says so to its owner
        log.exception("background_job_failed", job=job.__name__, row=row.pk)
        return False
    return True


_TAKEN_UP: dict[type, tuple[Callable, str]] = {
    ImportRecord: (run_import, ImportStatus.WAITING),
    DatasetVersion: (build_version, DatasetVersionStatus.FREEZING),
    DatasetExport: (build_export, DatasetExportStatus.WAITING),
    DatasetSizes: (build_sizes, DatasetExportStatus.WAITING),
    Preparation: (prepare, PreparationStatus.WAITING),
}


def take_up_if_nobody_does(row: Job) -> None:
    """Called by the web after it rang for a job: run it in a thread of this process if it still waits in a
    while."""
    job, waits = _TAKEN_UP[type(row)]
    if row.status == waits:
        timer = threading.Timer(PATIENCE_SECONDS, _in_thread, [job, row])
        timer.daemon = True  # a stopping server does not wait: a sweep takes the job up again
        timer.start()


def _in_thread(job: Callable, row: Job) -> None:
    close_old_connections()
    try:
        _without_stopping(job, row)
    finally:
        connections.close_all()
