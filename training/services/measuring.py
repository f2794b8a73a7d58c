"""Evaluations that follow by themselves: found by what they measure, so that one made by hand counts, too."""

from __future__ import annotations

from typing import Any

from labeling.models import DatasetVersion
from training.models import Checkpoint, RunInputRole, RunStatus, Stage, TrainingRun

from .runs import create_run

# By the stage that made a model, the roles of its evaluation: (the model, what it is measured on).
ROLES = {
    Stage.SFT: (RunInputRole.MODEL, RunInputRole.DEMONSTRATIONS),
    Stage.REWARD: (RunInputRole.REWARD_MODEL, RunInputRole.TRAIN_DATA),
}
# What a verdict rests on: (metric of an evaluation, higher is better).
MEASURE = {Stage.SFT: ("loss", False), Stage.REWARD: ("reward_accuracy", True)}
Place = tuple[Any, Any]  # (checkpoint, dataset version), by primary key


def evaluations_of(
    stage: str, models: list[Checkpoint], versions: list[DatasetVersion]
) -> dict[Place, TrainingRun]:
    """The newest evaluation of each model on each version that has not failed, else the newest of all."""
    model_role, data_role = ROLES[Stage(stage)]
    if not models:
        return {}
    asked = {(model.pk, version.pk) for model in models for version in versions}
    rows = (
        TrainingRun.objects.filter(project=models[0].project_id, stage=Stage.EVALUATE)
        .filter(inputs__role=model_role, inputs__checkpoint__in=models)
        .order_by("number")
        .distinct()
        .prefetch_related("inputs__dataset_version__dataset", "inputs__checkpoint__run")
    )
    found: dict[Place, TrainingRun] = {}
    for run in rows:
        sources = {row.role: row for row in run.inputs.all()}
        if data_role not in sources:
            continue
        place = (sources[model_role].checkpoint_id, sources[data_role].dataset_version_id)
        before = found.get(place)
        if place in asked and (
            before is None or run.status != RunStatus.FAILED or before.status == RunStatus.FAILED
        ):
            found[place] = run
    return found


def start_evaluation(
    *, run: TrainingRun, model: Checkpoint, version: DatasetVersion, acting_user
) -> TrainingRun:
    """A queued evaluation of `model` on the held-out rows of `version`, of rows as long as `run` learnt."""
    model_role, data_role = ROLES[Stage(run.stage)]
    longest = {name: value for name, value in run.hyperparameters.items() if name == "maximum_length"}
    return create_run(
        project=run.project,
        stage=Stage.EVALUATE,
        name=f"{model} · {version}"[:120],
        hyperparameters=longest,
        inputs={model_role: model, data_role: version},
        acting_user=acting_user,
    )


def chosen_checkpoint(run: TrainingRun) -> Checkpoint | None:
    """The best checkpoint of a run that has succeeded, else its final one."""
    if run.status != RunStatus.SUCCEEDED:
        return None
    rows = run.checkpoints.present().order_by("-is_best", "-is_final", "-step")
    return rows.select_related("run").first()
