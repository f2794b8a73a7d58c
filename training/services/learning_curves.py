"""Runs that differ in how much of the data they learn from, and whether collecting more would help."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from annotate.errors import Invalid
from annotate.words import _
from training.models import Stage, TrainingRun
from training.rlhf.learning_curve import MORE, outlook

from .runs import create_run

SHARES = (0.25, 0.5, 1.0)
SHARE = "train_share"
# By stage: how many examples a run learnt from, and what it is judged by.
ROWS = {Stage.SFT: "train_rows", Stage.REWARD: "train_rankings"}
MEASURE = {Stage.SFT: "validation_loss", Stage.REWARD: "validation_accuracy"}
POINTS = 24


@transaction.atomic
def create_learning_curve(
    *,
    stage: str,
    hyperparameters: dict[str, Any],
    name: str = "",
    follow_up: dict[str, Any] | None = None,
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
    runs: list[TrainingRun] = []
    for share in SHARES:
        values = {**hyperparameters, SHARE: share}
        if runs:  # what fits the smallest is the batch of all, or they would differ in two things
            values["batch_size"] = runs[0].hyperparameters["batch_size"]
        label = f"{name.strip() or Stage(stage).label} {share:.0%}"
        is_whole = share == SHARES[-1]
        runs.append(
            create_run(
                stage=stage,
                hyperparameters=values,
                name=label,
                follow_up=follow_up if is_whole else {},
                **more,
            )
        )
    return runs


def learning_curve(runs: list[TrainingRun]) -> dict[str, Any] | None:
    """{"points": [(rows, value)], "line": [(rows, value)], "gain", "more", "is_enough", "is_loss"} of runs
    that differ in their share alone; None for others.
    """
    stages = {run.stage for run in runs}
    if len(stages) != 1 or not stages <= set(ROWS) or not _differ_in_share_alone(runs):
        return None
    stage = Stage(stages.pop())
    points = sorted(
        (int(run.metrics[ROWS[stage]]), float(run.metrics[MEASURE[stage]]))
        for run in runs
        if ROWS[stage] in run.metrics and MEASURE[stage] in run.metrics
    )
    is_loss = stage == Stage.SFT
    found = outlook(points, is_loss=is_loss)
    if found is None:
        return None
    first, last = points[0][0], found.rows + MORE
    rows = sorted({round(first + (last - first) * index / (POINTS - 1)) for index in range(POINTS)})
    return {
        "points": points,
        "line": [(count, found.curve.at(count)) for count in rows],
        "gain": found.gain,
        "more": MORE,
        "is_enough": found.is_enough,
        "is_loss": is_loss,
    }


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
