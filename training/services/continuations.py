"""New data came in: train anew from the base on all of it (A), or go on from a former checkpoint (B)?

Both are ordered as one thing. When both have succeeded, the former checkpoint, A and B are measured on the
held-out rows of the former and of the new data, and the report says who is better where, and what was
forgotten. The pair is kept in what follows the two runs; evaluations are found by what they measure, so that
one made by hand counts, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from annotate.errors import Conflict, Invalid
from annotate.words import _
from labeling.models import DatasetVersion, Project
from training.models import Checkpoint, CheckpointKind, RunInputRole, Stage, TrainingRun

from . import measuring
from .follow_up_plans import COMPARE
from .measuring import MEASURE, chosen_checkpoint, start_evaluation
from .orders import Order, keep
from .runs import check_run, create_run

KIND = {Stage.SFT: CheckpointKind.CAUSAL_LM, Stage.REWARD: CheckpointKind.REWARD_MODEL}
ANEW, ONWARD, START = "anew", "onward", "start"
FORMER, NEW = "former", "new"
OWN = ("train_share", "mix_ratio", "learning_rate_multiplier")  # chosen by the continuation itself


@dataclass(frozen=True)
class Continuation:
    """The pair of runs, where B began, and the two held-out sets."""

    stage: Stage
    anew: TrainingRun
    onward: TrainingRun
    start: Checkpoint
    former: DatasetVersion
    new: DatasetVersion

    @property
    def sets(self) -> dict[str, DatasetVersion]:
        return {FORMER: self.former, NEW: self.new}


def create_continuation(
    *,
    project: Project,
    stage: str,
    start: Checkpoint,
    former_data: DatasetVersion,
    new_data: DatasetVersion,
    all_data: DatasetVersion,
    acting_user,
    mix_ratio: float = 0.0,
    learning_rate_multiplier: float = 1.0,
    anew_from: Checkpoint | None = None,
    base_model: str = "",
    hyperparameters: dict[str, Any] | None = None,
    name: str = "",
    order: Order | None = None,
) -> Continuation:
    """Queue A and B; both learn with `start`'s own hyperparameters unless some are given.

    A learns `all_data` from `anew_from` or `base_model`, by default from what `start` itself began from. B
    learns `new_data` from `start`, with `mix_ratio` rows of `former_data` for each new one and its learning
    rate times `learning_rate_multiplier`. Raises Invalid naming the field.
    """
    _check(stage, start, former_data, new_data, all_data)
    given = hyperparameters or {}
    clash = next((field for field in OWN if field in given), None)
    if clash:
        raise Invalid(_("%(name)s stands beside hyperparameters, not in it.") % {"name": clash}, field=clash)
    values = {**_own_values(start, stage), **given}
    if "batch_size" not in given:
        values |= _shared_batch(values, all_data, new_data)
    if anew_from is None and not base_model:
        anew_from, base_model = _origin(start)
    label = name.strip() or _("Going on from %(checkpoint)s") % {"checkpoint": start}
    common: dict[str, Any] = {"project": project, "stage": stage}
    demonstrations = _demonstrations(start)
    of_a = common | {
        "hyperparameters": values,
        "inputs": {RunInputRole.TRAIN_DATA: all_data, RunInputRole.MODEL: anew_from, **demonstrations},
        "base_model": base_model,
    }
    inputs = {RunInputRole.TRAIN_DATA: new_data, RunInputRole.MODEL: start, **demonstrations}
    further: dict[str, Any] = {"learning_rate_multiplier": learning_rate_multiplier}
    if mix_ratio:
        inputs[RunInputRole.MIX_DATA] = former_data
        further["mix_ratio"] = mix_ratio
    of_b = common | {"hyperparameters": values | further, "inputs": inputs}
    for each in (of_a, of_b):
        check_run(**each)
    with transaction.atomic():
        anew = create_run(**of_a, name=f"{label[:110]} (A)", acting_user=acting_user)
        onward = create_run(**of_b, name=f"{label[:110]} (B)", acting_user=acting_user)
        pair = Continuation(Stage(stage), anew, onward, start, former_data, new_data)
        _plan_comparison(pair)
        keep(order, anew, onward)
    return pair


def _plan_comparison(pair: Continuation) -> None:
    """What follows both runs: that they are measured beside one another."""
    plan = {
        ANEW: str(pair.anew.pk),
        ONWARD: str(pair.onward.pk),
        START: str(pair.start.pk),
        FORMER: pair.former.pk,
        NEW: pair.new.pk,
    }
    for run in (pair.anew, pair.onward):
        run.follow_up = {COMPARE: plan}
        run.save(update_fields=["follow_up"])


def continuation_of(run: TrainingRun) -> Continuation:
    """The pair that a run belongs to. Raises Conflict for a run of none."""
    plan = run.follow_up.get(COMPARE)
    if not plan:
        raise Conflict(_("This run is not one of a pair that trains anew and goes on."))
    runs = {str(each.pk): each for each in run.project.runs.filter(pk__in=[plan[ANEW], plan[ONWARD]])}
    versions = {
        each.pk: each
        for each in DatasetVersion.objects.filter(pk__in=[plan[FORMER], plan[NEW]]).select_related("dataset")
    }
    start = Checkpoint.objects.select_related("run").get(pk=plan[START])
    return Continuation(
        Stage(run.stage),
        runs[plan[ANEW]],
        runs[plan[ONWARD]],
        start,
        versions[plan[FORMER]],
        versions[plan[NEW]],
    )


def models_of(pair: Continuation) -> dict[str, Checkpoint | None]:
    """The three that are compared, the former checkpoint first; None for a run that has not succeeded."""
    return {START: pair.start, ANEW: chosen_checkpoint(pair.anew), ONWARD: chosen_checkpoint(pair.onward)}


def start_evaluations(pair: Continuation, acting_user) -> list[TrainingRun]:
    """Evaluations of the three models on both held-out sets, those that are not there yet.

    In the caller's transaction. Empty while one of the two runs has not succeeded.
    """
    # Of two follow-ups that come at once, one looks first: the other one finds what it has made.
    Project.objects.select_for_update().get(pk=pair.anew.project_id)
    for run in (pair.anew, pair.onward):
        run.refresh_from_db()
    models = models_of(pair)
    there = evaluations_of(pair)
    if None in models.values():
        return []
    return [
        start_evaluation(run=pair.onward, model=model, version=version, acting_user=acting_user)
        for which, model in models.items()
        for held_out, version in pair.sets.items()
        if model is not None and (which, held_out) not in there
    ]


def evaluations_of(pair: Continuation) -> dict[tuple[str, str], TrainingRun]:
    """Evaluations by (model, held-out set)."""
    models = {which: model for which, model in models_of(pair).items() if model is not None}
    there = measuring.evaluations_of(pair.stage, list(models.values()), list(pair.sets.values()))
    return {
        (which, held_out): there[model.pk, version.pk]
        for which, model in models.items()
        for held_out, version in pair.sets.items()
        if (model.pk, version.pk) in there
    }


def verdict_of(pair: Continuation) -> dict[str, Any]:
    """What the evaluations say: {"metric", "higher_is_better", "values": {model: {set: value or None}},
    "forgotten": {model: how much worse than the former checkpoint on the former set},
    "ahead": {set: by how much B is better than A}, "is_complete"}. Positive is better in "ahead" and worse in
    "forgotten", both in the metric's own unit.
    """
    metric, higher = MEASURE[pair.stage]
    sign = 1.0 if higher else -1.0
    there = evaluations_of(pair)
    values: dict[str, dict[str, float | None]] = {
        which: {
            held_out: there[which, held_out].metrics.get(metric) if (which, held_out) in there else None
            for held_out in (FORMER, NEW)
        }
        for which in (START, ANEW, ONWARD)
    }

    def gap(better: str, worse: str, held_out: str) -> float | None:
        ours, theirs = values[better][held_out], values[worse][held_out]
        return None if ours is None or theirs is None else sign * (ours - theirs)

    return {
        "metric": metric,
        "higher_is_better": higher,
        "values": values,
        "forgotten": {which: gap(START, which, FORMER) for which in (ANEW, ONWARD)},
        "ahead": {held_out: gap(ONWARD, ANEW, held_out) for held_out in (FORMER, NEW)},
        "is_complete": all(value is not None for row in values.values() for value in row.values()),
    }


# --- Checks and defaults ------------------------------------------------------------------------------------
def _check(stage: str, start: Checkpoint, *versions: DatasetVersion) -> None:
    if stage not in KIND:
        raise Invalid(
            _("Training anew or going on is of an SFT or a reward run."),
            field="stage",
            hint=_("Stages: %(known)s.") % {"known": ", ".join(KIND)},
        )
    if start.kind != KIND[Stage(stage)]:
        raise Invalid(
            _("%(checkpoint)s is not a model that this stage goes on from.") % {"checkpoint": start},
            field="start",
            hint=_("Choose a checkpoint of a run of the same stage."),
        )
    former, new, everything = versions
    if former.pk == new.pk:
        raise Invalid(
            _("The new data is the former data: there is nothing to compare."),
            field="new_data",
            hint=_("Freeze a version with what came in since."),
        )
    # A held-out row of one version may be a training row of another that was split by another rule.
    rules = {_split_rule(version) for version in versions}
    if len(rules) > 1:
        raise Invalid(
            _("These versions were split by different rules: one may learn what another holds out."),
            field="all_data",
            hint=_("Freeze them with the same salt and fractions."),
        )
    for field, version in (("former_data", former), ("new_data", new)):
        if version.row_counts and not any(version.row_counts.get(split) for split in ("test", "validation")):
            raise Invalid(
                _("%(version)s has no held-out rows to measure on.") % {"version": version}, field=field
            )
    if everything.pk == former.pk:
        raise Invalid(
            _("All data must hold the new rows, too: this is the former version alone."), field="all_data"
        )


def _split_rule(version: DatasetVersion) -> tuple[Any, ...]:
    recipe = version.recipe
    fractions = recipe.get("fractions") or {}
    return recipe.get("salt", ""), tuple(
        sorted(fractions.items()) if isinstance(fractions, dict) else fractions
    )


def _own_values(start: Checkpoint, stage: str) -> dict[str, Any]:
    """What the checkpoint was trained with, where that was the same stage."""
    if start.run.stage != stage:
        return {}
    return {name: value for name, value in start.run.hyperparameters.items() if name not in OWN}


def _shared_batch(values: dict[str, Any], *versions: DatasetVersion) -> dict[str, int]:
    """A batch that both can fill, as create_run fits one: A and B shall not differ in it."""
    rows = min((version.row_counts.get("train", 0) for version in versions), default=0)
    size = values.get("batch_size")
    return {"batch_size": max(1, rows // 2)} if size and 0 < rows < size else {}


def _origin(start: Checkpoint) -> tuple[Checkpoint | None, str]:
    """(checkpoint, base model) that the run of a checkpoint began from. Raises Invalid where it says none."""
    row = start.run.inputs.filter(role=RunInputRole.MODEL).select_related("checkpoint__run").first()
    if row is None and not start.run.base_model:
        raise Invalid(
            _("Nothing says what %(checkpoint)s began from.") % {"checkpoint": start},
            field="anew_from",
            hint=_("Choose what A starts from."),
        )
    return (row.checkpoint if row else None), ("" if row else start.run.base_model)


def _demonstrations(start: Checkpoint) -> dict[str, DatasetVersion]:
    """What zeroed a reward model's mean goes on to do so."""
    row = start.run.inputs.filter(role=RunInputRole.DEMONSTRATIONS).select_related("dataset_version").first()
    if start.kind != CheckpointKind.REWARD_MODEL or row is None or row.dataset_version is None:
        return {}
    return {str(RunInputRole.DEMONSTRATIONS): row.dataset_version}
