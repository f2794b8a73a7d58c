"""Who turns rows into token ids for an export: the training room, which registers itself here.

The web process loads no tokenizer of a model: the encoder runs the training library as a child process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from annotate.errors import Unavailable
from labeling.models import DatasetVersion, Project


class Encoder(Protocol):
    def choices(self, project: Project) -> list[tuple[str, str]]:
        """(value of the option `model`, what people call it)."""
        ...

    def checked(self, version: DatasetVersion, options: dict[str, Any]) -> dict[str, Any]:
        """The options with their defaults. Raises Invalid naming what there is not."""
        ...

    def encode(
        self, version: DatasetVersion, data: Path, out: Path, options: dict[str, Any]
    ) -> dict[str, int]:
        """Write the rows of `data` (canonical, JSON lines) to `out` as {"input_ids", "attention_mask",
        "labels"}; {"written", "too_long"}. Raises Invalid with a sentence."""
        ...


_encoders: list[Encoder] = []


def register_encoder(encoder: Encoder) -> None:
    """Call it in AppConfig.ready."""
    _encoders[:] = [encoder]


def encoder() -> Encoder:
    """Raises Unavailable on a site without a training room."""
    if not _encoders:
        raise Unavailable("This site has no tokenizers.")
    return _encoders[0]


def model_choices(project: Project) -> list[tuple[str, str]]:
    """The tokenizers that a tokenised export can be made with; none without a training room."""
    return _encoders[0].choices(project) if _encoders else []
