"""A chat template is foreign code: first a process of its own tries it on short conversations.

That process has so much processor time and memory and no more, so that a template which loops for ever, in
one operation even, or fills the memory ends there, whichever thread asks. Loads no torch.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from training.rlhf.errors import ModelFolderError

CHILD = Path(__file__).with_name("template_child.py")
SECONDS = 5.0  # of the processor
MEMORY = 2**30  # bytes
MOST_CHARACTERS = 200_000
PATIENCE = 120.0  # seconds of the clock; beyond, nothing is known, and limits on rendering must do
ADVICE = "mend it, or give another (chat_template)"


def check_template(template: object, name: str = "the model's chat template") -> None:
    """ModelFolderError where the template loops or grows. Other faults are told when it is used, with the
    row."""
    if isinstance(template, str) and template and (problem := _problem_of(template, SECONDS)):
        raise ModelFolderError(f"{name} {problem}; {ADVICE}")


@lru_cache(maxsize=256)
def _problem_of(template: str, seconds: float) -> str:
    """What is wrong with it, in words; empty where nothing is."""
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
    except subprocess.TimeoutExpired:
        return ""
    if ended.returncode == -signal.SIGPROF:
        return f"cannot render a short conversation (it takes longer than {seconds:g} seconds: does it loop?)"
    found: dict[str, Any] = json.loads(ended.stdout) if ended.returncode == 0 else {"problem": "memory"}
    if found.get("problem"):
        return f"needs more than {MEMORY // 2**30} GiB of memory for a short conversation"
    if found["characters"] > MOST_CHARACTERS:
        return f"makes more than {MOST_CHARACTERS:,} characters of a short conversation"
    return ""
