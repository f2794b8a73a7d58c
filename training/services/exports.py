"""Checkpoints for other tools: whether a format can hold one, and the files of a finished export run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.db import transaction

from annotate.errors import Conflict, Gone, Invalid
from annotate.words import _
from labeling.services.activity import record_event
from training.models import Checkpoint, RunInputRole, RunStatus, Stage, TrainingRun
from training.rlhf import checkpoints as files
from training.rlhf.errors import CheckpointError, RlhfError
from training.rlhf.export.shapes import FOLDER, require_holdable

from .locations import checkpoint_directory, run_directory, without_our_folders
from .tar_stream import tar_stream


def check_export(stage: str, values: dict[str, Any], sources: Sequence[tuple[str, Any]]) -> None:
    """Raises Invalid, before anything is queued, where an export's format cannot hold the checkpoint."""
    for _role, checkpoint in sources if stage == Stage.EXPORT else []:
        try:
            require_holdable(checkpoint_directory(checkpoint), values["format"])
        except RlhfError as error:
            raise Invalid(without_our_folders(error.message), code=error.code, field="format") from error
        except OSError as error:
            raise Gone("The files of this checkpoint were removed.") from error


def exports_of(checkpoint: Checkpoint) -> list[TrainingRun]:
    """Export runs of a checkpoint, the newest first."""
    rows = TrainingRun.objects.filter(
        stage=Stage.EXPORT, inputs__checkpoint=checkpoint, inputs__role=RunInputRole.MODEL
    )
    return list(rows.select_related("project").order_by("-number")[:20])


def has_files(run: TrainingRun) -> bool:
    """Whether there is something to download."""
    is_done = run.stage == Stage.EXPORT and run.status == RunStatus.SUCCEEDED
    return is_done and (_folder(run) / files.MANIFEST).is_file()


def open_export(*, run: TrainingRun, acting_user) -> tuple[str, Iterator[bytes]]:
    """(file name, bytes of a tar archive, streamed) after every digest was compared. Audited.

    Raises Conflict where the run is no finished export or a file is damaged, Gone where they were removed.
    """
    if run.stage != Stage.EXPORT or run.status != RunStatus.SUCCEEDED:
        raise Conflict(_("%(run)s has exported nothing.") % {"run": run}, code="nothing_exported")
    folder = _folder(run)
    if not (folder / files.MANIFEST).is_file():
        raise Gone("The files of this export were removed.", hint="Export the checkpoint again.")
    try:
        manifest = files.verify(folder)
    except CheckpointError as error:
        said = error.message.replace(str(folder), "The export")
        raise Conflict(said, code="damaged_export", hint="Export the checkpoint again.") from error
    with transaction.atomic():
        record_event(action="export.downloaded", actor=acting_user, obj=run, project=run.project)
    name = f"{run.project.slug}-export-{run.number}-{run.hyperparameters['format']}"
    return f"{name}.tar", tar_stream(folder, sorted(manifest.files), prefix=name)


def _folder(run: TrainingRun) -> Path:
    return run_directory(run) / FOLDER
