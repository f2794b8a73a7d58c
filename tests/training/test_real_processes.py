"""Runs and what may happen to their workers, each with real processes.

SIGKILL and SIGSTOP, two workers, doubled, late and missing messages, a database that is away, a site that is
started again: none of it loses a step or does one twice.
"""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from contextlib import closing
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tests.engines import on_postgres
from tests.site_process import SiteProcess, database_url
from training.models import RunStatus, TrainingRun
from training.services import endings

from .conftest import make_sft_run
from .processes import MESSAGES, SWEEP, Workers, is_alive, step_of, told, trainer_pid, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]
MINUTE = 60.0  # seconds
UNTROUBLED = 90.0  # seconds: a lease that a busy machine does not outlast, where the test is not of its end


@pytest.fixture
def workers(data_dir, settings):
    settings.TRAINING_LEASE_SECONDS = 2.0
    found = Workers(data_dir)
    yield found
    found.end()


def ended(run: TrainingRun) -> bool:
    return TrainingRun.objects.get(pk=run.pk).status == RunStatus.SUCCEEDED


def steps_told(run: TrainingRun, **which) -> list[int]:
    rows = run.events.filter(type="metrics", **which).order_by("sequence")
    return list(rows.values_list("step", flat=True))


def test_a_killed_supervisor_takes_its_trainer_with_it_and_the_run_is_resumed(workers, fake_trainer, sft_run):
    fake_trainer(steps=30, pause=0.1, checkpoint_every=2)
    first = workers.start(sft_run)
    wait_for(lambda: step_of(sft_run) >= 5)
    pid = trainer_pid(sft_run, 1)
    first.kill()
    wait_for(lambda: not is_alive(pid))
    wait_for(lambda: endings.take_up_lost_runs())
    workers.start(sft_run, lease=UNTROUBLED)
    wait_for(lambda: TrainingRun.objects.get(pk=sft_run.pk).status == RunStatus.SUCCEEDED)
    resumed = sft_run.events.filter(type="metrics", attempt=2).order_by("sequence").first()
    assert resumed.step >= 5, "it went on from a checkpoint"


def test_a_supervisor_that_slept_through_its_lease_is_refused_and_its_trainer_is_ended(
    workers, fake_trainer, sft_run
):
    fake_trainer(steps=300, pause=0.1, checkpoint_every=2)
    zombie = workers.start(sft_run)
    wait_for(lambda: step_of(sft_run) >= 3)
    old_trainer = trainer_pid(sft_run, 1)
    zombie.send_signal(signal.SIGSTOP)
    wait_for(lambda: endings.take_up_lost_runs())
    assert is_alive(old_trainer), (
        "the zombie's trainer is still at work: this is what must be guarded against"
    )
    fake_trainer(steps=300, pause=0.01, checkpoint_every=50)
    workers.start(sft_run, lease=UNTROUBLED)
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


@on_postgres
def test_a_supervisor_that_is_stopped_in_the_middle_of_a_commit_holds_its_run_for_a_while_only(
    workers, fake_trainer, sft_run
):
    """Its transaction holds the run's row: the sweep goes by it, until the server ends that transaction."""
    fake_trainer(steps=300, pause=0.05, checkpoint_every=2)
    zombie = workers.start(sft_run)
    wait_for(lambda: step_of(sft_run) >= 3)
    workers.falls_asleep.touch()
    wait_for(lambda: not workers.falls_asleep.exists())
    wait_for(lambda: TrainingRun.objects.lost().exists())
    assert wait_for(endings.take_up_lost_runs) == 1
    fake_trainer(steps=300, pause=0.0, checkpoint_every=50)
    assert workers.start(sft_run, lease=UNTROUBLED).stdout.readline().strip() == "ENDED"
    zombie.send_signal(signal.SIGCONT)
    assert zombie.stdout.readline().strip() == "LOST"
    sft_run.refresh_from_db()
    assert (sft_run.status, sft_run.attempt) == (RunStatus.SUCCEEDED, 2)


@on_postgres
def test_a_run_that_somebody_is_writing_to_keeps_no_sweep_waiting(cast, sft_version, sft_run):
    held, free = sft_run, make_sft_run(cast, sft_version)
    for run in (held, free):
        TrainingRun.objects.filter(pk=run.pk).update(
            status=RunStatus.RUNNING, attempt=1, lease_expires_at=timezone.now() - timedelta(minutes=1)
        )
    with closing(connection.copy()) as other, other.cursor() as cursor:
        cursor.execute("BEGIN; UPDATE training_trainingrun SET worker = 'me' WHERE id = %s", [held.pk])
        assert endings.take_up_lost_runs() == 1
        assert TrainingRun.objects.get(pk=free.pk).status == RunStatus.QUEUED
    assert endings.take_up_lost_runs() == 1


def test_of_two_workers_with_doubled_messages_one_does_the_run_once(workers, fake_trainer, sft_run):
    fake_trainer(steps=12, pause=0.1)
    crew = [workers.start(sft_run, MESSAGES, lease=UNTROUBLED) for _ in range(2)]
    for process in crew:
        told(process, 3)
    counts = sorted(sum(int(process.stdout.readline()) for _ in range(3)) for process in crew)
    assert counts == [0, 1], "attempts that each of them supervised"
    sft_run.refresh_from_db()
    assert (sft_run.status, sft_run.attempt) == (RunStatus.SUCCEEDED, 1)
    assert steps_told(sft_run) == list(range(1, 13))


def test_a_message_that_comes_after_the_end_changes_nothing(workers, fake_trainer, sft_run):
    fake_trainer(steps=2)
    first, late = (workers.start(sft_run, MESSAGES, lease=UNTROUBLED) for _ in range(2))
    told(first, 1)
    assert first.stdout.readline().strip() == "1"
    before = TrainingRun.objects.values().get(pk=sft_run.pk)
    told(late, 2)
    assert [late.stdout.readline().strip() for _ in range(2)] == ["0", "0"]
    assert TrainingRun.objects.values().get(pk=sft_run.pk) == before


def test_a_run_whose_message_was_lost_is_rung_for_by_the_sweep(workers, fake_trainer, sft_run):
    """Nobody was told of it: the sweep, in a process of its own, finds it from the rows."""
    fake_trainer(steps=2)
    TrainingRun.objects.filter(pk=sft_run.pk).update(rung_at=None, ring_count=0)
    assert str(sft_run.pk) in workers.start(sft_run, SWEEP).stdout.readline()
    worker = workers.start(sft_run, MESSAGES, lease=UNTROUBLED)
    told(worker, 1)
    wait_for(lambda: ended(sft_run))


def test_a_database_that_is_away_for_a_minute_and_less_than_the_lease_costs_nothing(
    workers, fake_trainer, sft_run
):
    fake_trainer(steps=700, pause=0.1)
    worker = workers.start(sft_run, lease=UNTROUBLED)
    wait_for(lambda: step_of(sft_run) >= 3)
    workers.away.touch()
    gone, before = time.monotonic(), step_of(sft_run)
    pid = trainer_pid(sft_run, 1)
    diary = workers.data_dir / "runs" / str(sft_run.pk) / "events.jsonl"
    size = diary.stat().st_size
    wait_for(lambda: diary.stat().st_size > size + 600 and time.monotonic() - gone > MINUTE)
    assert is_alive(pid) and step_of(sft_run) <= before + 1, "the trainer works, the rows wait"
    workers.away.unlink()
    assert worker.stdout.readline().strip() == "ENDED"
    sft_run.refresh_from_db()
    assert sft_run.attempt == 1 and steps_told(sft_run) == list(range(1, 701))


def test_a_database_that_is_away_for_longer_ends_the_trainer_and_the_run_goes_on_later(
    workers, fake_trainer, sft_run
):
    """A minute at a lease of twenty seconds, in the proportion of a lease of two."""
    fake_trainer(steps=400, pause=0.1, checkpoint_every=2)
    worker = workers.start(sft_run)
    wait_for(lambda: step_of(sft_run) >= 5)
    pid = trainer_pid(sft_run, 1)
    workers.away.touch()
    assert worker.stdout.readline().strip() == "LOST"
    assert not is_alive(pid)
    workers.away.unlink()
    wait_for(endings.take_up_lost_runs)
    fake_trainer(steps=400, pause=0.0, checkpoint_every=50)
    assert workers.start(sft_run, lease=UNTROUBLED).stdout.readline().strip() == "ENDED"
    sft_run.refresh_from_db()
    assert (sft_run.status, sft_run.attempt) == (RunStatus.SUCCEEDED, 2)
    again = steps_told(sft_run, attempt=2)
    assert again[0] >= 5 and again[-1] == 400, "it went on from a checkpoint"


def test_a_site_that_is_killed_and_started_again_does_not_touch_the_run(
    workers, fake_trainer, sft_run, tmp_path
):
    fake_trainer(steps=2000, pause=0.05)
    worker = workers.start(sft_run, lease=UNTROUBLED)
    site = SiteProcess(database_url(), tmp_path)
    try:
        for _ in range(2):
            site.start()
            with urllib.request.urlopen(f"{site.url}/readyz", timeout=30) as answer:
                assert json.loads(answer.read())
            before = step_of(sft_run)
            site.kill()
            wait_for(lambda before=before: step_of(sft_run) > before)
        assert worker.poll() is None and is_alive(trainer_pid(sft_run, 1))
    finally:
        site.stop()
    sft_run.refresh_from_db()
    assert (sft_run.status, sft_run.attempt) == (RunStatus.RUNNING, 1)
    told_steps = steps_told(sft_run)
    assert told_steps == list(range(1, len(told_steps) + 1))
