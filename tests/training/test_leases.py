"""Who holds a run: claims, fences, lost workers, zombies."""

from __future__ import annotations

import shutil
import threading
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now

from training.models import RunStatus, TrainingRun
from training.services import checkpoints, endings, leases
from training.services.checkpoints import register_checkpoints
from training.services.leases import LeaseLost
from training.services.runs import cancel_run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]
ROOT = Path(__file__).resolve().parents[2]


def claim(run: TrainingRun, worker: str = "w1") -> TrainingRun:
    claimed = leases.claim_run(run_id=run.pk, worker=worker)
    assert claimed is not None
    return claimed


def expire(run: TrainingRun) -> None:
    TrainingRun.objects.filter(pk=run.pk).update(lease_expires_at=Now() - timedelta(seconds=1))


def test_of_many_workers_exactly_one_gets_the_run(sft_run):
    won: list[TrainingRun] = []
    start = threading.Barrier(6)

    def work(number: int) -> None:
        try:
            start.wait()
            run = leases.claim_run(run_id=sft_run.pk, worker=f"w{number}")
            if run is not None:
                won.append(run)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert won[0].attempt == 1


def test_a_run_with_a_live_lease_is_not_taken_up(sft_run):
    claim(sft_run)
    assert endings.take_up_lost_runs() == 0


def test_a_lost_run_is_queued_again_and_the_next_attempt_has_a_higher_number(sft_run):
    claim(sft_run)
    expire(sft_run)
    assert endings.take_up_lost_runs() == 1
    sft_run.refresh_from_db()
    assert (sft_run.status, sft_run.failures_in_a_row) == (RunStatus.QUEUED, 1)
    assert claim(sft_run).attempt == 2


def test_a_run_whose_workers_are_lost_again_and_again_fails_with_a_sentence(sft_run):
    for _ in range(sft_run.max_attempts):
        claim(sft_run)
        expire(sft_run)
        endings.take_up_lost_runs()
    sft_run.refresh_from_db()
    assert sft_run.status == RunStatus.FAILED
    assert "Its worker was lost, 3 times in a row" in sft_run.error_message


def test_a_lost_run_that_somebody_cancelled_is_cancelled(sft_run, cast):
    claim(sft_run)
    cancel_run(run=sft_run, acting_user=cast.admin)
    expire(sft_run)
    endings.take_up_lost_runs()
    sft_run.refresh_from_db()
    assert sft_run.status == RunStatus.CANCELLED


@pytest.fixture
def zombie(sft_run) -> TrainingRun:
    """The first attempt, whose run has been taken by a second one."""
    old = claim(sft_run)
    expire(sft_run)
    endings.take_up_lost_runs()
    claim(sft_run, "w2")
    return old


def test_a_zombie_cannot_store_metrics(zombie):
    event = {"type": "metrics", "time": "2026-01-01T00:00:00+00:00", "step": 1, "data": {"train_loss": 9.0}}
    with pytest.raises(LeaseLost):
        leases.store_progress(zombie.pk, 1, events=[event], old_offset=0, new_offset=10, values={"step": 99})
    assert not zombie.events.filter(type="metrics").exists()
    assert TrainingRun.objects.get(pk=zombie.pk).step == 0


def test_a_zombie_cannot_end_the_run(zombie):
    for end in (
        lambda: endings.succeed(zombie, metrics={}),
        lambda: endings.fail(zombie, code="x", message="x"),
        lambda: endings.finish_cancelled(zombie),
        lambda: endings.hand_back(zombie),
        lambda: endings.give_up_attempt(zombie, reason="x"),
    ):
        with pytest.raises(LeaseLost):
            end()
    row = TrainingRun.objects.get(pk=zombie.pk)
    assert (row.status, row.attempt, row.worker) == (RunStatus.RUNNING, 2, "w2")


def test_a_zombie_cannot_register_checkpoints(zombie, checkpoint, data_dir):
    from training.rlhf import checkpoints as files
    from training.services.checkpoints import WholeCheckpoint

    folder = data_dir / checkpoint.directory
    whole = WholeCheckpoint(folder, files.load_manifest(folder), checkpoint.manifest_sha256)
    with pytest.raises(LeaseLost):
        register_checkpoints(zombie, [whole], {})
    assert not zombie.checkpoints.exists()
    assert [path.name for path in (data_dir / "checkpoints").iterdir()] == [folder.name], (
        "nothing is left behind"
    )


def test_a_commit_whose_answer_is_lost_keeps_the_files_of_the_checkpoint(
    sft_run, checkpoint, data_dir, monkeypatch
):
    from training.rlhf import checkpoints as files

    run, folder = claim(sft_run), data_dir / checkpoint.directory
    whole = checkpoints.WholeCheckpoint(folder, files.load_manifest(folder), checkpoint.manifest_sha256)

    @contextmanager
    def unanswered():
        with transaction.atomic():
            yield
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "transaction", SimpleNamespace(atomic=unanswered))
        with pytest.raises(OperationalError):
            register_checkpoints(run, [whole], {})
    made = run.checkpoints.get()
    assert checkpoints.checkpoint_directory(made).is_dir()
    assert register_checkpoints(run, [whole], {}) == [made]

    shutil.rmtree(checkpoints.checkpoint_directory(made))
    (again,) = register_checkpoints(run, [whole], {})
    assert again.pk == made.pk and checkpoints.checkpoint_directory(again).is_dir()


def test_a_zombie_cannot_renew_its_lease(zombie):
    with pytest.raises(LeaseLost):
        leases.renew_lease(zombie.pk, 1)


def test_lines_are_stored_once_whoever_reads_them(sft_run):
    run = claim(sft_run)
    event = {"type": "log", "time": "2026-01-01T00:00:00+00:00", "step": 1, "data": {"message": "hello"}}
    leases.store_progress(run.pk, 1, events=[event], old_offset=0, new_offset=10, values={})
    # The answer was lost, and the diary has grown meanwhile: nothing is stored twice, and it goes on from 10.
    for new_offset in (10, 25):
        told = leases.store_progress(
            run.pk, 1, events=[event], old_offset=0, new_offset=new_offset, values={}
        )
        assert told == 10
    assert run.events.filter(type="log").count() == 1
    assert TrainingRun.objects.get(pk=run.pk).event_count == run.events.count()
