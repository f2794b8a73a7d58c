"""An export run of a checkpoint, as a person orders it on its page."""

from __future__ import annotations

from typing import Any

from labeling.models import Project
from training.models import Checkpoint, RunInputRole, Stage, TrainingRun

from .orders import Order
from .runs import create_run


def export_checkpoint(
    *,
    project: Project,
    checkpoint: Checkpoint,
    values: dict[str, Any],
    acting_user,
    name: str = "",
    order: Order | None = None,
) -> TrainingRun:
    """A queued export run. `values` are hyperparameters of the stage: format, weights, license and so on.

    Raises Invalid where the format cannot hold the checkpoint, and for values it may not have.
    """
    return create_run(
        project=project,
        stage=Stage.EXPORT,
        name=name,
        hyperparameters={field: value for field, value in values.items() if value not in (None, "")},
        inputs={RunInputRole.MODEL: checkpoint},
        acting_user=acting_user,
        order=order,
    )
