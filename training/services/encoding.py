"""What labeling asks about tokens: a model's tokenizer, the sizes of rows, rows as token ids.

What needs the model's chat template is asked of the library, in a child process.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import DatasetKind, DatasetVersion, Project
from labeling.services.export_encoders import ModelTokenizer, Speed
from training.models import Checkpoint
from training.rlhf.model_folders import UNBOUNDED, context_of

from .library_calls import answer_of, followed_answer_of
from .locations import check_base_model, checkpoint_directory, known_base_models
from .speeds import speeds_of
from .tokenizers import TOKENIZER

LONGEST = 1_000_000  # tokens of a row
PATIENCE_SECONDS = 3_600.0
MOST_CHOICES = 100
# What a tokenizer is made of, in model folders of any age; and what the model says of its context.
TOKENIZER_FILES = (
    TOKENIZER, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
    "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "merges.txt",
)  # fmt: skip


class TokenEncoder:
    """Options: `model` (a checkpoint's id, or a base model), `maximum_length`, `chat_template`."""

    def choices(self, project: Project) -> list[tuple[str, str]]:
        checkpoints = Checkpoint.objects.present().filter(project=project).select_related("run")
        found = [(str(each.pk), str(each)) for each in checkpoints.order_by("-created_at")[:MOST_CHOICES]]
        return found + [(name, name) for name in known_base_models()]

    def tokenizer(self, project: Project, model: str) -> ModelTokenizer:
        folder = Path(self._folder(project, model, "model"))
        if folder.is_absolute() and not folder.is_dir():
            raise Invalid(_("The files of “%(name)s” are not there.") % {"name": model[:200]}, field="model")
        checkpoint = _checkpoint(project, model)
        name = str(checkpoint) if checkpoint is not None else model
        if not folder.is_absolute():  # a hub id: which files it stands for only the library knows
            return ModelTokenizer(model, name, hashlib.sha256(model.encode()).hexdigest(), 0, None)
        digest = hashlib.sha256()
        for part in TOKENIZER_FILES:
            if (folder / part).is_file():
                digest.update(f"{part}\0".encode() + hashlib.sha256((folder / part).read_bytes()).digest())
        context = context_in(folder)
        digest.update(str(context).encode())
        file = folder / TOKENIZER
        return ModelTokenizer(model, name, digest.hexdigest(), context, file if file.is_file() else None)

    def measure(
        self, project: Project, model: str, files: Mapping[str, Path], tell: Callable[[int], None]
    ) -> dict[str, Any]:
        asked = ["--model", self._folder(project, model, "model")]
        for path in files.values():
            asked += ["--data", str(path)]
        found = followed_answer_of("sizes", asked, tell=tell, patience=PATIENCE_SECONDS, field="model")
        splits = {split: found["files"][path.stem] for split, path in files.items()}
        return {"context": found["context"], "splits": splits}

    def speeds(self, project: Project, kind: str, model: str) -> list[Speed]:
        return speeds_of(project, kind, model)

    def checked(self, version: DatasetVersion, options: dict[str, Any]) -> dict[str, Any]:
        if version.dataset.kind != DatasetKind.SFT:
            raise Invalid("Only demonstrations have tokens to learn one by one.", field="format")
        known = {"model": "", "maximum_length": LONGEST, "chat_template": ""}
        if unknown := set(options) - set(known):
            raise Invalid(
                _("%(format)s has no option “%(name)s”.") % {"format": "tokens", "name": min(unknown)},
                field="options",
                hint=_("It has %(names)s.") % {"names": ", ".join(known)},
            )
        chosen = known | options
        length = chosen["maximum_length"]
        if not isinstance(length, int) or isinstance(length, bool) or not 8 <= length <= LONGEST:
            raise Invalid(
                _("maximum_length is a number from 8 to %(most)s.") % {"most": f"{LONGEST:,}"},
                field="options",
            )
        if not isinstance(chosen["model"], str) or not isinstance(chosen["chat_template"], str):
            raise Invalid("model and chat_template are texts.", field="options")
        self._folder(version.dataset.project, chosen["model"])
        return chosen

    def encode(
        self, version: DatasetVersion, data: Path, out: Path, options: dict[str, Any]
    ) -> dict[str, int]:
        asked = ["--out", str(out), "--model", self._folder(version.dataset.project, options["model"])]
        asked += ["--maximum-length", str(options["maximum_length"])]
        if options["chat_template"]:
            template = out.with_suffix(".jinja")
            template.write_text(options["chat_template"], encoding="utf-8")
            asked += ["--chat-template-file", str(template)]
        return answer_of("encode", asked, data=data, patience=PATIENCE_SECONDS, field="options")

    @staticmethod
    def _folder(project: Project, model: str, field: str = "options") -> str:
        """The folder, or hub id, of the tokenizer. Raises Invalid for what is not this project's."""
        if not _is_id(model):
            return check_base_model(model)
        checkpoint = _checkpoint(project, model)
        if checkpoint is None:
            raise Invalid("There is no such checkpoint in this project.", field=field)
        return str(checkpoint_directory(checkpoint))


def _is_id(model: str) -> bool:
    try:
        uuid.UUID(model)
    except ValueError:
        return False
    return True


def _checkpoint(project: Project, model: str) -> Checkpoint | None:
    """The checkpoint of that id, if its files are kept; None for a base model too."""
    if not _is_id(model):
        return None
    return Checkpoint.objects.present().filter(project=project, pk=uuid.UUID(model)).first()


def context_in(folder: Path) -> int:
    """What the model's config.json says; 0 where it says nothing that can be read."""
    try:
        named = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return 0
    if not isinstance(named, dict):
        return 0
    found = context_of(SimpleNamespace(**named))
    return 0 if found == UNBOUNDED else found
