"""Which tokenizer counts the tokens of a project's texts: that of its newest language model."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from labeling.models import Project
from training.models import Checkpoint, CheckpointKind, TrainingRun

from .locations import checkpoint_directory

TOKENIZER = "tokenizer.json"
LARGEST = 64 * 2**20  # bytes of a tokenizer that is read here
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


@lru_cache(maxsize=8)
def load_tokenizer(path: str) -> Any:
    """What splits text, without any template; None where this file is none that can be read."""
    from tokenizers import Tokenizer  # only where text is split

    if Path(path).stat().st_size > LARGEST:
        return None
    try:
        return Tokenizer.from_file(path)
    except Exception:  # noqa: BLE001 - the library raises plain Exception; the run says what is wrong with it
        return None
