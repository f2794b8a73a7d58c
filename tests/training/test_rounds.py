"""A round goes through the loop by itself, stops where people are needed, and can be pushed by anybody at
any time.
"""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from django.db import connection
from django.utils import timezone

from annotate.errors import Conflict, Invalid
from labeling.formats import prompt_group, split_of
from labeling.models import (
    Batch,
    Completion,
    DatasetKind,
    Demonstration,
    Ranking,
    Submission,
    SubmissionStatus,
    Task,
)
from labeling.services.datasets import open_split
from labeling.services.recipes import Recipe
from tests.factories import make_prompt
from training import tasks
from training.models import Round, RoundStatus, RoundStepStatus, TrainingRun
from training.services.rounds import advance_round, cancel_round, create_round, start_step

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


@pytest.fixture
def project(cast, data_dir):
    """Thirty prompts, and as many more as it takes until two are of the test split: which are is up to their
    texts, and those go on counting from test to test."""
    recipe = Recipe().resolved_for(cast.project)
    made = held_out = 0
    while made < 30 or held_out < 2:
        messages = make_prompt(cast.project).messages
        held_out += split_of(prompt_group(messages), recipe.salt, recipe.fractions) == "test"
        made += 1
    return cast.project


def begin(cast, start, **plan) -> Round:
    values = {
        "checkpoint": str(start.pk),
        "ranking_prompts": 6,
        "again_prompts": 2,
        "completions_per_prompt": 2,
    }
    return create_round(project=cast.project, plan={**values, **plan}, acting_user=cast.admin)


def do_the_work(batch: Batch, person) -> None:
    """Everything in the batch submitted and accepted, as the review rooms would leave it."""
    for task in Task.objects.filter(batch=batch).prefetch_related("completions"):
        for assignment in task.assignments.exclude(status="submitted"):
            assignment.status, assignment.annotator = "submitted", person
            assignment.submitted_at = timezone.now()
            assignment.save()
            submission = Submission.objects.create(
                project=batch.project,
                kind=batch.kind,
                prompt=task.prompt,
                task=task,
                assignment=assignment,
                annotator=person,
                status=SubmissionStatus.ACCEPTED,
            )
            if batch.kind == "demonstration":
                Demonstration.objects.create(submission=submission, text="A fine answer.", author=person)
            else:
                tiers = [[completion.pk] for completion in task.completions.all()]
                Ranking.objects.create(submission=submission, tiers=tiers, author=person)


def push(round: Round, cast) -> None:
    """What worker, sweeper and people do, until nothing moves any more."""
    for _ in range(40):
        before = list(round.steps.values_list("status", flat=True))
        for run in TrainingRun.objects.queued():
            tasks.execute_run(str(run.pk))
        tasks.sweep()
        for step in round.steps.filter(status=RoundStepStatus.ACTIVE, batch__isnull=False):
            do_the_work(step.batch, cast.annotator)
        if before == list(round.steps.values_list("status", flat=True)):
            return


def statuses(round: Round) -> dict[str, str]:
    return dict(round.steps.order_by("position").values_list("kind", "status"))


def test_a_whole_round_runs_by_itself(fake_trainer, cast, project, checkpoint):
    fake_trainer(steps=2)
    round = begin(cast, checkpoint, demonstration_prompts=20)
    push(round, cast)
    round.refresh_from_db()
    assert round.status == RoundStatus.DONE, list(round.steps.values_list("kind", "status", "message"))
    assert set(statuses(round).values()) == {RoundStepStatus.DONE}
    stages = list(
        TrainingRun.objects.exclude(pk=checkpoint.run_id).order_by("number").values_list("stage", flat=True)
    )
    assert stages == ["sft", "sample", "reward", "score", "ppo", "sample"]
    assert cast.admin.notifications.filter(text__contains="Round 1 is done").exists()


def test_the_policy_starts_from_the_rounds_own_sft_and_reward_models(fake_trainer, cast, project, checkpoint):
    fake_trainer(steps=2)
    round = begin(cast, checkpoint, demonstration_prompts=20)
    push(round, cast)
    runs = {step.kind: step.run for step in round.steps.select_related("run")}
    inputs = {row.role: row for row in runs["ppo_run"].inputs.all()}
    assert inputs["model"].checkpoint.run == runs["sft_run"]
    assert inputs["reward_model"].checkpoint.run == runs["reward_run"]
    assert inputs["prompts"].dataset_version.dataset.kind == DatasetKind.PROMPTS
    assert {row.checkpoint.run for row in runs["sample_again"].inputs.all()} == {
        runs["sft_run"],
        runs["ppo_run"],
    }


def splits_of(round: Round, kind: str) -> list[str]:
    """On which side each prompt lies whose completions that step's run made."""
    recipe = Recipe().resolved_for(round.project)
    run = round.steps.get(kind=kind).run
    prompts = {row.prompt for row in Completion.objects.filter(run_key=run.pk).select_related("prompt")}
    return [split_of(prompt_group(prompt.messages), recipe.salt, recipe.fractions) for prompt in prompts]


def test_the_last_comparison_is_on_held_out_prompts_only(fake_trainer, cast, project, checkpoint):
    fake_trainer(steps=2)
    round = begin(cast, checkpoint, demonstration_prompts=20)
    push(round, cast)
    assert set(splits_of(round, "sample_again")) == {"test"}


def test_some_ranked_prompts_are_of_the_test_split_and_their_rankings_are_the_versions_test_split(
    fake_trainer, cast, project, checkpoint
):
    fake_trainer(steps=2)
    round = begin(cast, checkpoint, demonstration_prompts=20, ranking_prompts=8, ranking_test_share=0.25)
    push(round, cast)
    assert Counter(each == "test" for each in splits_of(round, "sample")) == {False: 6, True: 2}
    version = round.steps.get(kind="comparison_dataset").dataset_version
    assert version.row_counts["test"] == 2
    learnt_from = [
        prompt_group(row["messages"])
        for split in ("train", "validation")
        if version.row_counts.get(split)
        for row in open_split(version=version, split=split)
    ]
    measured_on = [prompt_group(row["messages"]) for row in open_split(version=version, split="test")]
    assert len(measured_on) == 2 and not set(measured_on) & set(learnt_from)


def test_a_plan_without_a_test_share_ranks_only_what_models_learn_from(
    fake_trainer, cast, project, checkpoint
):
    fake_trainer(steps=2)
    round = begin(cast, checkpoint, demonstration_prompts=20, ranking_test_share=0)
    push(round, cast)
    assert "test" not in splits_of(round, "sample")


def test_without_prompts_to_demonstrate_that_step_is_left_out(cast, project, checkpoint):
    round = begin(cast, checkpoint)
    assert statuses(round)["demonstrate"] == RoundStepStatus.SKIPPED


def test_a_step_that_cannot_start_says_why_and_can_be_tried_again(cast, project, checkpoint):
    round = begin(cast, checkpoint)
    advance_round(round_id=round.pk)
    step = round.steps.get(kind="sft_dataset")
    assert step.status == RoundStepStatus.FAILED
    assert step.message
    assert start_step(step=step, acting_user=cast.admin).status == RoundStepStatus.FAILED, "it is still empty"


def test_a_step_by_hand_waits_until_somebody_starts_it(fake_trainer, cast, project, checkpoint):
    fake_trainer(steps=1)
    round = begin(cast, checkpoint, demonstration_prompts=20, by_hand=["sft_run"])
    push(round, cast)
    assert statuses(round)["sft_run"] == RoundStepStatus.READY
    assert not TrainingRun.objects.filter(stage="sft", status="queued").exists()
    start_step(step=round.steps.get(kind="sft_run"), acting_user=cast.admin)
    assert statuses(round)["sft_run"] == RoundStepStatus.ACTIVE


def test_a_failed_run_fails_its_step_and_a_retry_takes_the_same_run_up(
    fake_trainer, cast, project, checkpoint
):
    fake_trainer(steps=1, end="fail")
    round = begin(cast, checkpoint, demonstration_prompts=20)
    push(round, cast)
    step = round.steps.get(kind="sft_run")
    assert (step.status, step.message) == (RoundStepStatus.FAILED, "model: there is no model folder nowhere")
    fake_trainer(steps=1)
    start_step(step=step, acting_user=cast.admin)
    push(round, cast)
    assert statuses(round)["sft_run"] == RoundStepStatus.DONE
    assert round.steps.get(kind="sft_run").run == step.run


def test_pushed_by_many_at_once_each_step_is_started_once(cast, project, checkpoint):
    round = begin(cast, checkpoint, demonstration_prompts=5)
    start = threading.Barrier(5)

    def work() -> None:
        try:
            start.wait()
            advance_round(round_id=round.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Batch.objects.filter(project=project).count() == 1


def test_work_that_waits_for_review_keeps_the_step_open(cast, project, checkpoint):
    round = begin(cast, checkpoint, demonstration_prompts=3)
    advance_round(round_id=round.pk)
    batch = round.steps.get(kind="demonstrate").batch
    do_the_work(batch, cast.annotator)
    Submission.objects.filter(task__batch=batch).update(status=SubmissionStatus.AWAITING_REVIEW)
    advance_round(round_id=round.pk)
    assert statuses(round)["demonstrate"] == RoundStepStatus.ACTIVE
    Submission.objects.filter(task__batch=batch).update(status=SubmissionStatus.ACCEPTED)
    advance_round(round_id=round.pk)
    assert statuses(round)["demonstrate"] == RoundStepStatus.DONE


def test_ending_a_round_cancels_its_run(fake_trainer, cast, project, checkpoint):
    round = begin(cast, checkpoint, demonstration_prompts=20)
    advance_round(round_id=round.pk)
    do_the_work(round.steps.get(kind="demonstrate").batch, cast.annotator)
    advance_round(round_id=round.pk)
    cancel_round(round=round, acting_user=cast.admin)
    assert TrainingRun.objects.get(stage="sft", number__gt=1).status == "cancelled"
    assert advance_round(round_id=round.pk) is False
    with pytest.raises(Conflict):
        cancel_round(round=round, acting_user=cast.admin)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("ranking_prompts", 0),
        ("ranking_test_share", 0.6),
        ("completions_per_prompt", 10),
        ("temperature", "hot"),
        ("by_hand", ["dance"]),
        ("sft_preset", "none such"),
        ("sft", {"epochs": -1}),
        ("checkpoint", "nonsense"),
        ("dataset", 1),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_by_its_entry(cast, project, checkpoint, entry, value):
    with pytest.raises(Invalid) as caught:
        begin(cast, checkpoint, **{entry: value})
    assert caught.value.field.startswith(entry)
    assert not Round.objects.exists()


def test_a_round_starts_from_one_model(cast, project, checkpoint):
    with pytest.raises(Invalid):
        begin(cast, checkpoint, base_model="base")
