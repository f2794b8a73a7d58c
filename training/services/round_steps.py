"""What each step of a round does, and how one sees that it is done.

A starter makes the batch, dataset version or run of its step, which is stored on the step in the same commit.
`look` reads whether that has come to an end.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from annotate.errors import Invalid
from annotate.words import _
from labeling.formats import prompt_group, split_of
from labeling.models import (
    AssignmentStatus,
    Batch,
    BatchStatus,
    Dataset,
    DatasetKind,
    DatasetVersion,
    DatasetVersionStatus,
    Submission,
    SubmissionStatus,
    TaskKind,
)
from labeling.services.batches import completion_sets_for, create_demonstration_batch, create_ranking_batch
from labeling.services.datasets import create_dataset, freeze_dataset
from labeling.services.recipes import Recipe
from training.models import (
    Checkpoint,
    FollowUpStatus,
    Round,
    RoundStep,
    RoundStepKind,
    RunInputRole,
    RunStatus,
    Stage,
    TrainingRun,
)

from .follow_ups import best_checkpoint
from .round_plans import RoundPlan
from .runs import create_run
from .sampling import sample_completions

Kind = RoundStepKind
DATASET_NAMES = {
    DatasetKind.SFT: "Demonstrations of rounds",
    DatasetKind.COMPARISON: "Comparisons of rounds",
    DatasetKind.PROMPTS: "Prompts of rounds",
}


@dataclass(frozen=True)
class Look:
    """Whether a step is done, or has failed and why; neither while it goes on."""

    is_done: bool = False
    problem: str = ""
    note: str = ""


class StepContext:
    """A round with its plan and what its earlier steps have made."""

    def __init__(self, round: Round) -> None:
        self.round = round
        self.project = round.project
        self.user = round.created_by
        self.plan = RoundPlan(**round.plan)
        rows = round.steps.select_related("batch", "dataset_version__dataset", "run__project")
        self.steps: dict[str, RoundStep] = {step.kind: step for step in rows}

    def version(self, kind: str) -> DatasetVersion:
        version = self.steps[kind].dataset_version
        if version is None:
            raise Invalid(
                _("The step “%(label)s” made no dataset version.") % {"label": Kind(kind).label},
                code="step_without_result",
            )
        return version

    def run(self, kind: str) -> TrainingRun:
        run = self.steps[kind].run
        if run is None:
            raise Invalid(
                _("The step “%(label)s” made no run.") % {"label": Kind(kind).label},
                code="step_without_result",
            )
        return run

    def checkpoint(self, kind: str) -> Checkpoint:
        return best_checkpoint(self.run(kind))

    def source(self, kind: str) -> dict[str, Any]:
        return {"round": self.round.number, "step": str(kind)}

    def name(self, what: str) -> str:
        return f"Round {self.round.number}: {what}"


# --- Starters: {field of RoundStep: what was made} ----------------------------------------------------------
def start_demonstrations(context: StepContext) -> dict[str, Any]:
    plan = context.plan
    answered = Submission.objects.filter(project=context.project, kind=TaskKind.DEMONSTRATION).accepted()
    asked = context.project.tasks.filter(kind=TaskKind.DEMONSTRATION)
    fresh = context.project.prompts.active().exclude(pk__in=answered.values("prompt_id"))
    fresh = fresh.exclude(pk__in=asked.values("prompt_id"))
    chosen = list(fresh.order_by("id")[: plan.demonstration_prompts])
    if not chosen:
        raise Invalid("Every prompt has been answered. Import more, or plan the round without this step.")
    batch = create_demonstration_batch(
        project=context.project,
        name=context.name("demonstrations"),
        prompts=chosen,
        overlap=plan.demonstration_overlap,
        review_rate=plan.demonstration_review_rate,
        acting_user=context.user,
        source=context.source(Kind.DEMONSTRATE),
    )
    return {"batch": batch}


def start_sft(context: StepContext) -> dict[str, Any]:
    checkpoint = context.plan.start_checkpoint(context.project)
    inputs: dict[str, Any] = {RunInputRole.TRAIN_DATA: context.version(Kind.SFT_DATASET)}
    if checkpoint is not None:
        inputs[RunInputRole.MODEL] = checkpoint
    return {"run": _create(context, Stage.SFT, inputs, base_model=context.plan.base_model)}


def start_sampling(context: StepContext) -> dict[str, Any]:
    plan = context.plan
    run = sample_completions(
        project=context.project,
        checkpoints=[context.checkpoint(Kind.SFT_RUN)],
        prompts=prompts_to_rank(context),
        completions_per_prompt=plan.completions_per_prompt,
        temperature=plan.temperature,
        max_new_tokens=plan.maximum_new_tokens,
        seed=context.round.number,
        name=context.name("completions to rank"),
        acting_user=context.user,
    )
    return {"run": run}


def start_ranking(context: StepContext) -> dict[str, Any]:
    return _start_ranking(context, Kind.SAMPLE, Kind.RANK, context.plan.completions_per_prompt, "rankings")


def start_reward(context: StepContext) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        RunInputRole.TRAIN_DATA: context.version(Kind.COMPARISON_DATASET),
        RunInputRole.MODEL: context.checkpoint(Kind.SFT_RUN),
        RunInputRole.DEMONSTRATIONS: context.version(Kind.SFT_DATASET),
    }
    # What people ranked is scored beside the rest of the round, so that reviewers see what the model doubts.
    return {"run": _create(context, Stage.REWARD, inputs, follow_up={"score": True})}


def start_ppo(context: StepContext) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        RunInputRole.PROMPTS: freeze(context, DatasetKind.PROMPTS),
        RunInputRole.MODEL: context.checkpoint(Kind.SFT_RUN),
        RunInputRole.REWARD_MODEL: context.checkpoint(Kind.REWARD_RUN),
    }
    return {"run": _create(context, Stage.PPO, inputs)}


def start_sampling_again(context: StepContext) -> dict[str, Any]:
    """The SFT and the PPO model answer the same prompts, blind: people's ranking is the win-rate."""
    run = sample_completions(
        project=context.project,
        checkpoints=[context.checkpoint(Kind.SFT_RUN), context.checkpoint(Kind.PPO_RUN)],
        prompts=_require(
            choose_prompts(context, context.plan.again_prompts, held_out=True),
            _("The project has no held-out prompts to answer."),
        ),
        completions_per_prompt=1,
        temperature=context.plan.temperature,
        max_new_tokens=context.plan.maximum_new_tokens,
        seed=context.round.number,
        name=context.name("the better model's completions"),
        acting_user=context.user,
    )
    return {"run": run}


def start_ranking_again(context: StepContext) -> dict[str, Any]:
    return _start_ranking(context, Kind.SAMPLE_AGAIN, Kind.RANK_AGAIN, 2, "SFT against PPO")


STARTERS: dict[str, Callable[[StepContext], dict[str, Any]]] = {
    Kind.DEMONSTRATE: start_demonstrations,
    Kind.SFT_RUN: start_sft,
    Kind.SAMPLE: start_sampling,
    Kind.RANK: start_ranking,
    Kind.REWARD_RUN: start_reward,
    Kind.PPO_RUN: start_ppo,
    Kind.SAMPLE_AGAIN: start_sampling_again,
    Kind.RANK_AGAIN: start_ranking_again,
}
# Freezing reads a snapshot of its own and may take long: not inside the commit that starts the step.
FREEZERS: dict[str, DatasetKind] = {
    Kind.SFT_DATASET: DatasetKind.SFT,
    Kind.COMPARISON_DATASET: DatasetKind.COMPARISON,
}
# What must be frozen before a step can start, beside what earlier steps have made.
NEEDED_VERSIONS: dict[str, DatasetKind] = {Kind.PPO_RUN: DatasetKind.PROMPTS}


def freeze(context: StepContext, kind: DatasetKind) -> DatasetVersion:
    """The version of this round of that kind.

    Frozen if it is not there yet, so that doing it again makes no second.
    """
    name = DATASET_NAMES[kind]
    dataset = Dataset.objects.filter(project=context.project, name=name).first() or create_dataset(
        project=context.project, kind=kind, name=name, acting_user=context.user
    )
    note = f"Round {context.round.number}"
    made = dataset.versions.filter(note=note).exclude(status=DatasetVersionStatus.FAILED).first()
    # A round has a version of its own, also where nothing is new: its page leads to it.
    return made or freeze_dataset(dataset=dataset, acting_user=context.user, note=note, force=True)


def _create(
    context: StepContext,
    stage: Stage,
    inputs: dict[str, Any],
    *,
    base_model: str = "",
    follow_up: dict[str, Any] | None = None,
) -> TrainingRun:
    return create_run(
        project=context.project,
        stage=stage,
        name=context.name(str(stage.label)),
        preset=getattr(context.plan, f"{stage}_preset"),
        hyperparameters=dict(getattr(context.plan, str(stage))),
        inputs=inputs,
        base_model=base_model,
        follow_up=follow_up,
        acting_user=context.user,
    )


def _start_ranking(context: StepContext, sampled_by: str, kind: str, size: int, what: str) -> dict[str, Any]:
    sets = completion_sets_for(project=context.project, run_key=context.run(sampled_by).pk, size=size)
    batch = create_ranking_batch(
        project=context.project,
        name=context.name(what),
        completion_sets=sets,
        overlap=context.plan.ranking_overlap,
        review_rate=context.plan.ranking_review_rate,
        acting_user=context.user,
        source=context.source(kind),
    )
    return {"batch": batch}


def prompts_to_rank(context: StepContext) -> list[int]:
    """Mostly prompts that models learn from, and the plan's share of the test split's.

    The comparison dataset splits by prompt as every dataset of the project does, so its test split holds the
    rankings of the latter: the reward model neither learns from them nor is its checkpoint chosen by them.
    """
    plan = context.plan
    test = choose_prompts(context, round(plan.ranking_prompts * plan.ranking_test_share), held_out=True)
    learnt_from = choose_prompts(context, plan.ranking_prompts - len(test), held_out=False)
    return _require(learnt_from, _("The project has no prompts to answer.")) + test


def _require(prompts: list[int], otherwise: str) -> list[int]:
    if not prompts:
        raise Invalid(otherwise, hint="Import more prompts.")
    return prompts


def choose_prompts(context: StepContext, count: int, *, held_out: bool) -> list[int]:
    """Prompts at random, the same ones each time; those that nobody has ranked yet come first.

    `held_out` takes the test split, on which no model is trained; otherwise everything else.
    """
    recipe = Recipe().resolved_for(context.project)
    ranked = set(
        context.project.tasks.filter(kind=TaskKind.RANKING).values_list("prompt_id", flat=True).distinct()
    )
    fitting = []
    rows = context.project.prompts.active().order_by("id").values_list("pk", "messages")
    for pk, messages in rows.iterator(chunk_size=2000):
        is_test = split_of(prompt_group(messages), recipe.salt, recipe.fractions) == "test"
        if is_test == held_out and messages[-1]["role"] == "user":
            fitting.append(pk)
    random.Random(context.round.number).shuffle(fitting)
    fitting.sort(key=lambda pk: pk in ranked)
    return fitting[:count]


# --- Looking ------------------------------------------------------------------------------------------------
def look(step: RoundStep) -> Look:
    """How far the step's batch, version or run is. Two queries at most."""
    if step.run is not None:
        return _look_at_run(step.run)
    if step.dataset_version is not None:
        return _look_at_version(step.dataset_version)
    if step.batch is not None:
        return _look_at_batch(step.batch)
    return Look()


def _look_at_run(run: TrainingRun) -> Look:
    if run.status == RunStatus.FAILED:
        return Look(problem=run.error_message or "The run has failed.")
    if run.status == RunStatus.CANCELLED:
        return Look(problem="The run was cancelled.")
    if run.status != RunStatus.SUCCEEDED:
        return Look(note=run.get_status_display())
    if run.follow_up_status == FollowUpStatus.FAILED:
        return Look(problem=run.follow_up_message)
    return Look(is_done=run.follow_up_status in (FollowUpStatus.NONE, FollowUpStatus.DONE))


def _look_at_version(version: DatasetVersion) -> Look:
    if version.status == DatasetVersionStatus.FAILED:
        return Look(problem=version.error)
    return Look(is_done=version.status == DatasetVersionStatus.READY, note=version.get_status_display())


def _look_at_batch(batch: Batch) -> Look:
    """A batch is done when nothing of it is open, in hand, returned or waiting for review."""
    in_hand = [AssignmentStatus.LEASED, AssignmentStatus.RETURNED]
    if batch.status != BatchStatus.CLOSED:
        in_hand.append(AssignmentStatus.OPEN)
    left = batch.assignments.filter(status__in=in_hand).count()
    if left:
        return Look(note=f"{left} still to be done")
    unsettled = [SubmissionStatus.AWAITING_REVIEW, SubmissionStatus.RETURNED]
    waiting = Submission.objects.filter(task__batch=batch, status__in=unsettled).count()
    return Look(is_done=waiting == 0, note=f"{waiting} wait for review" if waiting else "")
