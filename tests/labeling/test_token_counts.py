"""Tokens of an answer: by the project's own tokenizer where it has one, else a stated estimate."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from labeling.services import token_counts
from labeling.services.preparation_rows import options_for
from labeling.services.token_counts import count_tokens, estimate
from training.models import Checkpoint, CheckpointKind, TrainingRun
from training.services.locations import checkpoint_directory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_remembered():
    token_counts._found.clear()


@pytest.fixture
def data_dir(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    return tmp_path


def keep_checkpoint(project, kind=CheckpointKind.CAUSAL_LM) -> Checkpoint:
    run = TrainingRun.objects.create(project=project, number=TrainingRun.objects.count() + 1, stage="sft")
    checkpoint = Checkpoint.objects.create(
        run=run, project=project, kind=kind, step=1, directory=f"runs/{run.pk}/1", manifest_sha256="0" * 64
    )
    folder = checkpoint_directory(checkpoint)
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.WordLevel({"Paris": 0, "is": 1, "[UNK]": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return checkpoint


def test_the_projects_own_tokenizer_counts(cast, data_dir):
    keep_checkpoint(cast.project)
    counted = count_tokens(project=cast.project, text="Paris is big")
    assert (counted.count, counted.is_estimate) == (3, False)


def test_another_projects_tokenizer_and_a_reward_models_do_not(cast, data_dir):
    keep_checkpoint(cast.other_project)
    keep_checkpoint(cast.project, CheckpointKind.REWARD_MODEL)
    assert count_tokens(project=cast.project, text="Paris is big").is_estimate


def test_a_damaged_file_leads_to_an_estimate(cast, data_dir):
    folder = checkpoint_directory(keep_checkpoint(cast.project))
    (folder / "tokenizer.json").write_text("{")
    assert count_tokens(project=cast.project, text="Paris").is_estimate


def test_the_base_model_of_the_newest_run_stands_in(cast, data_dir, tmp_path):
    checkpoint = keep_checkpoint(cast.other_project)
    TrainingRun.objects.create(
        project=cast.project, number=9, stage="sft", base_model=str(checkpoint_directory(checkpoint))
    )
    assert count_tokens(project=cast.project, text="Paris is big").count == 3


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("abcd", 1), ("abcde", 2), ("東京", 2)])
def test_the_estimate_by_hand(text, tokens):
    assert estimate(text) == tokens


def test_counting_loads_neither_torch_nor_transformers():
    program = (
        "import sys, tokenizers; from tokenizers import Tokenizer; "
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert answer.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("config", "context"),
    [
        ('{"max_position_embeddings": 128}', 128),
        ('{"n_positions": 64}', 64),
        ('{"n_positions": "many"}', 2048),
        ("[]", 2048),
        ("{", 2048),
        (None, 2048),
    ],
)
def test_rows_are_held_against_the_context_of_the_model_whose_tokens_are_counted(
    cast, data_dir, config, context
):
    assert options_for(cast.project).context == 2048
    token_counts._found.clear()
    checkpoint = keep_checkpoint(cast.project)
    if config is not None:
        (checkpoint_directory(checkpoint) / "config.json").write_text(config)
    assert options_for(cast.project).context == context
    assert options_for(cast.project, context=9).context == 9
