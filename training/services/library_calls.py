"""Questions to the library that take seconds: a child process that reads a tokenizer and prints JSON."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from django.conf import settings

from annotate.errors import Invalid
from annotate.words import _

from .child import child_environment, trainer_command
from .locations import without_our_folders


def answer_of(command: str, options: list[str], *, data: Path, patience: float, field: str) -> Any:
    """What `python -m training.rlhf COMMAND` prints about `data`, read as JSON.

    Raises Invalid, on `field` of the form, with the library's own sentence where it refuses, and where it is
    not done in `patience` seconds.
    """
    asked = [*trainer_command(), command, "--data", str(data), *options]
    for name in settings.ALLOWED_HUB_MODELS:
        asked += ["--allow-hub-id", name]
    try:
        answer = subprocess.run(
            asked,
            cwd=settings.BASE_DIR,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience,
        )
    except subprocess.TimeoutExpired as error:
        raise Invalid(
            _("The tokens were not there after %(n)s seconds.") % {"n": f"{patience:.0f}"},
            hint="Does the model's chat template loop? On a busy machine, try again.",
        ) from error
    try:
        return json.loads(answer.stdout)
    except ValueError:
        lines = answer.stderr.strip().splitlines() or [f"the {command} ended without a word"]
        said = lines[-1].removeprefix(f"{command}: ").replace(f"{data}", data.stem)
        raise Invalid(without_our_folders(said)[:600], field=field) from None
