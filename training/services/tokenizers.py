"""Which tokenizer counts the tokens of a project's texts: that of its newest language model."""

from __future__ import annotations

from pathlib import Path

from labeling.models import Project
from training.models import Checkpoint, CheckpointKind, TrainingRun

from .locations import checkpoint_directory

TOKENIZER = "tokenizer.json"
LOOKED_AT = 5  # newest checkpoints: one may have been kept without it


def tokenizer_of(project: Project) -> Path | None:
    """The file, from the newest kept checkpoint or else from the base model of the newest run. Two
    queries.
    """
    newest = Checkpoint.objects.present().filter(project=project, kind=CheckpointKind.CAUSAL_LM)
    folders = [checkpoint_directory(checkpoint) for checkpoint in newest[:LOOKED_AT]]
    based = TrainingRun.objects.filter(project=project).exclude(base_model="").order_by("-created_at")
    folders += [Path(name) for name in based.values_list("base_model", flat=True)[:1]]
    files = (folder / TOKENIZER for folder in folders if folder.is_absolute())
    return next((file for file in files if file.is_file()), None)
