"""The broker is a doorbell.

Lost, late and doubled messages change nothing, and without it nothing is lost.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from training import tasks
from training.models import RunStatus, TrainingRun
from training.services import leases
from training.services.runs import cancel_run

from .conftest import make_sft_run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


@pytest.fixture
def rings(monkeypatch) -> list[tuple[str, ...]]:
    """What was sent to the broker, instead of sending it."""
    from annotate.celery import app

    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr(app, "send_task", lambda name, args=(), **more: sent.append((name, *args)))
    monkeypatch.setattr("annotate.doorbell._silent_until", 0.0)
    return sent


def test_making_a_run_rings_once_after_its_commit(rings, cast, sft_version):
    run = make_sft_run(cast, sft_version)
    assert rings == [("training.tasks.execute_run", str(run.pk))]


def test_with_the_broker_down_the_run_is_queued_and_the_sweep_rings_later(
    rings, cast, sft_version, monkeypatch
):
    from annotate import doorbell
    from annotate.celery import app

    def refuse(*args, **kwargs):
        raise OperationalError("broker is away")

    working = app.send_task
    monkeypatch.setattr(app, "send_task", refuse)
    run = make_sft_run(cast, sft_version)
    assert run.status == RunStatus.QUEUED
    monkeypatch.setattr(app, "send_task", working)
    monkeypatch.setattr(doorbell, "_silent_until", 0.0)
    tasks.sweep()
    assert ("training.tasks.execute_run", str(run.pk)) in rings


def test_a_sweep_does_not_ring_again_at_once_but_does_when_the_message_must_be_lost(rings, cast, sft_version):
    run = make_sft_run(cast, sft_version)
    tasks.sweep()
    assert len(rings) == 1
    TrainingRun.objects.filter(pk=run.pk).update(rung_at=Now() - timedelta(seconds=5))
    tasks.sweep()
    tasks.sweep()
    assert len(rings) == 2


def test_doubled_messages_run_it_once(rings, fake_trainer, cast, sft_version):
    fake_trainer(steps=2)
    run = make_sft_run(cast, sft_version)
    assert [tasks.execute_run(str(run.pk)) for _ in range(3)] == [1, 0, 0]
    run.refresh_from_db()
    assert (run.status, run.attempt) == (RunStatus.SUCCEEDED, 1)


def test_a_message_for_a_run_that_was_cancelled_meanwhile_does_nothing(
    rings, fake_trainer, cast, sft_version
):
    run = make_sft_run(cast, sft_version)
    cancel_run(run=run, acting_user=cast.admin)
    assert tasks.execute_run(str(run.pk)) == 0
    run.refresh_from_db()
    assert (run.status, run.attempt) == (RunStatus.CANCELLED, 0)


def test_one_message_drains_the_queue(rings, fake_trainer, cast, sft_version):
    fake_trainer(steps=1)
    runs = [make_sft_run(cast, sft_version) for _ in range(3)]
    assert tasks.execute_run(str(runs[0].pk)) == 3
    assert set(TrainingRun.objects.values_list("status", flat=True)) == {RunStatus.SUCCEEDED}


def test_a_message_about_nothing_takes_the_run_that_has_waited_longest(
    rings, fake_trainer, cast, sft_version
):
    import uuid

    fake_trainer(steps=1)
    make_sft_run(cast, sft_version)
    assert tasks.execute_run(str(uuid.uuid4())) == 1


def test_the_sweep_takes_up_lost_runs(rings, cast, sft_version):
    run = make_sft_run(cast, sft_version)
    leases.claim_run(run_id=run.pk, worker="gone")
    TrainingRun.objects.filter(pk=run.pk).update(lease_expires_at=Now() - timedelta(seconds=1))
    rings.clear()
    tasks.sweep()
    run.refresh_from_db()
    assert run.status == RunStatus.QUEUED
    assert rings[0] == ("training.tasks.execute_run", str(run.pk))
