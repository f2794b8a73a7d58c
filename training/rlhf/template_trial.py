"""A chat template is foreign code: first a process of its own tries it on short conversations.

That process has so much processor time and memory and no more, so that a template which loops for ever, in
one operation even, or fills the memory ends there, whichever thread asks. Loads no torch.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from training.rlhf.errors import ModelFolderError

log = logging.getLogger(__name__)
CHILD = Path(__file__).with_name("template_child.py")
SECONDS = 5.0  # of the processor
MEMORY = 2**30  # bytes
MOST_CHARACTERS = 200_000
PATIENCE = 120.0  # seconds of the clock; beyond, nothing is known, and limits on rendering must do
DIED_OF_MEMORY = (-signal.SIGABRT, -signal.SIGSEGV)  # what a C library does where it gets no more
ADVICE = "mend it, or give another (chat_template)"


def check_template(template: object, name: str = "the model's chat template") -> None:
    """ModelFolderError where the template loops or grows. Other faults are told when it is used, with the
    row. `template`: a text, or several by name, as a tokenizer may have them.
    """
    for each in template.values() if isinstance(template, dict) else [template]:
        if isinstance(each, str) and each and (problem := _problem_of(each)):
            raise ModelFolderError(f"{name} {problem}; {ADVICE}")


def _problem_of(template: str) -> str:
    """What is wrong with it, in words; empty where nothing is, or where it could not be tried."""
    try:
        return _tried(template, SECONDS)
    except Untried as error:
        log.warning("a chat template could not be tried: %s", error)
        return ""


class Untried(Exception):
    """The trial itself failed. Nothing is known, and the next one who asks tries anew."""


@lru_cache(maxsize=256)
def _tried(template: str, seconds: float) -> str:
    """As `_problem_of`. Raises Untried."""
    asked = {"template": template, "seconds": seconds, "memory": MEMORY, "most": MOST_CHARACTERS}
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    try:
        ended = subprocess.run(
            [sys.executable, "-I", str(CHILD)],
            input=json.dumps(asked),
            env=kept,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise Untried(str(error)) from error
    if ended.returncode == -signal.SIGPROF:
        return f"cannot render a short conversation (it takes longer than {seconds:g} seconds: does it loop?)"
    if ended.returncode in DIED_OF_MEMORY:
        found: dict[str, Any] = {"problem": "memory"}
    elif ended.returncode != 0:
        raise Untried(f"exit {ended.returncode}: {ended.stderr.strip()[-300:]}")
    else:
        found = json.loads(ended.stdout)
    if found.get("problem"):
        return f"needs more than {MEMORY // 2**30} GiB of memory for a short conversation"
    if found["characters"] > MOST_CHARACTERS:
        return f"makes more than {MOST_CHARACTERS:,} characters of a short conversation"
    return ""
