"""What is damaged, or over its KL budget, is named on the run's page and never used by itself."""

from __future__ import annotations

import pytest
from django.urls import reverse

from annotate.errors import Invalid
from training.models import Checkpoint, RunStatus, TrainingRun
from training.services import checkpoints, follow_ups, leases
from training.services.checkpoints import WholeCheckpoint, register_checkpoints
from training.services.locations import run_directory
from training.services.references import resolve_inputs
from training.services.round_steps import StepContext
from training.services.supervision import RunSupervisor

from .conftest import make_checkpoint

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


@pytest.fixture
def over(cast, data_dir) -> Checkpoint:
    """The final checkpoint of a PPO run with a budget; nothing is within it."""
    made = make_checkpoint(cast.project, stage="ppo", user=cast.admin)
    TrainingRun.objects.filter(pk=made.run_id).update(hyperparameters={"kl_budget": 0.05})
    measured = {"validation_reward": 1.0, "validation_kl": 4.4}
    Checkpoint.objects.filter(pk=made.pk).update(is_best=False, metrics=measured)
    return Checkpoint.objects.select_related("run__project").get(pk=made.pk)


def page_of(client, cast, run):
    client.force_login(cast.admin)
    return client.get(reverse("training:run_detail", args=[run.project.slug, run.number])).content.decode()


def test_a_damaged_checkpoint_is_an_event_and_named_on_the_page(
    fake_trainer, sft_run, cast, client, monkeypatch
):
    fake_trainer(steps=4, checkpoint_every=2)
    conclude = RunSupervisor._conclude

    def spoil(supervisor, status):
        (run_directory(sft_run) / "checkpoints/step-2/model.safetensors").write_bytes(b"weights of step X")
        return conclude(supervisor, status)

    monkeypatch.setattr(RunSupervisor, "_conclude", spoil)
    RunSupervisor(leases.claim_run(run_id=sft_run.pk, worker="test")).supervise()
    assert list(sft_run.checkpoints.values_list("step", flat=True)) == [4]
    (event,) = sft_run.events.filter(type="log", data__damaged_checkpoint="step-2")
    assert "model.safetensors does not match its digest; it is not kept" in event.data["message"]
    assert str(run_directory(sft_run)) not in event.data["message"]
    sft_run.refresh_from_db()
    assert sft_run.status == RunStatus.SUCCEEDED
    page = page_of(client, cast, sft_run)
    assert "The files of the checkpoint step-2 are damaged" in page


def test_nothing_over_the_budget_is_taken_by_itself(over):
    with pytest.raises(Invalid, match="stayed within its KL budget of 0.05 nats"):
        follow_ups.best_checkpoint(over.run)
    with pytest.raises(Invalid, match="KL budget"):
        resolve_inputs(over.project, "sample", {"checkpoints": [f"run:{over.run.number}"]})
    found = resolve_inputs(over.project, "sample", {"checkpoints": [f"run:{over.run.number}@{over.step}"]})
    assert list(found.values()) == [over]


def test_a_round_says_so_too(over, monkeypatch):
    monkeypatch.setattr(StepContext, "run", lambda self, kind: over.run)
    with pytest.raises(Invalid, match="KL budget"):
        StepContext.checkpoint(StepContext.__new__(StepContext), "ppo_run")


def test_what_was_measured_within_is_taken(over):
    Checkpoint.objects.filter(pk=over.pk).update(metrics={"validation_kl": 0.04})
    assert follow_ups.best_checkpoint(over.run) == over


def test_one_marked_in_former_times_is_not_taken_either(over):
    Checkpoint.objects.filter(pk=over.pk).update(is_best=True)
    with pytest.raises(Invalid, match="KL budget"):
        follow_ups.best_checkpoint(over.run)


def test_the_page_says_that_none_is_the_best(over, cast, client):
    assert "No checkpoint stayed within the KL budget" in page_of(client, cast, over.run)
    TrainingRun.objects.filter(pk=over.run.pk).update(hyperparameters={})
    assert "No checkpoint stayed within the KL budget" not in page_of(client, cast, over.run)


def test_a_result_that_calls_it_the_best_is_not_believed(over, monkeypatch):
    folder = checkpoints.checkpoint_directory(over)
    manifest = checkpoints.files.load_manifest(folder)
    manifest.metrics.update(validation_kl=4.4)
    whole = WholeCheckpoint(folder, manifest, over.manifest_sha256)
    monkeypatch.setattr(checkpoints, "_must_hold", lambda run: None)
    name = f"checkpoints/{folder.name}"
    register_checkpoints(over.run, [whole], {"best_checkpoint": name, "final_checkpoint": name})
    over.refresh_from_db()
    assert over.is_final and not over.is_best
