"""Batches that the rows of a run can fill."""

from __future__ import annotations

from typing import Any

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import DatasetVersion
from training.models import RunInputRole, Stage

from .inputs import Source


def fitted_batch_size(
    stage: str, values: dict[str, Any], *, chosen: dict[str, Any], sources: list[tuple[str, Source]]
) -> dict[str, int]:
    """A batch that the rows can fill, as the trainer demands: {"batch_size"} where another is needed.

    What somebody chose is not changed: Invalid says what fits. A default or a preset's gives way, to half of
    the rows, since some of them may be too long or prefer nothing. Of other stages rows fill no batch.
    """
    versions = {role: source for role, source in sources if isinstance(source, DatasetVersion)}
    if stage not in (Stage.SFT, Stage.REWARD) or RunInputRole.TRAIN_DATA not in versions:
        return {}
    learnt = versions[RunInputRole.TRAIN_DATA]
    rows, names = int(learnt.row_counts.get("train", 0) * values["train_share"]), str(learnt)
    if mixed := versions.get(RunInputRole.MIX_DATA):
        rows += min(mixed.row_counts.get("train", 0), int(rows * values["mix_ratio"]))
        names += f" + {mixed}"
    fits = not 0 < rows < values["batch_size"]
    if fits or "batch_size" not in chosen:
        return {} if fits else {"batch_size": max(1, rows // 2)}
    raise Invalid(
        _("batch_size: is %(size)s, but %(source)s has only %(rows)s training rows.")
        % {"size": values["batch_size"], "source": names, "rows": rows},
        field="batch_size",
        hint=_("Lower it to %(rows)s or less, or freeze a version with more.") % {"rows": rows},
    )
