"""A DATA_DIR of the test's own, a trainer without torch, and rows to start from."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from django.utils import timezone

from labeling.models import Dataset, DatasetVersion, DatasetVersionStatus
from tests.factories import make_prompt
from training.models import Checkpoint, RunStatus, Stage, TrainingRun
from training.rlhf import checkpoints as files
from training.services.runs import create_run

FAKE_TRAINER = [sys.executable, str(Path(__file__).with_name("fake_trainer.py"))]


@pytest.fixture
def data_dir(tmp_path, settings) -> Path:
    settings.DATA_DIR = tmp_path
    settings.MODEL_DIRS = [str(tmp_path / "models")]
    (tmp_path / "models").mkdir()
    (tmp_path / "runs").mkdir()
    return tmp_path


@pytest.fixture
def fake_trainer(data_dir, settings):
    """Call it to say how the stand-in behaves: fake_trainer(steps=20, pause=0.1, end="die")."""
    settings.TRAINER_COMMAND = FAKE_TRAINER
    settings.TRAINING_LEASE_SECONDS = 4.0
    settings.TRAINING_GRACE_SECONDS = 1.0

    def behave(**script) -> None:
        (data_dir / "runs" / "script.json").write_text(json.dumps(script))

    return behave


def make_version(project, kind: str, splits: dict[str, list[dict]], name: str = "") -> DatasetVersion:
    """A ready dataset version with these canonical rows."""
    from labeling.services import dataset_files

    dataset = Dataset.objects.create(project=project, kind=kind, name=name or f"{kind} data")
    version = DatasetVersion.objects.create(
        dataset=dataset,
        number=1,
        status=DatasetVersionStatus.READY,
        recipe={},
        row_counts={split: len(rows) for split, rows in splits.items()},
        frozen_at=timezone.now(),
    )
    folder = dataset_files.folder_of(version)
    folder.mkdir(parents=True, exist_ok=True)  # windows of one site share their folder
    for split in ("train", "validation", "test"):
        lines = [json.dumps(row) + "\n" for row in splits.get(split, [])]
        (folder / f"{split}.jsonl").write_text("".join(lines))
    return version


def demonstration(number: int) -> dict:
    messages = [
        {"role": "user", "content": f"What is {number} plus 1?"},
        {"role": "assistant", "content": f"It is {number + 1}."},
    ]
    return {"id": f"d{number}", "prompt_id": f"p{number}", "messages": messages, "source": {}}


def comparison(number: int) -> dict:
    texts = [f"It is {number + 1}.", "I do not know.", "No."]
    return {
        "id": f"c{number}",
        "prompt_id": f"p{number}",
        "messages": [{"role": "user", "content": f"What is {number} plus 1?"}],
        "completions": [{"id": str(i), "text": text, "generator": ""} for i, text in enumerate(texts)],
        "ranks": [1, 2, 3],
        "margins": None,
        "source": {},
    }


@pytest.fixture
def sft_version(cast, data_dir) -> DatasetVersion:
    rows = [demonstration(number) for number in range(6)]
    return make_version(cast.project, "sft", {"train": rows[:4], "validation": rows[4:]})


@pytest.fixture
def comparison_version(cast, data_dir) -> DatasetVersion:
    rows = [comparison(number) for number in range(6)]
    return make_version(cast.project, "comparison", {"train": rows[:4], "validation": rows[4:]})


@pytest.fixture
def prompts_version(cast, data_dir) -> DatasetVersion:
    prompts = [make_prompt(cast.project) for _ in range(4)]
    rows = [{"id": str(p.pk), "prompt_id": str(p.pk), "messages": p.messages} for p in prompts]
    return make_version(cast.project, "prompts", {"train": rows[:3], "validation": rows[3:]})


@pytest.fixture
def sft_run(cast, sft_version) -> TrainingRun:
    """A queued SFT run from a base model."""
    return make_sft_run(cast, sft_version)


def make_sft_run(cast, version, **more) -> TrainingRun:
    return create_run(
        project=cast.project,
        stage=Stage.SFT,
        hyperparameters=more.pop("hyperparameters", {}),
        inputs={"train_data": version},
        base_model="base",
        acting_user=cast.admin,
        **more,
    )


def make_checkpoint(project, kind: str = "causal_lm", stage: str = "sft", user=None, **fields) -> Checkpoint:
    """A registered checkpoint of a succeeded run, with files."""
    from training.services.locations import data_dir as root

    number = TrainingRun.objects.filter(project=project).count() + 1
    run = TrainingRun.objects.create(
        project=project, number=number, stage=stage, status=RunStatus.SUCCEEDED, created_by=user, step=10
    )
    directory = f"checkpoints/{run.pk}"

    def fill(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"weights")
        (folder / "config.json").write_text("{}")
        (folder / "optimizer.safetensors").write_bytes(b"moments")

    folder = root() / directory
    files.write_checkpoint(
        folder, fill, kind=kind, step=10, stage=stage, metrics={"validation_loss": 0.5}, base=""
    )
    return Checkpoint.objects.create(
        run=run,
        project=project,
        kind=kind,
        step=10,
        directory=directory,
        manifest_sha256=files.digest(folder / files.MANIFEST)["sha256"],
        size_bytes=100,
        metrics={"validation_loss": 0.5},
        is_best=True,
        is_final=True,
        **fields,
    )


@pytest.fixture
def checkpoint(cast, data_dir) -> Checkpoint:
    return make_checkpoint(cast.project, user=cast.admin)


@pytest.fixture
def reward_checkpoint(cast, data_dir) -> Checkpoint:
    return make_checkpoint(cast.project, kind="reward_model", stage="reward", user=cast.admin)


def make_letters_model(folder: Path) -> Path:
    """A base model as far as the preview reads it: letters for tokens, and a file where weights would be."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    core.add_special_tokens(["<end>"])
    folder.mkdir(parents=True, exist_ok=True)  # windows of one site share their folder
    core.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_positions": 128}))
    (folder / "model.safetensors").write_bytes(b"never read")
    return folder
