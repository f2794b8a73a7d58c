"""Runs that differ in how much of the data they learn from, and whether collecting more would help.

Each run is judged by its best checkpoint, as everything else that is used of it. Validation chose that
checkpoint, so where the version has a test split it is measured there, by an evaluation that follows the run.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import DatasetVersion
from training.models import RunInputRole, Stage, TrainingRun
from training.rlhf.learning_curve import MORE, bounded, outlook

from .follow_up_plans import MEASURED_TOO
from .measuring import MEASURE as MEASURE_OF_EVALUATION
from .measuring import chosen_checkpoint, evaluations_of, start_evaluation
from .orders import Order, keep
from .runs import check_run, create_run

SHARES = (0.25, 0.5, 1.0)
SHARE = "train_share"
# By stage: how many examples a run learnt from, and what validation judges it by.
ROWS = {Stage.SFT: "train_rows", Stage.REWARD: "train_rankings"}
MEASURE = {Stage.SFT: "validation_loss", Stage.REWARD: "validation_accuracy"}
POINTS = 24


def create_learning_curve(
    *,
    stage: str,
    hyperparameters: dict[str, Any],
    name: str = "",
    follow_up: dict[str, Any] | None = None,
    order: Order | None = None,
    **more: Any,
) -> list[TrainingRun]:
    """A run for each of SHARES, alike in all else; the last one learns from everything and has the follow-up.

    The rest is as in `create_run`. Raises Invalid where the stage has no data to take a share of, or a share
    was chosen already.
    """  # fmt: skip
    if stage not in ROWS:
        raise Invalid(
            _("A learning curve is of an SFT or a reward run."),
            field="learning_curve",
            hint=_("Other stages do not learn from a share of a dataset version."),
        )
    if hyperparameters.get(SHARE, 1.0) != 1.0:
        raise Invalid(
            _("A learning curve chooses the shares itself."), field=SHARE, hint=_("Leave train_share at 1.")
        )
    rest = {given: value for given, value in more.items() if given != "acting_user"}
    check_run(stage=stage, hyperparameters=hyperparameters, **rest)
    with transaction.atomic():
        runs = _create_each(stage, hyperparameters, name.strip(), follow_up or {}, **more)
        keep(order, *runs)
    return runs


def _create_each(
    stage: str, hyperparameters: dict[str, Any], name: str, follow_up: dict[str, Any], **more: Any
) -> list[TrainingRun]:
    runs: list[TrainingRun] = []
    for share in SHARES:
        values = {**hyperparameters, SHARE: share}
        if runs:  # what fits the smallest is the batch of all, or they would differ in two things
            values["batch_size"] = runs[0].hyperparameters["batch_size"]
        label = f"{name or Stage(stage).label} {share:.0%}"
        is_whole = share == SHARES[-1]
        run = create_run(
            stage=stage,
            hyperparameters=values,
            name=label,
            follow_up=follow_up if is_whole else {},
            **more,
        )
        if _learnt(run).row_counts.get("test"):
            run.follow_up = {**run.follow_up, MEASURED_TOO: True}
            run.save(update_fields=["follow_up"])
        runs.append(run)
    return runs


def measure(run: TrainingRun) -> TrainingRun:
    """The evaluation of a run's best checkpoint on the test split of what it learnt from; made once.

    Raises Invalid where the run left no checkpoint.
    """
    checkpoint, version = chosen_checkpoint(run), _learnt(run)
    if checkpoint is None:
        raise Invalid(_("%(run)s has no checkpoint.") % {"run": run}, code="no_checkpoint")
    there = evaluations_of(run.stage, [checkpoint], [version]).get((checkpoint.pk, version.pk))
    return there or start_evaluation(run=run, model=checkpoint, version=version, acting_user=run.created_by)


def _learnt(run: TrainingRun) -> DatasetVersion:
    row = run.inputs.select_related("dataset_version__dataset").get(role=RunInputRole.TRAIN_DATA)
    assert row.dataset_version is not None  # noqa: S101 - the role is a version's
    return row.dataset_version


def learning_curve(runs: list[TrainingRun]) -> dict[str, Any] | None:
    """{"points": [(rows, value)], "line": [(rows, value)], "gain", "more", "is_enough", "is_far",
    "is_loss", "is_tested": whether the values are of the test split} of runs that differ in their share
    alone; None for others.
    """
    stages = {run.stage for run in runs}
    if len(stages) != 1 or not stages <= set(ROWS) or not _differ_in_share_alone(runs):
        return None
    stage = Stage(stages.pop())
    having = [run for run in runs if ROWS[stage] in run.metrics]
    tested = [_on_test(run) for run in having]
    is_tested = bool(having) and None not in tested
    values = tested if is_tested else [_at_best(run) for run in having]
    points = sorted(
        (int(run.metrics[ROWS[stage]]), value)
        for run, value in zip(having, values, strict=True)
        if value is not None
    )
    is_loss = stage == Stage.SFT
    found = outlook(points, is_loss=is_loss)
    if found is None:
        return None
    first, last = points[0][0], found.rows + MORE
    rows = sorted({round(first + (last - first) * index / (POINTS - 1)) for index in range(POINTS)})
    return {
        "points": points,
        "line": [(count, bounded(found.curve.at(count), is_loss=is_loss)) for count in rows],
        "gain": found.gain,
        "more": MORE,
        "is_enough": found.is_enough,
        "is_far": found.is_far,
        "is_loss": is_loss,
        "is_tested": is_tested,
    }


def _on_test(run: TrainingRun) -> float | None:
    """What the evaluation of its best checkpoint on the test split found; None before."""
    checkpoint, version = chosen_checkpoint(run), _learnt(run)
    if checkpoint is None or not version.row_counts.get("test"):
        return None
    found = evaluations_of(run.stage, [checkpoint], [version]).get((checkpoint.pk, version.pk))
    metric, _higher = MEASURE_OF_EVALUATION[Stage(run.stage)]
    return float(found.metrics[metric]) if found and metric in found.metrics else None


def _at_best(run: TrainingRun) -> float | None:
    """The validation measure of its best checkpoint; of the last evaluation where no checkpoint says it."""
    checkpoint, name = chosen_checkpoint(run), MEASURE[Stage(run.stage)]
    metrics = run.metrics if checkpoint is None or name not in checkpoint.metrics else checkpoint.metrics
    return float(metrics[name]) if name in metrics else None


def _differ_in_share_alone(runs: list[TrainingRun]) -> bool:
    def rest(run: TrainingRun) -> tuple:
        values = {name: value for name, value in run.hyperparameters.items() if name != SHARE}
        inputs = sorted(
            (row.role, str(row.dataset_version_id or row.checkpoint_id)) for row in run.inputs.all()
        )
        return sorted(values.items()), inputs, run.base_model

    return len({run.hyperparameters.get(SHARE, 1.0) for run in runs}) > 1 and all(
        rest(run) == rest(runs[0]) for run in runs
    )
