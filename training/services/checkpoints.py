"""Checkpoints that the site keeps: registered when a run's attempt has ended, verified, pinned, given away.

Registering gives a checkpoint a folder of its own (hard links where the file system has them), so that what
the trainer's retention removes later, when the run is resumed, is still there for those who use it.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, transaction

from annotate.errors import Conflict, Gone
from annotate.postgres import answers_within
from annotate.words import _
from labeling.models import Project
from labeling.services.activity import record_event
from training.models import Checkpoint, Stage, TrainingRun
from training.rlhf import checkpoints as files
from training.rlhf.errors import CheckpointError

from .leases import LeaseLost, held, patience
from .locations import checkpoint_directory, checkpoints_directory, data_dir, run_directory
from .tar_stream import tar_stream

log = structlog.get_logger(__name__)

# What a trainer needs to go on, but nobody who uses the model does.
TRAINER_FILES = ("optimizer.safetensors", "trainer_state.json")


@dataclass(frozen=True)
class WholeCheckpoint:
    """A folder whose digests were compared."""

    folder: Path
    manifest: files.Manifest
    manifest_sha256: str


def whole_checkpoints(
    run: TrainingRun, on_damage: Callable[[str, str], None] | None = None
) -> list[WholeCheckpoint]:
    """The whole, undamaged checkpoints in the run's folder. Reads every byte, asks no database.

    A damaged one is left out, its name and what is wrong given to `on_damage`: the trainer itself falls
    back to the one before.
    """
    found = []
    for folder in files.whole_checkpoints(run_directory(run) / "checkpoints"):
        try:
            manifest = files.verify(folder)
        except CheckpointError as error:
            log.warning("damaged_checkpoint", run=str(run.pk), cause=error.message)
            if on_damage:
                on_damage(folder.name, error.message)
            continue
        found.append(WholeCheckpoint(folder, manifest, files.digest(folder / files.MANIFEST)["sha256"]))
    return found


def register_checkpoints(
    run: TrainingRun, whole: Iterable[WholeCheckpoint], result: dict[str, Any]
) -> list[Checkpoint]:
    """Rows for checkpoints in the run's folder; doing it again adds nothing.

    Call while this attempt holds the run; raises LeaseLost where it does not.
    """
    best, final = _name(result.get("best_checkpoint")), _name(result.get("final_checkpoint"))
    return [
        _register(
            run,
            each.folder,
            each.manifest,
            each.manifest_sha256,
            each.folder.name == best and not is_over_budget(run, each.manifest.metrics),
            each.folder.name == final,
        )
        for each in whole
    ]


def kl_budget_of(run: TrainingRun) -> float:
    """Nats that a PPO run may leave its reference by; 0 where there is no limit."""
    return float(run.hyperparameters.get("kl_budget") or 0.0) if run.stage == Stage.PPO else 0.0


def is_over_budget(run: TrainingRun, metrics: dict[str, Any]) -> bool:
    """Whether what was measured of a checkpoint is over the run's KL budget."""
    budget, kl = kl_budget_of(run), _kl_of(metrics)
    return bool(budget) and kl is not None and kl > budget


def best_of(run: TrainingRun) -> Checkpoint | None:
    """What is used of a run: of those with files its best checkpoint, else its final one, else its newest.

    Under a KL budget only what was measured within it, for a person to choose another by its step.
    """
    rows = run.checkpoints.present().order_by("-is_best", "-is_final", "-step").select_related("run")
    if not kl_budget_of(run):
        return rows.first()
    fitting = (row for row in rows if not is_over_budget(run, row.metrics))
    return next((row for row in fitting if row.is_best or _kl_of(row.metrics) is not None), None)


def has_none_within_budget(run: TrainingRun) -> bool:
    """Whether a PPO run has checkpoints, and none is known to be within its KL budget."""
    return bool(kl_budget_of(run)) and run.checkpoints.present().exists() and best_of(run) is None


def _kl_of(metrics: dict[str, Any]) -> float | None:
    """On held-out prompts, or on those to practise on where there are none."""
    value = metrics.get("validation_kl", metrics.get("kl"))
    return float(value) if isinstance(value, int | float) else None


def _name(path: Any) -> str:
    return Path(path).name if isinstance(path, str) else ""


def _register(
    run, folder: Path, manifest: files.Manifest, sha256: str, is_best: bool, is_final: bool
) -> Checkpoint:
    with answers_within(patience):
        known = Checkpoint.objects.filter(run=run, step=manifest.step).first()
    is_there = known is not None and known.manifest_sha256 == sha256 and known.removed_at is None
    if known is not None and is_there and checkpoint_directory(known).is_dir():
        with answers_within(patience), transaction.atomic():
            _must_hold(run)
            Checkpoint.objects.filter(pk=known.pk).update(is_best=is_best, is_final=is_final)
        return known
    key = uuid.uuid4()
    place = checkpoints_directory() / str(key)
    directory = place.relative_to(data_dir())
    _link_folder(folder, place)
    values = {
        "kind": manifest.kind,
        "project": run.project,
        "directory": str(directory),
        "manifest_sha256": sha256,
        "size_bytes": sum(entry["bytes"] for entry in manifest.files.values()),
        "metrics": {
            name: value for name, value in manifest.metrics.items() if isinstance(value, int | float)
        },
        "is_best": is_best,
        "is_final": is_final,
        "removed_at": None,
    }
    try:
        with answers_within(patience), transaction.atomic():
            _must_hold(run)
            if known is None:
                return Checkpoint.objects.create(id=key, run=run, step=manifest.step, **values)
            # The same step with other bytes (the run was started over), or without its files. The row keeps
            # its id, its old files go.
            old = checkpoint_directory(known)
            Checkpoint.objects.filter(pk=known.pk).update(**values)
            known.refresh_from_db()
            transaction.on_commit(lambda: shutil.rmtree(old, ignore_errors=True))
            return known
    except (OperationalError, InterfaceError):
        # The answer of a commit that was done may be lost: then the row names these files. If it was not,
        # nothing names them, and a sweep takes them.
        raise
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _must_hold(run: TrainingRun) -> None:
    if not held(run.pk, run.attempt).select_for_update().exists():
        raise LeaseLost(f"attempt {run.attempt} of run {run.pk} does not hold it any more")


def _link_folder(source: Path, target: Path) -> None:
    """A copy that shares the bytes where it can. The folder gets its name last."""
    temporary = target.with_name(f".{target.name}.writing")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copytree(source, temporary, copy_function=_link_or_copy)
    os.replace(temporary, target)
    files.fsync_path(target.parent)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)


def verify_checkpoint(checkpoint: Checkpoint) -> files.Manifest:
    """The manifest after every digest was compared.

    Raises Gone (removed) or Conflict (damaged) with the file's name.
    """
    folder = registered_folder(checkpoint)
    try:
        return files.verify(folder)
    except CheckpointError as error:
        name = error.message.replace(str(folder), "The checkpoint")
        raise Conflict(name, code="damaged_checkpoint", hint="Restore it from a backup.") from error


def registered_folder(checkpoint: Checkpoint) -> Path:
    """The folder, whose manifest is the one that was registered; its files are not read.

    Raises Gone (removed) or Conflict (another manifest). Who loads the model compares its files with the
    manifest (training.rlhf.model_folders), so that both together say that it is the registered one.
    """
    if checkpoint.removed_at is not None:
        raise Gone("The files of this checkpoint were removed.")
    folder = checkpoint_directory(checkpoint)
    try:
        found = files.digest(folder / files.MANIFEST)["sha256"]
    except OSError as error:
        raise Conflict(
            _("The checkpoint %(name)s has no manifest: it is not whole.") % {"name": checkpoint},
            code="damaged_checkpoint",
            hint="Restore it from a backup.",
        ) from error
    if found != checkpoint.manifest_sha256:
        raise Conflict(
            _("The manifest of %(name)s is not the one that was registered.") % {"name": checkpoint},
            code="damaged_checkpoint",
            hint="Restore it from a backup.",
        )
    return folder


def verify_all(project: Project | None = None) -> Iterator[tuple[Checkpoint, str]]:
    """(checkpoint, what is wrong with it or "") for every checkpoint that should be there.

    For `manage.py verify`.
    """
    rows = Checkpoint.objects.present().select_related("run", "project").order_by("created_at")
    if project is not None:
        rows = rows.filter(project=project)
    for checkpoint in rows.iterator(chunk_size=100):
        try:
            verify_checkpoint(checkpoint)
        except (Conflict, Gone) as error:
            yield checkpoint, error.message
        else:
            yield checkpoint, ""


def checkpoint_files(checkpoint: Checkpoint, *, with_optimizer: bool = False) -> list[tuple[str, int]]:
    """(name, bytes) of what a download holds; the trainer's own state only if asked for."""
    manifest = files.load_manifest(checkpoint_directory(checkpoint))
    names = [(name, entry["bytes"]) for name, entry in sorted(manifest.files.items())]
    return [(name, size) for name, size in names if with_optimizer or name not in TRAINER_FILES]


def open_archive(
    *, checkpoint: Checkpoint, acting_user, with_optimizer: bool = False
) -> tuple[str, Iterator[bytes]]:
    """(file name, bytes of a tar archive, streamed) after the digests were compared. Audited.

    Raises Gone or Conflict as `verify_checkpoint` does.
    """
    verify_checkpoint(checkpoint)
    run = checkpoint.run
    name = f"{run.project.slug}-{run.stage}-run-{run.number}-step-{checkpoint.step}"
    members = [name for name, _ in checkpoint_files(checkpoint, with_optimizer=with_optimizer)]
    if with_optimizer:
        members.append(files.MANIFEST)
    with transaction.atomic():
        record_event(
            action="checkpoint.downloaded",
            actor=acting_user,
            obj=checkpoint,
            project=run.project,
            with_optimizer=with_optimizer,
        )
    return f"{name}.tar", tar_stream(checkpoint_directory(checkpoint), members, prefix=name)


@transaction.atomic
def set_pinned(*, checkpoint: Checkpoint, is_pinned: bool, acting_user) -> Checkpoint:
    """A pinned checkpoint is never removed by retention. Raises Gone where it was removed before."""
    rows = Checkpoint.objects.filter(pk=checkpoint.pk)
    if is_pinned:
        rows = rows.present()
        if not rows.select_for_update().exists():
            raise Gone("The files of this checkpoint were removed.")
    if rows.filter(is_pinned=not is_pinned).update(is_pinned=is_pinned):
        action = "checkpoint.pinned" if is_pinned else "checkpoint.unpinned"
        record_event(action=action, actor=acting_user, obj=checkpoint, project=checkpoint.project)
    checkpoint.refresh_from_db()
    return checkpoint
