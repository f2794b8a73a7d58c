"""What a run was ordered with, as a document that orders the same again, and as a form that is filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.models import TrainingRun

from .inputs import INPUTS
from .locations import known_base_models


def settings_of(run: TrainingRun) -> dict[str, Any]:
    """As POST …/runs/ takes it. Its hyperparameters are complete, so that the preset is no part of it."""
    many = {str(spec.role) for spec in INPUTS[run.stage] if spec.is_many}
    inputs: dict[str, Any] = {}
    for row in run.inputs.select_related("dataset_version"):
        reference = str(row.dataset_version.public_id if row.dataset_version else row.checkpoint_id)
        if row.role in many:
            inputs.setdefault(row.role, []).append(reference)
        else:
            inputs[row.role] = reference
    return {
        "stage": run.stage,
        "name": run.name,
        "hyperparameters": run.hyperparameters,
        "inputs": inputs,
        "base_model": run.base_model,
        "options": run.options,
    }


def form_values_of(run: TrainingRun) -> dict[str, Any]:
    """The inputs of a run by the names of the form's fields; its name is its own."""
    many = {str(spec.role) for spec in INPUTS[run.stage] if spec.is_many}
    values: dict[str, Any] = {"text_files": run.options.get("text_files", [])}
    for row in run.inputs.all():
        key = row.dataset_version_id or row.checkpoint_id
        if row.role in many:
            values.setdefault(row.role, []).append(key)
        else:
            values[row.role] = key
    # Kept as the place that was read; the form names base models by their folder.
    name = run.base_model if run.base_model in known_base_models() else Path(run.base_model).name
    return values | {"base_model": name}
