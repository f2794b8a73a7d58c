"""Which checkpoints keep their files: of each run the newest few, the best, the final one, pinned ones, and
what is in use.

A run's trainer keeps `keep_checkpoints` in its own folder; what it drops there when it goes on is still here
for those who use it, until nobody does. Rows stay for ever: lineage leads through them.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Now

from labeling.models import Project
from labeling.services.activity import record_event
from training.models import Checkpoint, Round, RoundStatus, RunInput, RunStatus, TrainingRun

from .event_log import append_event
from .locations import checkpoint_directory, checkpoints_directory, data_dir

log = structlog.get_logger(__name__)
DEFAULT_KEPT = 2
AT_ONCE = 50  # checkpoints in one sweep: it holds a project's lock for each
NAMELESS_DAYS = 7.0  # a folder that no row names is kept so long: a restored database may know it yet


class DiskUse(NamedTuple):
    """Of a project: checkpoints whose files are kept and their bytes, rows without files, bytes free."""

    kept: int
    size_bytes: int
    removed: int
    free_bytes: int


def disk_use(project: Project) -> DiskUse:
    rows = project.checkpoints.aggregate(
        count=Count("pk", filter=Q(removed_at=None)),
        size=Sum("size_bytes", filter=Q(removed_at=None)),
        removed=Count("pk", filter=Q(removed_at__isnull=False)),
    )
    return DiskUse(rows["count"], rows["size"] or 0, rows["removed"], shutil.disk_usage(data_dir()).free)


def retire_checkpoints(*, at_most: int = AT_ONCE) -> list[Checkpoint]:
    """Remove files that no rule keeps, of runs that ended CHECKPOINT_GRACE_HOURS ago; those removed."""
    if settings.CHECKPOINT_GRACE_HOURS < 0:
        return []
    removed = []
    for checkpoint in retirable()[:at_most]:
        if _retire(checkpoint):
            removed.append(checkpoint)
    return removed


def retirable() -> list[Checkpoint]:
    """What no rule keeps now, the oldest first."""
    ended_at = Now() - timedelta(hours=settings.CHECKPOINT_GRACE_HOURS)
    candidates: QuerySet[Checkpoint] = (
        Checkpoint.objects.present()
        .filter(is_best=False, is_final=False, is_pinned=False)
        .filter(run__finished_at__lt=ended_at)
        .exclude(run__status__in=[RunStatus.QUEUED, RunStatus.RUNNING])
        .exclude(pk__in=in_use())
        .select_related("run__project")
        .order_by("created_at")
    )
    newest: dict[Any, set[Any]] = {}
    found = []
    for checkpoint in candidates:
        run = checkpoint.run
        if run.pk not in newest:
            newest[run.pk] = _newest(run)
        if checkpoint.pk not in newest[run.pk]:
            found.append(checkpoint)
    return found


def in_use() -> set[Any]:
    """Ids of checkpoints that a run which may still read them names, or a round under way."""
    # A failed run can be retried, a cancelled one resumed: only what has succeeded is done with its inputs.
    named = RunInput.objects.filter(checkpoint__isnull=False).exclude(run__status=RunStatus.SUCCEEDED)
    found = set(named.values_list("checkpoint_id", flat=True))
    plans = Round.objects.filter(status=RoundStatus.RUNNING).values_list("plan", flat=True)
    names = [str(plan["checkpoint"]) for plan in plans if plan.get("checkpoint")]
    for run in TrainingRun.objects.filter(follow_up__has_key="compare"):
        names.append(str(run.follow_up["compare"]["start"]))
    return found | set(Checkpoint.objects.filter(pk__in=names).values_list("pk", flat=True))


def _newest(run: TrainingRun) -> set[Any]:
    """As many as its trainer keeps."""
    kept = int(run.hyperparameters.get("keep_checkpoints", DEFAULT_KEPT))
    return set(run.checkpoints.present().order_by("-step").values_list("pk", flat=True)[:kept])


def _retire(checkpoint: Checkpoint) -> bool:
    """False where somebody pinned it or began to use it meanwhile."""
    with transaction.atomic():
        # A run that is being ordered holds this lock, too: it sees the checkpoint, or that it is gone.
        Project.objects.select_for_update().get(pk=checkpoint.project_id)
        rows = Checkpoint.objects.present().filter(
            pk=checkpoint.pk, is_best=False, is_final=False, is_pinned=False
        )
        if checkpoint.pk in in_use() or rows.update(removed_at=Now()) != 1:
            return False
        record_event(
            action="checkpoint.retired",
            actor=None,
            obj=checkpoint,
            project=checkpoint.project,
            size_bytes=checkpoint.size_bytes,
        )
        append_event(
            checkpoint.run_id, type="log", data={"message": f"The files of {checkpoint} were removed."}
        )
        folder = checkpoint_directory(checkpoint)
        transaction.on_commit(lambda: _remove(folder))
    return True


def sweep_folders(*, nameless_days: float = NAMELESS_DAYS) -> int:
    """Remove the files that killed processes have left behind; the number of folders.

    A row says that its files are removed before they are, and a folder is there before its row: whoever dies
    in between leaves one that nobody uses. Those of removed checkpoints go at once, and those that no row
    names once nothing has changed there for `nameless_days`.
    """
    count = 0
    for folder, is_kept in _folders_with_rows():
        if is_kept is False or (is_kept is None and _idle_seconds(folder) > nameless_days * 86_400):
            log.info("leftover_folder_removed", folder=folder.name, had_a_row=is_kept is not None)
            count += _remove(folder)
    return count


def _folders_with_rows() -> Iterator[tuple[Path, bool | None]]:
    """(folder, whether its checkpoint's files are to be kept; None where no row names it)."""
    root = checkpoints_directory()
    entries = os.scandir(root) if root.is_dir() else ()
    names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    for start in range(0, len(names), 500):
        chunk = names[start : start + 500]
        rows = Checkpoint.objects.filter(directory__in=[f"{root.name}/{name}" for name in chunk])
        kept = {Path(place).name: gone is None for place, gone in rows.values_list("directory", "removed_at")}
        yield from ((root / name, kept.get(name)) for name in chunk)


def _idle_seconds(folder: Path) -> float:
    """Since anything was changed there, by the folder's own account: a copy keeps the times of its original,
    but not the one at which it got its name."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        return 0.0
    return time.time() - max(found.st_ctime, found.st_mtime)


def _remove(folder: Path) -> bool:
    """False where something could not be removed; the next sweep tries again."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return False
    except OSError as error:
        log.warning("folder_not_removed", folder=folder.name, cause=str(error))
        return False
    return True
