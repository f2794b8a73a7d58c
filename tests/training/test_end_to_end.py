"""The site and the real trainer together: pretrain, SFT, sampling, reward, PPO, evaluation on tiny models."""

from __future__ import annotations

import pytest

from labeling.models import Batch, Completion, CompletionScore
from training import tasks
from training.models import CheckpointKind, RunStatus, TrainingRun
from training.services.follow_ups import best_checkpoint
from training.services.runs import create_run
from training.services.sampling import sample_completions
from training.services.scoring import score_completions
from training.services.texts import save_text

from .conftest import comparison, demonstration, make_version

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

SMALL = {"log_every": 1, "threads": 1}


@pytest.fixture
def order(cast, data_dir):
    """Make a run, work on it, and want it to have succeeded."""

    def make(stage: str, **given) -> TrainingRun:
        given.setdefault("inputs", {})
        run = create_run(project=cast.project, stage=stage, acting_user=cast.admin, **given)
        return work(run)

    return make


def work(run: TrainingRun) -> TrainingRun:
    tasks.execute_run(str(run.pk))
    run.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED, run.error_message
    return run


@pytest.fixture
def texts(cast, data_dir):
    import io

    text = "\n".join(f"What is {number} plus 1? It is {number + 1}." for number in range(400))
    save_text(project=cast.project, name="sums.txt", file=io.BytesIO(text.encode()), acting_user=cast.admin)


def test_the_loop_runs_on_the_real_trainer(order, texts, cast, prompts_version):
    from tests.factories import make_prompt

    base = order(
        "pretrain",
        options={"text_files": ["sums.txt"]},
        hyperparameters={
            **SMALL,
            "vocabulary_size": 300,
            "layers": 1,
            "hidden": 16,
            "heads": 2,
            "context": 64,
            "maximum_steps": 4,
        },
    )
    rows = [demonstration(number) for number in range(24)]
    demonstrations = make_version(
        cast.project, "sft", {"train": rows[:16], "validation": rows[16:20], "test": rows[20:]}
    )
    sft = order(
        "sft",
        inputs={"train_data": demonstrations, "model": best_checkpoint(base)},
        hyperparameters={**SMALL, "maximum_steps": 3, "batch_size": 8, "maximum_length": 64},
    )
    assert sft.metrics["validation_loss"] > 0
    assert sft.events.filter(type="metrics").count() >= 3

    prompts = [make_prompt(cast.project, f"What is {number} plus 1?") for number in range(3)]
    sampling = work(
        sample_completions(
            project=cast.project,
            checkpoints=[best_checkpoint(sft)],
            prompts=prompts,
            completions_per_prompt=3,
            batch_plan={"size": 3},
            max_new_tokens=8,
            acting_user=cast.admin,
        )
    )
    tasks.sweep()
    assert Completion.objects.filter(run_key=sampling.pk).count() == 9
    assert Batch.objects.count() == 1

    ranked = [comparison(number) for number in range(12)]
    comparisons = make_version(cast.project, "comparison", {"train": ranked[:8], "validation": ranked[8:]})
    reward = order(
        "reward",
        inputs={
            "train_data": comparisons,
            "model": best_checkpoint(sft),
            "demonstrations": demonstrations,
        },
        hyperparameters={**SMALL, "maximum_steps": 2, "batch_size": 4, "maximum_length": 64},
    )
    assert best_checkpoint(reward).kind == CheckpointKind.REWARD_MODEL
    assert 0 <= reward.metrics["validation_accuracy"] <= 1

    scoring = work(
        score_completions(
            project=cast.project,
            checkpoint=best_checkpoint(reward),
            acting_user=cast.admin,
            hyperparameters={"threads": 1},
        )
    )
    tasks.sweep()
    scoring.refresh_from_db()
    assert scoring.follow_up_status == "done", scoring.follow_up_message
    written = [text for text in Completion.objects.values_list("text", flat=True) if text.strip()]
    assert CompletionScore.objects.filter(scorer_key=best_checkpoint(reward).pk).count() == len(written)

    ppo = order(
        "ppo",
        inputs={
            "prompts": prompts_version,
            "model": best_checkpoint(sft),
            "reward_model": best_checkpoint(reward),
        },
        hyperparameters={
            **SMALL,
            "steps": 2,
            "batch_size": 4,
            "minibatch_size": 4,
            "ppo_epochs": 1,
            "maximum_new_tokens": 6,
            "maximum_prompt_length": 40,
        },
    )
    assert {"reward_mean", "kl"} <= set(ppo.metrics)
    assert best_checkpoint(ppo).kind == CheckpointKind.CAUSAL_LM

    evaluated = order(
        "evaluate",
        inputs={
            "model": best_checkpoint(ppo),
            "demonstrations": demonstrations,
            "reward_model": best_checkpoint(reward),
            "train_data": comparisons,
        },
        hyperparameters={"threads": 1},
    )
    assert evaluated.metrics


def test_a_missing_base_model_fails_the_run_with_that_sentence(cast, sft_version, data_dir):
    run = create_run(
        project=cast.project,
        stage="sft",
        hyperparameters={},
        inputs={"train_data": sft_version},
        base_model="nowhere",
        acting_user=cast.admin,
    )
    tasks.execute_run(str(run.pk))
    run.refresh_from_db()
    assert run.status == RunStatus.FAILED
    assert "there is no model folder" in run.error_message
