"""A checkpoint's export is ordered on its page, by API and by command, and downloaded once it was checked."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from annotate.errors import Conflict, Gone, Invalid
from training import tasks
from training.models import RunStatus, Stage, TrainingRun
from training.services.exporting import export_checkpoint
from training.services.exports import open_export
from training.services.locations import checkpoint_directory, run_directory

from .conftest import make_checkpoint

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]
TINY_GPT2 = {"model_type": "gpt2", "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"]}
BYTE_LEVEL = {"model": {"type": "BPE"}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False}}


@pytest.fixture
def gpt2(cast, checkpoint):
    return shaped(checkpoint)


def shaped(checkpoint, **config):
    """A checkpoint whose folder tells the shape of a model."""
    folder = checkpoint_directory(checkpoint)
    (folder / "config.json").write_text(json.dumps(TINY_GPT2 | config))
    (folder / "tokenizer.json").write_text(json.dumps(BYTE_LEVEL))
    return checkpoint


@pytest.fixture
def finished(cast, gpt2, fake_trainer) -> TrainingRun:
    fake_trainer(steps=1)
    run = export_checkpoint(
        project=cast.project,
        checkpoint=gpt2,
        values={"format": "gguf", "license": "mit"},
        acting_user=cast.admin,
    )
    tasks.execute_run(str(run.pk))
    run.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED, run.error_message
    return run


def unpacked(pieces) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        return {each.name: archive.extractfile(each).read() for each in archive.getmembers()}


def test_the_button_prepares_an_export_and_its_page_offers_the_file(client, cast, gpt2, fake_trainer):
    fake_trainer(steps=1)
    client.force_login(cast.admin)
    page = reverse("training:checkpoint_detail", args=[cast.project.slug, gpt2.pk])
    assert "Prepare the export" in client.get(page).content.decode()
    answer = client.post(
        reverse("training:checkpoint_export", args=[cast.project.slug, gpt2.pk]),
        {"format": "gguf", "weights": "float16", "license": "mit", "name": "Tiny"},
    )
    run = TrainingRun.objects.get(stage=Stage.EXPORT)
    assert answer.status_code == 302 and answer.url.endswith(f"/runs/{run.number}/")
    tasks.execute_run(str(run.pk))
    text = client.get(answer.url).content.decode()
    assert "it is the same model" in text and "64 of 64 likeliest tokens are the same" in text
    assert "ab" * 32 in text
    download = reverse("training:run_export", args=[cast.project.slug, run.number])
    assert download in text and download in client.get(page).content.decode()
    files = unpacked(client.get(download).streaming_content)
    assert files[f"{cast.project.slug}-export-{run.number}-gguf/model.gguf"] == b"weights"
    assert cast.project.audit_events.filter(action="export.downloaded", actor=cast.admin).count() == 1


def test_the_card_is_told_runs_and_frozen_versions_but_nobody(cast, gpt2, sft_version, fake_trainer):
    fake_trainer(steps=1)
    type(sft_version).objects.filter(pk=sft_version.pk).update(sha256="cd" * 32)
    gpt2.run.inputs.create(role="train_data", dataset_version=sft_version)
    run = export_checkpoint(project=cast.project, checkpoint=gpt2, values={}, acting_user=cast.admin)
    tasks.execute_run(str(run.pk))
    told = json.loads((run_directory(run) / "inputs" / "card.json").read_text())["lineage"]
    assert [(step["stage"], step["step"], step["manifest_sha256"]) for step in told] == [
        ("sft", 10, gpt2.manifest_sha256)
    ]
    assert told[0]["data"] == [
        {
            "role": "Training data",
            "name": str(sft_version),
            "rows": sft_version.row_count,
            "sha256": "cd" * 32,
        }
    ]
    assert cast.admin.email not in json.dumps(told) and cast.annotator.email not in json.dumps(told)


@pytest.mark.parametrize(
    ("kind", "shape", "values", "words"),
    [
        ("causal_lm", {"model_type": "gptj"}, {"format": "gguf"}, "not for gptj"),
        ("causal_lm", {"activation_function": "relu"}, {"format": "gguf"}, "activation_function"),
        (
            "reward_model",
            {"architectures": ["GPT2ForSequenceClassification"]},
            {"format": "gguf"},
            "head has no place",
        ),
        ("causal_lm", {}, {"format": "onnx", "weights": "float16"}, "must be float32 for onnx"),
        ("causal_lm", {}, {"license": "no such thing!"}, "small letters"),
    ],
)
def test_what_cannot_be_held_is_refused_before_anything_is_queued(
    client, cast, data_dir, kind, shape, values, words
):
    found = shaped(make_checkpoint(cast.project, kind=kind, user=cast.admin), **shape)
    with pytest.raises(Invalid, match=words):
        export_checkpoint(project=cast.project, checkpoint=found, values=values, acting_user=cast.admin)
    client.force_login(cast.admin)
    answer = client.post(
        reverse("training:checkpoint_export", args=[cast.project.slug, found.pk]),
        {"format": "safetensors", "weights": "float32", "license": "other", **values},
    )
    assert answer.status_code == 422 and words in answer.content.decode()
    assert not TrainingRun.objects.filter(stage=Stage.EXPORT).exists()


def test_by_api(client, cast, gpt2, fake_trainer):
    fake_trainer(steps=1)
    client.force_login(cast.admin)
    base = f"/api/projects/{cast.project.slug}"
    answer = client.post(
        f"{base}/checkpoints/{gpt2.pk}/export/",
        {"format": "onnx", "license": "mit"},
        content_type="application/json",
    )
    assert answer.status_code == 201, answer.content
    assert answer.json()["stage"] == "export"
    address = f"{base}/runs/{answer.json()['id']}/export/"
    assert client.get(address).json()["error"]["code"] == "nothing_exported"
    tasks.execute_run(answer.json()["id"])
    assert any(name.endswith("/model.onnx") for name in unpacked(client.get(address).streaming_content))
    wrong = client.post(
        f"{base}/checkpoints/{gpt2.pk}/export/", {"format": "pickle"}, content_type="application/json"
    )
    assert wrong.status_code == 422


def test_by_command(cast, gpt2, fake_trainer):
    said = io.StringIO()
    order = ["launch_run", "--project", cast.project.slug, "--stage", "export", "--model", str(gpt2.pk)]
    call_command(*order, "--set", "format=gguf", stdout=said)
    assert TrainingRun.objects.get(stage=Stage.EXPORT).hyperparameters["format"] == "gguf"
    shaped(gpt2, model_type="gptj")
    with pytest.raises(CommandError, match="not for gptj"):
        call_command(*order, "--set", "format=gguf", stdout=said)


def test_a_damaged_or_removed_export_is_not_given_away(cast, finished, data_dir):
    folder = run_directory(finished) / "model"
    (folder / "model.gguf").write_bytes(b"WEIGHTS")
    with pytest.raises(Conflict, match="The export is damaged: model.gguf") as refused:
        open_export(run=finished, acting_user=cast.admin)
    assert str(data_dir) not in refused.value.message
    (folder / "manifest.json").unlink()
    with pytest.raises(Gone):
        open_export(run=finished, acting_user=cast.admin)


def test_a_run_of_another_stage_has_exported_nothing(cast, checkpoint):
    with pytest.raises(Conflict, match="has exported nothing"):
        open_export(run=checkpoint.run, acting_user=cast.admin)
