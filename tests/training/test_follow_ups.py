"""Sampling hands its completions back to labeling, once, whatever dies when."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from annotate.errors import Invalid
from labeling.models import Batch, Completion, Dataset
from tests.factories import make_prompt
from training import tasks
from training.forms import RunForm, SampleForm
from training.models import FollowUpStatus, TrainingRun
from training.services import follow_ups
from training.services.runs import retry_follow_up
from training.services.sampling import sample_completions

from .conftest import make_checkpoint, make_sft_run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


@pytest.fixture
def sampled(fake_trainer, cast, prompts_version, checkpoint) -> TrainingRun:
    """A succeeded sample run whose follow-up waits: 3 prompts, 3 completions each."""
    fake_trainer(steps=1)
    run = sample_completions(
        project=cast.project,
        checkpoints=[checkpoint],
        prompts=prompts_version,
        completions_per_prompt=3,
        batch_plan={"size": 3, "overlap": 2, "name": "Rank them"},
        acting_user=cast.admin,
    )
    tasks.execute_run(str(run.pk))
    run.refresh_from_db()
    assert run.follow_up_status == FollowUpStatus.WAITING, run.error_message
    return run


def test_completions_come_back_with_their_checkpoint_and_a_ranking_batch_is_made(sampled, checkpoint):
    assert follow_ups.finish_follow_up(run_id=sampled.pk)
    rows = Completion.objects.filter(run_key=sampled.pk)
    assert rows.count() == 9
    assert set(rows.values_list("checkpoint_key", flat=True)) == {checkpoint.pk}
    assert rows.first().sampling["temperature"] == 1.0
    batch = Batch.objects.get(name="Rank them")
    assert (batch.tasks.count(), batch.overlap) == (3, 2)
    sampled.refresh_from_db()
    assert sampled.follow_up_status == FollowUpStatus.DONE


def test_doing_it_again_changes_nothing(sampled):
    assert [follow_ups.finish_follow_up(run_id=sampled.pk) for _ in range(3)] == [True, False, False]
    assert Completion.objects.filter(run_key=sampled.pk).count() == 9
    assert Batch.objects.count() == 1


def test_a_worker_that_died_after_recording_leaves_no_doubles(sampled, monkeypatch):
    def die(*args, **kwargs):
        raise MemoryError("killed")

    monkeypatch.setattr(follow_ups, "_ranking_batch", die)
    with pytest.raises(MemoryError):
        follow_ups.finish_follow_up(run_id=sampled.pk)
    monkeypatch.undo()
    assert Completion.objects.filter(run_key=sampled.pk).count() == 9
    assert not follow_ups.finish_follow_up(run_id=sampled.pk), "the dead worker's lease still stands"
    TrainingRun.objects.update(follow_up_lease_expires_at=Now() - timedelta(seconds=1))
    tasks.sweep()
    assert Completion.objects.filter(run_key=sampled.pk).count() == 9
    assert Batch.objects.count() == 1


def test_what_cannot_follow_is_said_and_can_be_tried_again(sampled, cast, data_dir):
    path = data_dir / "runs" / str(sampled.pk) / "completions.jsonl"
    kept = path.read_text()
    path.unlink()
    follow_ups.finish_follow_up(run_id=sampled.pk)
    sampled.refresh_from_db()
    assert sampled.follow_up_status == FollowUpStatus.FAILED
    assert sampled.follow_up_message == "The run left no completions."
    assert cast.admin.notifications.filter(kind="run.follow_up_failed").exists()
    path.write_text(kept)
    retry_follow_up(run=sampled, acting_user=cast.admin)
    tasks.sweep()
    sampled.refresh_from_db()
    assert sampled.follow_up_status == FollowUpStatus.DONE


def test_a_training_run_starts_its_sampling_when_it_has_succeeded(
    fake_trainer, cast, sft_version, prompts_version
):
    fake_trainer(steps=2)
    plan = {"prompts_version": prompts_version.pk, "completions_per_prompt": 2, "ranking_batch": {"size": 2}}
    run = make_sft_run(cast, sft_version, follow_up={"sample": plan})
    tasks.execute_run(str(run.pk))
    tasks.sweep()
    sampling = TrainingRun.objects.get(stage="sample")
    assert sampling.inputs.get(role="sample_from").checkpoint == run.checkpoints.get()
    tasks.execute_run(str(sampling.pk))
    tasks.sweep()
    assert Batch.objects.get().tasks.count() == 3


def test_prompts_chosen_one_by_one_are_answered_in_the_same_way(fake_trainer, cast, checkpoint):
    fake_trainer(steps=1)
    prompts = [make_prompt(cast.project) for _ in range(2)]
    run = sample_completions(
        project=cast.project,
        checkpoints=[checkpoint],
        prompts=prompts,
        completions_per_prompt=1,
        acting_user=cast.admin,
    )
    tasks.execute_run(str(run.pk))
    tasks.sweep()
    assert set(Completion.objects.values_list("prompt_id", flat=True)) == {prompt.pk for prompt in prompts}
    assert not Batch.objects.exists()


def test_two_checkpoints_are_compared_blind_pair_by_pair(fake_trainer, cast, checkpoint, prompts_version):
    fake_trainer(steps=1)
    run = sample_completions(
        project=cast.project,
        checkpoints=[checkpoint, make_checkpoint(cast.project, user=cast.admin)],
        prompts=prompts_version,
        completions_per_prompt=2,
        batch_plan={"layout": "pairwise"},
        acting_user=cast.admin,
    )
    assert run.follow_up["ranking_batch"]["size"] == 2
    tasks.execute_run(str(run.pk))
    tasks.sweep()
    batch = Batch.objects.get()
    assert (batch.layout, batch.tasks.count()) == ("pairwise", 6)
    for task in batch.tasks.all():
        assert task.completions.values("checkpoint_key").distinct().count() == 2


@pytest.mark.parametrize(
    ("plan", "field"), [({"layout": "pairwise", "size": 3}, "size"), ({"layout": "demonstration"}, "layout")]
)
def test_a_plan_whose_layout_cannot_be_is_refused(cast, checkpoint, prompts_version, plan, field):
    with pytest.raises(Invalid) as caught:
        sample_completions(
            project=cast.project,
            checkpoints=[checkpoint],
            prompts=prompts_version,
            completions_per_prompt=2,
            batch_plan=plan,
            acting_user=cast.admin,
        )
    assert caught.value.field == field
    assert not TrainingRun.objects.filter(stage="sample").exists()


def test_a_split_without_rows_is_refused_before_any_run(cast, sft_version, prompts_version, checkpoint):
    def refused(make) -> tuple[str | None, str]:
        with pytest.raises(Invalid) as caught:
            make()
        return caught.value.field, caught.value.message

    plan = {"prompts_version": prompts_version.pk, "splits": ["test"], "completions_per_prompt": 2}
    said = "prompts data v1 has no rows in the split test."
    assert refused(lambda: make_sft_run(cast, sft_version, follow_up={"sample": plan})) == ("splits", said)
    asked = {"project": cast.project, "checkpoints": [checkpoint], "prompts": prompts_version}
    asked |= {"splits": ["test"], "completions_per_prompt": 2, "acting_user": cast.admin}
    assert refused(lambda: sample_completions(**asked)) == ("splits", said)
    sft_version.row_counts = {"train": 0, "validation": 6, "test": 0}
    sft_version.save()
    said = "sft data v1 has no rows in the split train."
    assert refused(lambda: make_sft_run(cast, sft_version)) == ("train_data", said)
    assert set(TrainingRun.objects.values_list("pk", flat=True)) == {checkpoint.run_id}


def test_completions_without_an_order_are_refused_before_the_run_that_would_sample_for_them(
    cast, sft_version, prompts_version
):
    Dataset.objects.filter(pk=prompts_version.dataset_id).update(kind="completions")
    for named in (prompts_version.pk, "prompts data@v1", str(prompts_version.public_id)):
        with pytest.raises(Invalid) as refused:
            plan = {"prompts_version": named, "completions_per_prompt": 2}
            make_sft_run(cast, sft_version, follow_up={"sample": plan})
        assert refused.value.field == "prompts_version"
        assert "holds completions without an order" in refused.value.message
    assert not TrainingRun.objects.exists()
    offered = [
        RunForm(project=cast.project, stage="sft").fields["after_prompts"],
        SampleForm(project=cast.project).fields["prompts_version"],
    ]
    assert [list(field.queryset) for field in offered] == [[sft_version]] * 2
