"""Odd input and a system that refuses: a sentence that says what to do, never a 500 or a lost worker."""

from __future__ import annotations

import errno
import json
import shutil

import pytest
from django.utils import timezone

from annotate.errors import Conflict
from labeling.models import DatasetVersion
from training.models import Checkpoint, RunStatus, TrainingRun
from training.rlhf import checkpoints as files
from training.services import leases, preparation, supervision
from training.services.locations import checkpoint_directory, texts_directory
from training.services.runs import create_run, retry_run
from training.services.supervision import Outcome, RunSupervisor
from training.services.texts import save_text

pytestmark = [pytest.mark.django_db]


@pytest.fixture
def order(client, cast, sft_version):
    """Order an SFT run with this follow-up over the API; the answer."""
    client.force_login(cast.admin)
    client.raise_request_exception = False

    def post(follow_up):
        body = {
            "stage": "sft", "base_model": "base", "inputs": {"train_data": str(sft_version.public_id)},
            "follow_up": follow_up,
        }  # fmt: skip
        address = f"/api/projects/{cast.project.slug}/runs/"
        return client.post(address, json.dumps(body), content_type="application/json")

    return post


@pytest.mark.parametrize("named", ["abc", {"a": 1}, [1], 10**30, -1, 1.5, True, "run:1", "\x00", "none@v1"])
def test_a_follow_up_that_names_no_dataset_version_is_refused_by_its_field(order, named):
    answer = order({"sample": {"prompts_version": named, "completions_per_prompt": 2}})
    assert answer.status_code == 422, answer.content
    assert answer.json()["error"]["field"] == "prompts_version"
    assert not TrainingRun.objects.exists()


def test_programs_name_the_version_as_everywhere_else(order, prompts_version):
    for named in (str(prompts_version.public_id), f"{prompts_version.dataset.name}@v1", prompts_version.pk):
        answer = order({"sample": {"prompts_version": named, "completions_per_prompt": 2}})
        assert answer.status_code == 201, answer.content
        run = TrainingRun.objects.get(pk=answer.json()["id"])
        assert run.follow_up["sample"]["prompts_version"] == prompts_version.pk


def test_a_version_that_is_still_being_frozen_cannot_follow(order, prompts_version):
    DatasetVersion.objects.filter(pk=prompts_version.pk).update(status="freezing")
    answer = order({"sample": {"prompts_version": str(prompts_version.public_id)}})
    assert answer.status_code == 422
    assert "not frozen yet" in answer.json()["error"]["message"]


def test_a_full_disk_before_the_start_is_said_and_the_run_can_be_retried(
    fake_trainer, sft_run, cast, monkeypatch
):
    fake_trainer(steps=2)

    def full(*_given, **_named):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(preparation.Preparation, "_write", full)
        run = leases.claim_run(run_id=sft_run.pk, worker="w")
        assert RunSupervisor(run).supervise() == Outcome.ENDED
    run.refresh_from_db()
    assert (run.status, run.error_code) == (RunStatus.FAILED, "disk_full")
    assert run.error_message == "The disk is full: make room, then retry."
    retry_run(run=run, acting_user=cast.admin)
    run = leases.claim_run(run_id=run.pk, worker="w")
    RunSupervisor(run).supervise()
    run.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED


def test_what_is_refused_later_is_tried_by_another_attempt(fake_trainer, sft_run, monkeypatch):
    fake_trainer(steps=50, pause=0.1)

    def stale(*_given, **_named):
        raise OSError(errno.ESTALE, "Stale file handle", "/srv/runs/events.jsonl")

    monkeypatch.setattr(supervision, "read_batch", stale)
    run = leases.claim_run(run_id=sft_run.pk, worker="w")
    supervisor = RunSupervisor(run)
    assert supervisor.supervise() == Outcome.GAVE_UP
    assert supervisor.child is not None and supervisor.child.poll() is not None, "its trainer is ended"
    run.refresh_from_db()
    assert (run.status, run.failures_in_a_row) == (RunStatus.QUEUED, 1)
    assert "Stale file handle" in run.events.last().data["message"]


def test_a_lease_lost_while_giving_up_is_lost_and_no_error(fake_trainer, sft_run, monkeypatch):
    """The other worker's run must not be touched by what this one does last."""
    fake_trainer(steps=2)
    monkeypatch.setattr(supervision, "end_predecessor", lambda folder: False)
    run = leases.claim_run(run_id=sft_run.pk, worker="w")
    TrainingRun.objects.filter(pk=run.pk).update(attempt=run.attempt + 1)
    assert RunSupervisor(run).supervise() == Outcome.LOST


def test_a_checkpoint_whose_files_and_manifest_were_exchanged_is_not_learnt_from(
    cast, fake_trainer, sft_version, checkpoint
):
    """Files fit their manifest, so that the trainer finds nothing wrong; the row knows another manifest."""
    folder = checkpoint_directory(checkpoint)
    shutil.rmtree(folder)

    def fill(target) -> None:
        (target / "model.safetensors").write_bytes(b"other weights")

    files.write_checkpoint(folder, fill, kind="causal_lm", step=1, stage="sft", metrics={}, base="")
    files.verify(folder)
    fake_trainer(steps=2)
    run = create_run(
        project=cast.project, stage="sft", hyperparameters={}, acting_user=cast.admin,
        inputs={"train_data": sft_version, "model": checkpoint},
    )  # fmt: skip
    assert RunSupervisor(leases.claim_run(run_id=run.pk, worker="w")).supervise() == Outcome.ENDED
    run.refresh_from_db()
    assert (run.status, run.error_code) == (RunStatus.FAILED, "damaged_checkpoint")
    assert "is not the one that was registered" in run.error_message
    assert "backup" in run.error_message


def test_what_was_removed_cannot_be_pinned(client, cast, checkpoint):
    Checkpoint.objects.filter(pk=checkpoint.pk).update(removed_at=timezone.now(), is_pinned=False)
    client.force_login(cast.admin)
    address = f"/api/projects/{cast.project.slug}/checkpoints/{checkpoint.pk}/"
    assert client.post(f"{address}pin/").status_code == 410
    assert client.post(f"{address}unpin/").status_code == 200
    checkpoint.refresh_from_db()
    assert checkpoint.is_pinned is False


class Upload:
    """A file that comes in two parts, with something happening between them."""

    def __init__(self, *parts: bytes, between=lambda: None) -> None:
        self.parts, self.between = list(parts), between

    def read(self, _size: int) -> bytes:
        if len(self.parts) == 1:
            self.between()
        return self.parts.pop(0) if self.parts else b""


def test_two_uploads_of_one_name_at_once_do_not_mix(cast, data_dir):
    def save(upload: Upload):
        return save_text(project=cast.project, name="book.txt", file=upload, acting_user=cast.admin)

    slow = Upload(b"slow ", b"text", between=lambda: save(Upload(b"fast ", b"text")))
    with pytest.raises(Conflict, match="another text"):
        save(slow)
    folder = texts_directory(cast.project)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"book.txt": b"fast text"}
