"""What an evaluation asks of a model, checked before it is queued."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from annotate.errors import Invalid
from training.models import Checkpoint, RunInputRole, Stage
from training.rlhf.errors import ConfigError
from training.rlhf.model_folders import context_of, room_beside

from .locations import checkpoint_directory


def fitted_answers(
    stage: str, values: dict[str, Any], *, chosen: dict[str, Any], sources: Sequence[tuple[str, Any]]
) -> dict[str, int]:
    """Answers that leave room for a prompt: {"max_new_tokens"} where others are needed.

    What somebody chose is not changed: Invalid says what fits. A default gives way, to half of the context.
    """
    roles = {str(role): source for role, source in sources}
    model = roles.get(str(RunInputRole.MODEL))
    # Safety prompts are always answered; they may also be a list, which is no input.
    asks = RunInputRole.PROMPTS in roles or RunInputRole.DEMONSTRATIONS not in roles or values.get("answers")
    if stage != Stage.EVALUATE or not isinstance(model, Checkpoint) or not asks:
        return {}
    context = _context(model)
    try:
        room_beside(values["max_new_tokens"], context)
    except ConfigError as error:
        if "max_new_tokens" not in chosen:
            return {"max_new_tokens": context // 2}
        raise Invalid(error.message, field=error.field, code=error.code) from error
    return {}


def _context(checkpoint: Checkpoint) -> int:
    try:
        config = json.loads((checkpoint_directory(checkpoint) / "config.json").read_bytes())
    except (OSError, ValueError):
        config = {}  # the run itself says what is wrong with the folder
    return context_of(SimpleNamespace(**config))
