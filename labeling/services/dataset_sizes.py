"""How large a version is in tokens, split by split, and how long a run on it may take.

Counted as a run would read the rows: with the model's chat template and the stop tokens, by the training room
in a child process. Each version is counted once for each tokenizer, since neither changes.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F

from annotate.doorbell import ring_on_commit
from annotate.errors import Conflict, DomainError
from labeling.formats import SPLITS
from labeling.models import DatasetExportStatus, DatasetKind, DatasetSizes, DatasetVersion

from .activity import record_event
from .datasets import ATTEMPTS, require_ready, split_path
from .export_encoders import Speed, encoder
from .progress import Progress, lost_jobs

log = structlog.get_logger(__name__)
INLINE_ROWS = 2_000  # counted while the person waits: about three seconds, most of them the child's start


def measure_sizes(
    *, version: DatasetVersion, model: str, acting_user, in_background: bool | None = None
) -> DatasetSizes:
    """The sizes of a version in tokens of a model's tokenizer: those there are, else counted at once up to
    INLINE_ROWS rows, else in the background. What failed is tried again.

    Raises Conflict (not ready), Invalid (no such model), Unavailable (no training room).
    """
    require_ready(version)
    tokenizer = encoder().tokenizer(version.dataset.project, model)
    if in_background is None:
        in_background = version.row_count > INLINE_ROWS
    with transaction.atomic():
        sizes, is_new = DatasetSizes.objects.get_or_create(
            version=version,
            tokenizer_sha256=tokenizer.digest,
            defaults={"model": model, "model_name": tokenizer.name[:200], "created_by": acting_user},
        )
        if sizes.status == DatasetExportStatus.FAILED:
            seen = DatasetSizes.objects.filter(pk=sizes.pk, status=sizes.status, attempt=sizes.attempt)
            # The model first chosen may be gone: another with the same tokenizer counts alike.
            seen.update(status=DatasetExportStatus.WAITING, attempt=0, error="", model=model)
            sizes.refresh_from_db()
        if is_new:
            record_event(
                action="dataset.sizes_asked",
                actor=acting_user,
                obj=version,
                project=version.dataset.project,
                model=tokenizer.name,
                tokenizer_sha256=tokenizer.digest,
            )
        if in_background and sizes.status == DatasetExportStatus.WAITING:
            ring_on_commit("labeling.tasks.build_sizes", sizes.pk)
    return sizes if in_background else build_sizes(sizes=sizes)


def build_sizes(*, sizes: DatasetSizes) -> DatasetSizes:
    """Count the tokens that wait to be counted. Runs once however often it is called, as `build_version`."""
    heartbeat = Progress("sizes", sizes.pk)
    sizes.refresh_from_db()
    if sizes.status != DatasetExportStatus.WAITING or (sizes.attempt and not heartbeat.is_silent()):
        return sizes
    version = sizes.version
    heartbeat.tell("counting", 0, version.row_count, now=True)
    mine = DatasetSizes.objects.filter(pk=sizes.pk, status=DatasetExportStatus.WAITING)
    if mine.filter(attempt=sizes.attempt).update(attempt=F("attempt") + 1) != 1:
        return sizes
    sizes.refresh_from_db()
    try:
        files = {split: split_path(version=version, split=split) for split in SPLITS}
        result = encoder().measure(
            version.dataset.project,
            sizes.model,
            files,
            lambda done: heartbeat.tell("counting", done, version.row_count),
        )
        if not _end(sizes, status=DatasetExportStatus.READY, result=result):
            raise Conflict("These sizes were taken up by another worker.", code="sizes_lost")
    except DomainError as error:
        _end(sizes, status=DatasetExportStatus.FAILED, error=error.message)
    except Exception:
        log.exception("sizes_failed", sizes=sizes.pk)
        problem = "Something broke on our side while the tokens were counted."
        _end(sizes, status=DatasetExportStatus.FAILED, error=problem)
        raise
    finally:
        heartbeat.end()
    sizes.refresh_from_db()
    return sizes


def _end(sizes: DatasetSizes, **values: Any) -> bool:
    mine = DatasetSizes.objects.filter(pk=sizes.pk, status=DatasetExportStatus.WAITING, attempt=sizes.attempt)
    return mine.update(**values) == 1


def lost_sizes() -> list[DatasetSizes]:
    """Those to be counted: nobody has begun, or whoever did has died. Died too often: failed here."""

    def give_up(sizes: DatasetSizes) -> None:
        problem = f"The process that counted its tokens died {ATTEMPTS} times."
        _end(sizes, status=DatasetExportStatus.FAILED, error=problem)

    waiting = DatasetSizes.objects.filter(status=DatasetExportStatus.WAITING).order_by("pk")
    return lost_jobs("sizes", waiting, attempts=ATTEMPTS, give_up=give_up)


# --- How long a run may take ------------------------------------------------------------------------------
@dataclass(frozen=True)
class TimeEstimate:
    """Seconds of one pass over the train split, by the speeds of former runs: the slowest, the median and the
    fastest of them. Learning only: evaluations, saving and the start of the run come on top."""

    speeds: list[Speed]  # those it was reckoned by
    amount: int  # tokens, or prompts, of the pass
    unit: str
    longest: float
    median: float
    shortest: float
    epochs: float  # passes of the newest of these runs

    @property
    def time_of_all(self) -> float:
        """Seconds of as many passes."""
        return self.median * self.epochs

    @property
    def is_same_model(self) -> bool:
        return all(each.is_same_model for each in self.speeds)


def time_estimate(sizes: DatasetSizes) -> TimeEstimate | None:
    """By runs that started from the same model where there are some, else by all of the stage; None before
    the first run, and where nothing fits the context."""
    version = sizes.version
    train = sizes.result.get("splits", {}).get("train", {})
    speeds = encoder().speeds(version.dataset.project, version.dataset.kind, sizes.model)
    speeds = [each for each in speeds if each.is_same_model] or speeds
    is_prompts = version.dataset.kind == DatasetKind.PROMPTS
    amount = train.get("rows", 0) - train.get("over", 0) if is_prompts else train.get("fitting", 0)
    if not speeds or not amount:
        return None
    rates = [each.per_second for each in speeds]
    return TimeEstimate(
        speeds=speeds,
        amount=amount,
        unit=speeds[0].unit,
        longest=amount / min(rates),
        median=amount / statistics.median(rates),
        shortest=amount / max(rates),
        epochs=speeds[0].epochs,
    )
