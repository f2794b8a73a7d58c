"""Tokenised exports of dataset versions: `python -m training.rlhf encode`, for labeling's prepared files."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import DatasetKind, DatasetVersion, Project
from training.models import Checkpoint

from .library_calls import answer_of
from .locations import check_base_model, checkpoint_directory, known_base_models

LONGEST = 1_000_000  # tokens of a row
PATIENCE_SECONDS = 3_600.0
MOST_CHOICES = 100


class TokenEncoder:
    """Options: `model` (a checkpoint's id, or a base model), `maximum_length`, `chat_template`."""

    def choices(self, project: Project) -> list[tuple[str, str]]:
        checkpoints = Checkpoint.objects.filter(project=project).select_related("run")
        found = [(str(each.pk), str(each)) for each in checkpoints.order_by("-created_at")[:MOST_CHOICES]]
        return found + [(name, name) for name in known_base_models()]

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
    def _folder(project: Project, model: str) -> str:
        """The folder, or hub id, of the tokenizer. Raises Invalid for what is not this project's."""
        try:
            checkpoint = Checkpoint.objects.filter(project=project, pk=uuid.UUID(model)).first()
        except ValueError:
            return check_base_model(model)
        if checkpoint is None:
            raise Invalid("There is no such checkpoint in this project.", field="options")
        return str(checkpoint_directory(checkpoint))
