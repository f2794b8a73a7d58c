"""Superfluous checkpoints lose their files; the newest, best, final, pinned ones and those in use never."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Gone, Invalid
from training import tasks
from training.models import Checkpoint, RunStatus, TrainingRun
from training.rlhf import checkpoints as files
from training.services import retention
from training.services.checkpoints import open_archive, verify_checkpoint
from training.services.locations import checkpoint_directory, data_dir
from training.services.runs import create_run

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def run(cast, data_dir) -> TrainingRun:
    """An SFT run that ended two days ago and keeps its two newest."""
    return TrainingRun.objects.create(
        project=cast.project, number=1, stage="sft", status=RunStatus.SUCCEEDED, created_by=cast.admin,
        hyperparameters={"keep_checkpoints": 2}, finished_at=timezone.now() - timedelta(days=2),
    )  # fmt: skip


def make(run: TrainingRun, step: int, **marks) -> Checkpoint:
    directory = f"checkpoints/{run.pk}-{step}"

    def fill(folder) -> None:
        (folder / "model.safetensors").write_bytes(b"weights" * 1000)

    files.write_checkpoint(
        data_dir() / directory, fill, kind="causal_lm", step=step, stage="sft", metrics={}, base=""
    )
    digest = files.digest(data_dir() / directory / files.MANIFEST)["sha256"]
    return Checkpoint.objects.create(
        run=run, project=run.project, kind="causal_lm", step=step, directory=directory,
        manifest_sha256=digest, size_bytes=7000, **marks,
    )  # fmt: skip


@pytest.fixture
def eight(run) -> dict[int, Checkpoint]:
    marks = {1: {"is_best": True}, 3: {"is_pinned": True}, 5: {"is_final": True}}
    return {step: make(run, step, **marks.get(step, {})) for step in range(1, 9)}


def removed(run: TrainingRun) -> list[int]:
    rows = run.checkpoints.filter(removed_at__isnull=False)
    return sorted(rows.values_list("step", flat=True))


def test_the_newest_the_best_the_final_and_pinned_ones_stay(run, eight, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        assert tasks.retire_checkpoints() == 3
    assert removed(run) == [2, 4, 6]
    for step, checkpoint in eight.items():
        assert checkpoint_directory(checkpoint).is_dir() is (step not in (2, 4, 6))
        checkpoint.refresh_from_db()
    verify_checkpoint(eight[7])
    with pytest.raises(Gone):
        verify_checkpoint(eight[2])
    assert tasks.retire_checkpoints() == 0


def test_what_is_in_use_is_never_removed(cast, run, eight, sft_version):
    """By a run that waits, runs, or may go on after a failure; not by one that is done."""
    user = create_run(
        project=cast.project, stage="sft", hyperparameters={}, acting_user=cast.admin,
        inputs={"train_data": sft_version, "model": eight[4]},
    )  # fmt: skip
    for status in (RunStatus.QUEUED, RunStatus.FAILED, RunStatus.CANCELLED):
        TrainingRun.objects.filter(pk=user.pk).update(status=status)
        assert eight[4].pk not in {each.pk for each in retention.retirable()}, status
    retention.retire_checkpoints()
    assert removed(run) == [2, 6]
    TrainingRun.objects.filter(pk=user.pk).update(status=RunStatus.SUCCEEDED)
    retention.retire_checkpoints()
    assert removed(run) == [2, 4, 6]


def test_one_that_is_pinned_between_the_look_and_the_deed_stays(run, eight):
    chosen = next(each for each in retention.retirable() if each.step == 2)
    Checkpoint.objects.filter(pk=chosen.pk).update(is_pinned=True)
    assert retention._retire(chosen) is False
    assert removed(run) == []


def test_a_run_that_may_still_be_looked_at_keeps_all(run, eight, settings):
    TrainingRun.objects.filter(pk=run.pk).update(finished_at=timezone.now())
    assert retention.retire_checkpoints() == []
    TrainingRun.objects.filter(pk=run.pk).update(finished_at=timezone.now() - timedelta(days=2))
    settings.CHECKPOINT_GRACE_HOURS = -1
    assert retention.retire_checkpoints() == []


def test_a_run_cannot_be_ordered_from_one_that_is_gone(cast, run, eight, sft_version):
    """Its files went after the form had been filled in: the row in hand still says that they are there."""
    before = eight[2]
    retention.retire_checkpoints()
    assert before.removed_at is None
    with pytest.raises(Invalid, match="were removed"):
        create_run(
            project=cast.project, stage="sft", hyperparameters={}, acting_user=cast.admin,
            inputs={"train_data": sft_version, "model": before},
        )  # fmt: skip


def test_a_download_that_has_begun_gets_the_whole(cast, run, eight, django_capture_on_commit_callbacks):
    _, pieces = open_archive(checkpoint=eight[2], acting_user=cast.admin)
    first = next(pieces)
    with django_capture_on_commit_callbacks(execute=True):
        retention.retire_checkpoints()
    assert not checkpoint_directory(eight[2]).exists()
    assert b"weights" * 1000 in first + b"".join(pieces)


def test_the_page_says_what_the_disk_holds(client, cast, run, eight):
    client.force_login(cast.admin)
    retention.retire_checkpoints()
    found = retention.disk_use(cast.project)
    assert (found.kept, found.size_bytes, found.removed) == (5, 35_000, 3) and found.free_bytes > 0
    text = client.get(reverse("training:checkpoints", args=[cast.project.slug])).content.decode()
    assert "5 checkpoints keep" in text and "3 superfluous ones were removed" in text
