"""Questions to the library that take seconds: a child process that reads a tokenizer and prints JSON."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from annotate.errors import Invalid
from annotate.words import _

from .child import child_environment, trainer_command
from .locations import without_our_folders

# Children at a time that answer a waiting page: each takes some 300 MB. Whoever begins one takes a place.
places = threading.BoundedSemaphore(2)


def answer_of(command: str, options: list[str], *, data: Path, patience: float, field: str) -> Any:
    """What `python -m training.rlhf COMMAND` prints about `data`, read as JSON.

    Raises Invalid, on `field` of the form, with the library's own sentence where it refuses, and where it is
    not done in `patience` seconds.
    """
    asked = ["--data", str(data), *options]
    try:
        answer = subprocess.run(
            _command(command, asked),
            cwd=settings.BASE_DIR,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience,
        )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(patience) from error
    try:
        return json.loads(answer.stdout)
    except ValueError:
        raise _refusal(command, answer.stderr, field, data) from None


def followed_answer_of(
    command: str, options: list[str], *, tell: Callable[[int], None], patience: float, field: str
) -> Any:
    """As `answer_of`, of a command that says {"done": rows} now and then: `tell` is called with each.

    Raises Invalid as it does; a child that is over its time is ended.
    """
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            _command(command, options),
            cwd=settings.BASE_DIR,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        is_late = threading.Event()

        def give_up() -> None:
            is_late.set()
            child.kill()

        timer = threading.Timer(patience, give_up)
        timer.start()
        found: Any = None
        try:
            for line in child.stdout or ():
                found = json.loads(line)
                if isinstance(found, dict) and set(found) == {"done"}:
                    tell(found["done"])
        except ValueError:
            found = None
        finally:
            timer.cancel()
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
        if is_late.is_set():
            raise _too_slow(patience)
        if not isinstance(found, dict) or set(found) == {"done"}:
            errors.seek(0)
            raise _refusal(command, errors.read(), field)
        return found


def _command(command: str, options: list[str]) -> list[str]:
    asked = [*trainer_command(), command, *options]
    for name in settings.ALLOWED_HUB_MODELS:
        asked += ["--allow-hub-id", name]
    return asked


def _too_slow(patience: float) -> Invalid:
    return Invalid(
        _("The library had not answered after %(n)s seconds.") % {"n": f"{patience:.0f}"},
        hint="Does the model's chat template loop? On a busy machine, try again.",
    )


def _refusal(command: str, said: str, field: str, data: Path | None = None) -> Invalid:
    """The library's own sentence, without the places of our folders."""
    lines = said.strip().splitlines() or [f"the {command} ended without a word"]
    sentence = lines[-1].removeprefix(f"{command}: ")
    if data is not None:
        sentence = sentence.replace(f"{data}", data.stem)
    return Invalid(without_our_folders(sentence)[:600], field=field)
