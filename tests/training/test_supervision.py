"""One attempt of a run, with a real child process that keeps the trainer's file protocol."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from django.db import InterfaceError, OperationalError

from training.models import Checkpoint, RunStatus, TrainingRun
from training.services import leases, supervision
from training.services.checkpoints import verify_checkpoint
from training.services.runs import cancel_run, resume_run, retry_run
from training.services.supervision import Outcome, RunSupervisor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def supervise(run: TrainingRun, **more) -> Outcome:
    claimed = leases.claim_run(run_id=run.pk, worker="test")
    assert claimed is not None
    outcome = RunSupervisor(claimed, **more).supervise()
    run.refresh_from_db()
    return outcome


def test_a_run_succeeds_with_events_metrics_and_a_checkpoint(fake_trainer, sft_run):
    fake_trainer(steps=5)
    assert supervise(sft_run) is Outcome.ENDED
    assert sft_run.status == RunStatus.SUCCEEDED
    assert (sft_run.step, sft_run.total_steps) == (5, 5)
    assert sft_run.metrics["train_loss"] == 0.2
    sequences = list(sft_run.events.order_by("sequence").values_list("sequence", flat=True))
    assert sequences == list(range(1, len(sequences) + 1))
    checkpoint = sft_run.checkpoints.get()
    assert checkpoint.is_best and checkpoint.is_final
    assert verify_checkpoint(checkpoint).step == 5


def test_whoever_started_it_is_told_and_the_audit_trail_knows(fake_trainer, sft_run, cast):
    fake_trainer(steps=1)
    supervise(sft_run)
    assert cast.admin.notifications.filter(kind="run.ended").count() == 1
    actions = set(cast.project.audit_events.values_list("action", flat=True))
    assert {"run.created", "run.succeeded"} <= actions


def test_the_trainers_own_sentence_is_the_reason_of_a_failure(fake_trainer, sft_run):
    fake_trainer(steps=1, end="fail")
    assert supervise(sft_run) is Outcome.ENDED
    assert sft_run.status == RunStatus.FAILED
    assert sft_run.error_message == "model: there is no model folder nowhere"


def test_a_trainer_that_cannot_even_start_fails_the_run_with_its_last_words(fake_trainer, sft_run):
    fake_trainer(end="crash")
    supervise(sft_run)
    assert sft_run.status == RunStatus.FAILED
    assert "No module named 'torch'" in sft_run.error_message


def test_a_killed_trainer_is_taken_up_again_from_its_checkpoint(fake_trainer, sft_run):
    fake_trainer(steps=4, checkpoint_every=2, end="die")
    assert supervise(sft_run) is Outcome.GAVE_UP
    assert sft_run.status == RunStatus.QUEUED
    fake_trainer(steps=6, checkpoint_every=2)
    supervise(sft_run)
    assert sft_run.status == RunStatus.SUCCEEDED
    resumed = sft_run.events.filter(type="metrics", attempt=2).order_by("sequence").first()
    assert resumed.step == 5, "the second attempt goes on after step 4"
    assert sft_run.attempt == 2


def test_a_trainer_that_always_dies_without_getting_further_fails_after_three_attempts(fake_trainer, sft_run):
    fake_trainer(steps=0, end="die")
    outcomes = []
    while sft_run.status == RunStatus.QUEUED:
        outcomes.append(supervise(sft_run))
    assert len(outcomes) == sft_run.max_attempts == 3
    assert sft_run.status == RunStatus.FAILED
    assert "3 times in a row" in sft_run.error_message


def test_cancelling_stops_the_trainer_and_keeps_its_last_checkpoint(fake_trainer, sft_run, cast):
    fake_trainer(steps=1000, pause=0.05)
    worker = threading.Thread(target=_in_thread, args=(sft_run,))
    worker.start()
    _wait_for(lambda: TrainingRun.objects.get(pk=sft_run.pk).step > 2)
    cancel_run(run=sft_run, acting_user=cast.admin)
    worker.join(90)
    sft_run.refresh_from_db()
    assert sft_run.status == RunStatus.CANCELLED
    assert Checkpoint.objects.filter(run=sft_run).exists()
    fake_trainer(steps=sft_run.step + 3)
    resume_run(run=sft_run, acting_user=cast.admin)
    supervise(sft_run)
    assert sft_run.status == RunStatus.SUCCEEDED


def test_a_trainer_that_ignores_sigterm_is_killed_after_the_grace(fake_trainer, sft_run, cast):
    fake_trainer(steps=1000, pause=0.05, ignore_sigterm=True)
    worker = threading.Thread(target=_in_thread, args=(sft_run,))
    worker.start()
    _wait_for(lambda: TrainingRun.objects.get(pk=sft_run.pk).step > 2)
    cancel_run(run=sft_run, acting_user=cast.admin)
    worker.join(90)
    sft_run.refresh_from_db()
    assert sft_run.status == RunStatus.CANCELLED


def test_a_worker_that_is_asked_to_stop_hands_the_run_back_without_counting_a_failure(fake_trainer, sft_run):
    fake_trainer(steps=1000, pause=0.05)

    def should_stop() -> bool:  # not before the trainer has begun: it could save nothing
        return TrainingRun.objects.get(pk=sft_run.pk).step > 2

    assert supervise(sft_run, should_stop=should_stop) is Outcome.HANDED_BACK
    assert sft_run.status == RunStatus.QUEUED
    assert sft_run.failures_in_a_row == 0
    assert sft_run.checkpoints.count() == 1


def test_a_failed_run_goes_on_when_it_is_retried(fake_trainer, sft_run, cast):
    fake_trainer(steps=2, end="fail")
    supervise(sft_run)
    fake_trainer(steps=3)
    retry_run(run=sft_run, acting_user=cast.admin)
    supervise(sft_run)
    assert sft_run.status == RunStatus.SUCCEEDED
    assert sft_run.error_message == ""


def test_the_trainer_gets_none_of_the_sites_secrets(fake_trainer, sft_run, settings, tmp_path):
    settings.TRAINER_COMMAND = ["/bin/sh", "-c", "env; exit 9", "sh"]
    supervise(sft_run)
    output = (tmp_path / "runs" / str(sft_run.pk) / "output.log").read_text()
    assert "RLHF_PARENT_PID=" in output
    for name in ("SECRET_KEY=", "DATABASE_URL=", "REDIS_URL="):
        assert name not in output


def test_a_connection_that_failed_is_cut_before_the_work_is_tried_again(sft_run, monkeypatch):
    cut = []
    monkeypatch.setattr(supervision, "connection", SimpleNamespace(close=lambda: cut.append(True)))
    monkeypatch.setattr(supervision, "LOOK_SECONDS", 0.0)
    answers = [OperationalError("away"), InterfaceError("connection already closed"), None]

    def work() -> str:
        if (error := answers.pop(0)) is not None:
            raise error
        return "done"

    assert RunSupervisor(leases.claim_run(run_id=sft_run.pk, worker="w"))._patiently(work) == "done"
    assert cut == [True, True]


def _in_thread(run: TrainingRun) -> None:
    from django.db import connection

    try:
        supervise(TrainingRun.objects.get(pk=run.pk))
    finally:
        connection.close()


def _wait_for(condition, seconds: float = 60.0) -> None:
    import time

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
