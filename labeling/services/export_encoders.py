"""Who knows tokenizers and turns rows into token ids: the training room, which registers itself here.

The web process loads no tokenizer of a model: the encoder runs the training library as a child process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from annotate.errors import Unavailable
from labeling.models import DatasetVersion, Project


@dataclass(frozen=True)
class ModelTokenizer:
    """The tokenizer of a model that this site knows."""

    value: str  # what names the model: a checkpoint's id, or a base model
    name: str  # what people call it
    digest: str  # SHA-256 of the tokenizer's files, its chat template and the model's context among them
    context: int  # tokens that the model reads at once; 0 where its files do not say
    file: Path | None  # tokenizer.json; None where there is none on this machine


@dataclass(frozen=True)
class Speed:
    """How fast a former run went."""

    name: str
    path: str  # its page
    per_second: float  # `unit`s that it trained on, the median over its steps
    unit: str  # "tokens", or "prompts" (of runs that answer them)
    epochs: float  # passes over its rows
    is_same_model: bool  # whether it started from the model asked about


class Encoder(Protocol):
    def tokenizer(self, project: Project, model: str) -> ModelTokenizer:
        """The tokenizer of a model by its `value`. Raises Invalid for what is not this project's, or gone."""
        ...

    def measure(
        self, project: Project, model: str, files: Mapping[str, Path], tell: Callable[[int], None]
    ) -> dict[str, Any]:
        """{"context", "splits": {name: sizes as training.rlhf.sizes has them}} of canonical rows;
        `tell(rows so far)`. Raises Invalid with a sentence."""
        ...

    def speeds(self, project: Project, kind: str, model: str) -> list[Speed]:
        """Former runs of the stage that trains on datasets of this kind, the newest first."""
        ...

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
    """Models whose tokenizers can be chosen, as `Encoder.choices`; none without a training room."""
    return _encoders[0].choices(project) if _encoders else []
