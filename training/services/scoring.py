"""A reward model's opinion of the completions that people rank: rankings it contradicts with confidence come
before reviewers as “model disagrees”.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q

from annotate.errors import Conflict
from annotate.words import _
from labeling.models import Project
from labeling.services.scores import unscored_completions
from training.models import Checkpoint, FollowUpStatus, RunInputRole, RunStatus, Stage, TrainingRun

from .orders import Order
from .runs import create_run


@transaction.atomic
def score_completions(
    *,
    project: Project,
    checkpoint: Checkpoint,
    acting_user,
    name: str = "",
    hyperparameters: dict[str, Any] | None = None,
    order: Order | None = None,
) -> TrainingRun:
    """A queued score run: the reward model on every completion of a ranking task that it has not scored.

    Which those are is read when the run starts. Raises Conflict where there are none, and where such a run of
    this checkpoint is under way; Invalid where the checkpoint is no reward model.
    """
    Project.objects.select_for_update().get(pk=project.pk)  # of two clicks, one starts a run
    if (run := under_way(checkpoint)) is not None:
        raise Conflict(
            _("%(run)s is scoring with this reward model already.") % {"run": run}, code="scoring_under_way"
        )
    if not unscored_completions(project=project, scorer_key=checkpoint.pk).exists():
        raise Conflict(
            "There is nothing to score: this reward model has scored every completion of the ranking tasks.",
            code="nothing_to_score",
        )
    return create_run(
        project=project,
        stage=Stage.SCORE,
        name=name,
        hyperparameters=hyperparameters or {},
        inputs={RunInputRole.REWARD_MODEL: checkpoint},
        acting_user=acting_user,
        order=order,
    )


def under_way(checkpoint: Checkpoint) -> TrainingRun | None:
    """A score run of this checkpoint that has not handed its scores over yet."""
    unfinished = Q(status__in=[RunStatus.QUEUED, RunStatus.RUNNING]) | Q(
        status=RunStatus.SUCCEEDED, follow_up_status=FollowUpStatus.WAITING
    )
    inputs = Q(inputs__checkpoint=checkpoint, inputs__role=RunInputRole.REWARD_MODEL)
    return TrainingRun.objects.filter(unfinished, inputs, stage=Stage.SCORE).first()


def reward_model_of(run: TrainingRun) -> Checkpoint:
    """The reward model of a score run."""
    return Checkpoint.objects.select_related("run").get(
        used_by_runs__run=run, used_by_runs__role=RunInputRole.REWARD_MODEL
    )
