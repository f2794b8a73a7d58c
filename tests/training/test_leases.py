"""Who holds a run: claims, fences, lost workers, zombies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.db.models.functions import Now

from training.models import RunStatus, TrainingRun
from training.services import endings, leases
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


def test_a_zombie_cannot_renew_its_lease(zombie):
    with pytest.raises(LeaseLost):
        leases.renew_lease(zombie.pk, 1)


def test_lines_are_stored_once_whoever_reads_them(sft_run):
    run = claim(sft_run)
    event = {"type": "log", "time": "2026-01-01T00:00:00+00:00", "step": 1, "data": {"message": "hello"}}
    leases.store_progress(run.pk, 1, events=[event], old_offset=0, new_offset=10, values={})
    with pytest.raises(LeaseLost):
        leases.store_progress(run.pk, 1, events=[event], old_offset=0, new_offset=10, values={})
    assert run.events.filter(type="log").count() == 1


# --- Real processes -----------------------------------------------------------------------------------------
SUPERVISE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
sys.path.insert(0, {root!r})
import django
from django.conf import settings
django.setup()
settings.DATABASES["default"]["NAME"] = {database!r}
from django.db import connections
connections["default"].settings_dict["NAME"] = {database!r}
from pathlib import Path
settings.DATA_DIR = Path({data_dir!r})
settings.MODEL_DIRS = [{data_dir!r} + "/models"]
settings.TRAINER_COMMAND = {trainer!r}
settings.TRAINING_LEASE_SECONDS = 2.0
settings.TRAINING_GRACE_SECONDS = 1.0
from training.services import leases
from training.services.supervision import RunSupervisor
run = leases.claim_run(run_id={run!r}, worker="process")
print("claimed", run.attempt, flush=True)
print(RunSupervisor(run).supervise().name, flush=True)
"""


@pytest.fixture
def worker(data_dir, settings):
    """Starts a supervisor in a process of its own on the test's database; ended after the test."""
    from tests.training.conftest import FAKE_TRAINER

    settings.TRAINING_LEASE_SECONDS = 2.0
    started: list[subprocess.Popen] = []

    def start(run: TrainingRun) -> subprocess.Popen:
        code = SUPERVISE.format(
            root=str(ROOT),
            database=str(connection.settings_dict["NAME"]),
            data_dir=str(data_dir),
            trainer=FAKE_TRAINER,
            run=str(run.pk),
        )
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        started.append(process)
        assert process.stdout.readline().startswith("claimed")
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()


def wait_for(condition, seconds: float = 90.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def trainer_pid(run: TrainingRun, attempt: int) -> int | None:
    event = run.events.filter(type="state", attempt=attempt, data__pid__isnull=False).first()
    return event.data["pid"] if event else None


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # it went between the two looks
        return False


def step_of(run: TrainingRun) -> int:
    return TrainingRun.objects.get(pk=run.pk).step


def test_a_killed_supervisor_takes_its_trainer_with_it_and_the_run_is_resumed(worker, fake_trainer, sft_run):
    fake_trainer(steps=30, pause=0.1, checkpoint_every=2)
    first = worker(sft_run)
    wait_for(lambda: step_of(sft_run) >= 5)
    pid = trainer_pid(sft_run, 1)
    first.kill()
    wait_for(lambda: not is_alive(pid))
    wait_for(lambda: endings.take_up_lost_runs())
    worker(sft_run)
    wait_for(lambda: TrainingRun.objects.get(pk=sft_run.pk).status == RunStatus.SUCCEEDED)
    resumed = sft_run.events.filter(type="metrics", attempt=2).order_by("sequence").first()
    assert resumed.step >= 5, "it went on from a checkpoint"


def test_a_supervisor_that_slept_through_its_lease_is_refused_and_its_trainer_is_ended(
    worker, fake_trainer, sft_run
):
    fake_trainer(steps=300, pause=0.1, checkpoint_every=2)
    zombie = worker(sft_run)
    wait_for(lambda: step_of(sft_run) >= 3)
    old_trainer = trainer_pid(sft_run, 1)
    zombie.send_signal(signal.SIGSTOP)
    wait_for(lambda: endings.take_up_lost_runs())
    assert is_alive(old_trainer), (
        "the zombie's trainer is still at work: this is what must be guarded against"
    )
    fake_trainer(steps=300, pause=0.01, checkpoint_every=50)
    worker(sft_run)
    wait_for(lambda: trainer_pid(sft_run, 2))
    assert not is_alive(old_trainer), "the second supervisor ended it before it began"
    zombie.send_signal(signal.SIGCONT)
    assert zombie.stdout.readline().strip() == "LOST"
    wait_for(lambda: TrainingRun.objects.get(pk=sft_run.pk).status == RunStatus.SUCCEEDED)
    last_of_first = sft_run.events.filter(attempt=1).order_by("-sequence").first()
    first_of_second = sft_run.events.filter(attempt=2).order_by("sequence").first()
    assert last_of_first.sequence < first_of_second.sequence, (
        "nothing of the zombie came after its heir had begun"
    )
    # What the old trainer wrote while its supervisor slept is in the diary too, before its heir's first line.
    begun = sft_run.events.get(type="state", attempt=2, data__pid=trainer_pid(sft_run, 2))
    own = sft_run.events.filter(type="metrics", sequence__gt=begun.sequence).order_by("sequence")
    steps = list(own.values_list("step", flat=True))
    assert steps == list(range(steps[0], 301)), "each step of the second attempt once, in order"
