"""One whole round on the sample project: what `./dev demo` starts, and the figures it prints.

Each part finds what an earlier call has made, so that a demo that was stopped goes on where it was.
"""

from __future__ import annotations

import io
from typing import Any

from django.db import transaction

from labeling.formats import canonical_line, prompt_group, split_of
from labeling.models import Project, Prompt, TaskKind
from labeling.sample_project import pretraining_text, team
from labeling.sample_project.prompts import fact_asked
from labeling.sample_project.recipe import RECIPE
from labeling.services.batches import create_batch_from_waiting
from labeling.services.imports import raise_if_failed, start_import
from labeling.services.recipes import Recipe
from training.models import (
    Checkpoint,
    Round,
    RoundStepKind,
    RunInputRole,
    RunStatus,
    Stage,
    TrainingRun,
)

from .follow_ups import best_checkpoint
from .locations import texts_directory
from .rounds import create_round
from .runs import create_run
from .sampling import sample_completions

TEXT_NAME = "sample-text.jsonl"
BASE_NAME = "Base model of the sample project"
SCOREBOARD_NAME = "Held-out answers of base, SFT and PPO"
EVALUATION_NAME = "Reward and SFT model on held-out rows"
IMPORT_NAME = "demonstrations-of-last-year.jsonl"

LEFT_BATCHES = {
    TaskKind.DEMONSTRATION: "Try it: write answers",
    TaskKind.RANKING: "Try it: rank base, SFT and PPO",
}
LEFT_TASKS = 20

# Sizes of the demo. The learning needs about this much (docs/experiments.md); two cores need minutes for it.
IMPORTED_DEMONSTRATIONS = 240
DEMONSTRATIONS = 160
RANKED_PROMPTS = 420
RANKED_TEST_SHARE = 0.14  # 59 prompts: rankings that nothing learns from, to measure the reward model on
RANKING_OVERLAP = 2
COMPARED_PROMPTS = 40


def import_demonstrations(*, project: Project, acting_user) -> None:
    """A file of answers that simulated colleagues wrote before, brought in like any other. Twice adds
    nothing.
    """
    people = team(seed=7, size=6)
    # The newest prompts: people are asked to answer the oldest ones first.
    prompts = list(project.prompts.order_by("-pk")[:IMPORTED_DEMONSTRATIONS])
    lines = [
        canonical_line(
            {
                "messages": [
                    *prompt.messages,
                    {
                        "role": "assistant",
                        "content": people[number % len(people)].demonstrate(prompt.messages),
                    },
                ],
            }
        )
        for number, prompt in enumerate(prompts)
    ]
    record = start_import(
        project=project,
        kind="demonstrations",
        file=io.BytesIO(b"".join(lines)),
        filename=IMPORT_NAME,
        acting_user=acting_user,
        licence="made by this project",
    )
    raise_if_failed(record)


def start_base_model(*, project: Project, acting_user) -> TrainingRun:
    """The pretrain run from the sample text; the one that is there, if there is one."""
    found = project.runs.filter(stage=Stage.PRETRAIN, name=BASE_NAME).first()
    if found is not None:
        return found
    folder = texts_directory(project)
    folder.mkdir(parents=True, exist_ok=True)
    # One row a page: the model sees where a page ends.
    with open(folder / TEXT_NAME, "wb") as target:
        target.writelines(canonical_line({"text": page}) for page in pretraining_text())
    return create_run(
        project=project,
        stage=Stage.PRETRAIN,
        name=BASE_NAME,
        hyperparameters=RECIPE["pretrain"],
        inputs={},
        options={"text_files": [TEXT_NAME]},
        acting_user=acting_user,
    )


def start_round(*, project: Project, base: Checkpoint, acting_user) -> Round:
    """The round by plan; the one that is there, if there is one."""
    found = project.rounds.order_by("number").first()
    if found is not None:
        return found
    sample = RECIPE["sample"]
    plan: dict[str, Any] = {
        "checkpoint": str(base.pk),
        "demonstration_prompts": DEMONSTRATIONS,
        "demonstration_overlap": 1,
        "ranking_prompts": RANKED_PROMPTS,
        "ranking_test_share": RANKED_TEST_SHARE,
        "ranking_overlap": RANKING_OVERLAP,
        "again_prompts": COMPARED_PROMPTS,
        "temperature": sample["temperature"],
        "maximum_new_tokens": sample["max_new_tokens"],
        "sft": RECIPE["sft"],
        "reward": RECIPE["reward"],
        "ppo": RECIPE["ppo"],
    }
    return create_round(project=project, plan=plan, acting_user=acting_user)


def held_out_prompts(project: Project) -> list[Prompt]:
    """Prompts on the test side of every dataset of the project: no model was trained on them."""
    recipe = Recipe().resolved_for(project)
    return [
        prompt
        for prompt in project.prompts.active().order_by("pk")
        if split_of(prompt_group(prompt.messages), recipe.salt, recipe.fractions) == "test"
        and fact_asked(prompt.messages) is not None
    ]


@transaction.atomic
def start_measurements(*, round: Round, base: Checkpoint, acting_user) -> list[TrainingRun]:
    """Two runs: one answer of base, SFT and PPO model to each held-out prompt, and the losses on the
    test split.
    """
    project = round.project
    runs = project.runs.filter(name__in=[SCOREBOARD_NAME, EVALUATION_NAME])
    if runs.exists():
        return list(runs)
    steps = {step.kind: step for step in round.steps.select_related("run", "dataset_version")}
    sft, ppo = (best_checkpoint(steps[kind].run) for kind in (RoundStepKind.SFT_RUN, RoundStepKind.PPO_RUN))
    sample = RECIPE["sample"]
    answers = sample_completions(
        project=project,
        name=SCOREBOARD_NAME,
        checkpoints=[base, sft, ppo],
        prompts=held_out_prompts(project),
        completions_per_prompt=1,
        temperature=sample["temperature"],
        max_new_tokens=sample["max_new_tokens"],
        acting_user=acting_user,
    )
    losses = create_run(
        project=project,
        stage=Stage.EVALUATE,
        name=EVALUATION_NAME,
        hyperparameters={"max_new_tokens": sample["max_new_tokens"]},
        inputs={
            RunInputRole.MODEL: sft,
            RunInputRole.DEMONSTRATIONS: steps[RoundStepKind.SFT_DATASET].dataset_version,
            RunInputRole.REWARD_MODEL: best_checkpoint(steps[RoundStepKind.REWARD_RUN].run),
            RunInputRole.TRAIN_DATA: steps[RoundStepKind.COMPARISON_DATASET].dataset_version,
        },
        acting_user=acting_user,
    )
    return [answers, losses]


def leave_work(*, project: Project, acting_user) -> bool:
    """A batch of each kind for whoever looks on, all of it to be reviewed. False where it was left before."""
    if project.batches.filter(name__in=LEFT_BATCHES.values()).exists():
        return False
    for kind, name in LEFT_BATCHES.items():
        create_batch_from_waiting(
            project=project,
            name=name,
            kind=kind,
            limit=LEFT_TASKS,
            completions_per_task=3,
            overlap=1,
            review_rate=1.0,
            acting_user=acting_user,
        )
    return True


def base_checkpoint(run: TrainingRun) -> Checkpoint | None:
    """The base model, once its run has succeeded."""
    run.refresh_from_db()
    return best_checkpoint(run) if run.status == RunStatus.SUCCEEDED else None
