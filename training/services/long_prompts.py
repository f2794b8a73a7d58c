"""Prompts that are too long for a run, counted under the model's own template before a run is queued.

The count is asked of a process of its own (training.rlhf.prompt_lengths): some tenths of a second for some
thousand prompts, no more than SECONDS of the processor. What it cannot say, of a model on the hub or one
without a tokenizer.json, of files over MOST_BYTES, in the middle of a transaction (a round's next step, what
follows a run by itself), where it is not done in time or two others are at it, is left to the run, which ends
before its first step.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import DatasetVersion, Prompt
from labeling.services.datasets import split_path
from training.models import Checkpoint, RunInputRole, Stage
from training.rlhf.template_styles import OWN, template_of

from .child import child_environment
from .encoding import TOKENIZER_FILES, context_in
from .library_calls import places
from .locations import checkpoint_directory

log = structlog.get_logger(__name__)
MOST_BYTES = 64 * 2**20
SECONDS = 5.0  # of the processor, for one model
PATIENCE = 20.0  # of the clock
PLACE_SECONDS = 3.0  # until others who ask the library are done
TRAIN = "train"
LEAST_RESPONSE = 2  # a token and the stop token: the least there is to learn

Sources = list[tuple[str, Any]]


@dataclass(frozen=True)
class _Asked:
    """What the process is asked; `state` is that of the model's files, so that an answer is not outlived."""

    model: str
    state: tuple[tuple[str, int], ...]
    files: tuple[str, ...]
    most: int
    until_one_fits: bool
    chat_template: str = ""


class _Unknown(Exception):
    """The process could not say."""


def refuse_long_prompts(
    stage: str, values: dict[str, Any], sources: Sources, *, base_model: str, options: dict[str, Any]
) -> None:
    """Raises Invalid where a run would end for prompts that are too long: all of them where it leaves such
    rows out, else any. Within a transaction nothing is counted: nobody waits for a process with rows locked.
    """
    if transaction.get_connection().in_atomic_block:
        return
    if stage == Stage.SAMPLE:
        _refuse_of_sampling(values, sources, options)
        return
    if stage not in (Stage.SFT, Stage.REWARD, Stage.PPO):
        return
    field = RunInputRole.PROMPTS if stage == Stage.PPO else RunInputRole.TRAIN_DATA
    version = next((source for role, source in sources if role == field), None)
    folder = _model_folder(sources, base_model)
    if folder is None or not (context := context_in(folder)) or not isinstance(version, DatasetVersion):
        return
    if stage == Stage.PPO:
        room = _require_room(context, values, "maximum_new_tokens")
        limit = most = min(values["maximum_prompt_length"], room)
    else:
        limit = min(values["maximum_length"], context)
        most = limit - LEAST_RESPONSE
    refuses_any = values.get("over_long") == "refuse"
    files = _files_of(version, [TRAIN])
    found = _count(folder, files, most, until_one_fits=not refuses_any, template=_template(stage, values))
    if not found or not found["over"]:
        return
    if found["is_all"] and found["over"] == found["rows"]:
        raise Invalid(
            _("%(source)s: every prompt is longer than the %(limit)s tokens that this run reads.")
            % {"source": version, "limit": limit},
            code="bad_rows",
            field=field,
            hint=_("Shorten them and freeze a new version, or allow more tokens if the model reads more."),
        )
    if refuses_any:
        raise Invalid(
            _(
                "%(source)s, row %(row)s of the training rows: the prompt alone has more than %(limit)s "
                "tokens, so that no response token is left."
            )
            % {"source": version, "row": found["first"], "limit": limit},
            code="bad_rows",
            field=field,
            hint=_("Shorten it and freeze a new version, or choose over_long = drop."),
        )


def _refuse_of_sampling(values: dict[str, Any], sources: Sources, options: dict[str, Any]) -> None:
    """Each checkpoint answers each prompt, and one that is too long ends the run. However many checkpoints
    there are, somebody waits no longer than for two: those that are left then are not looked into."""
    version = next((source for role, source in sources if role == RunInputRole.PROMPTS), None)
    until = time.monotonic() + PATIENCE
    for checkpoint in (source for role, source in sources if role == RunInputRole.SAMPLE_FROM):
        folder = checkpoint_directory(checkpoint)
        if not (context := context_in(folder)):
            continue
        room = _require_room(context, values, "max_new_tokens")
        most = min(values["maximum_prompt_length"] or room, room)
        if time.monotonic() > until:
            continue
        if version is not None:
            found = _count(folder, _files_of(version, options.get("splits") or [TRAIN]), most)
        else:
            with _written(options.get("prompt_ids") or []) as files:
                found = _count(folder, files, most)
        if found and found["over"]:
            raise Invalid(
                _(
                    "Too long for %(model)s, which reads %(most)s tokens beside the answer: %(over)s of "
                    "%(rows)s prompts; the longest has %(longest)s tokens."
                )
                % {"model": checkpoint, "most": most, **found},
                code="bad_rows",
                field=RunInputRole.PROMPTS,
                hint=_("Shorten them or leave them out, or lower max_new_tokens."),
            )


def _require_room(context: int, values: dict[str, Any], name: str) -> int:
    """Tokens left for a prompt beside an answer."""
    if values[name] < context:
        return int(context - values[name])
    raise Invalid(
        _("The model reads %(context)s tokens: an answer of %(new)s leaves none for a prompt.")
        % {"context": context, "new": values[name]},
        field=name,
        hint=_("Lower it to %(fits)s, say.") % {"fits": max(1, context // 2)},
    )


def _count(
    folder: Path, files: Sequence[str], most: int, *, until_one_fits: bool = False, template: str = ""
) -> dict[str, Any] | None:
    """As prompt_lengths.Lengths; None where it cannot be told here."""
    if not files:
        return None
    present = (folder / name for name in (*TOKENIZER_FILES, "config.json"))
    state = tuple((path.name, path.stat().st_mtime_ns) for path in present if path.is_file())
    try:
        return _answer(_Asked(str(folder), state, tuple(files), most, until_one_fits, template))
    except _Unknown as error:
        log.info("prompts_not_counted", folder=str(folder), cause=str(error)[-300:])
        return None


@lru_cache(maxsize=256)
def _answer(asked: _Asked) -> dict[str, Any]:
    """Frozen files never change, and one that was written for the question has a name of its own."""
    question = {name: value for name, value in vars(asked).items() if name != "state"}
    if not places.acquire(timeout=PLACE_SECONDS):
        raise _Unknown("others are at it")
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "training.rlhf.prompt_lengths"],
            cwd=settings.BASE_DIR,
            env=child_environment(),
            input=json.dumps(question | {"seconds": SECONDS}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        found: dict[str, Any] = json.loads(ended.stdout)
    except (subprocess.TimeoutExpired, OSError, ValueError) as error:
        raise _Unknown(str(error)) from error
    finally:
        places.release()
    if "unknown" in found:
        raise _Unknown(found["unknown"])
    return found


def _template(stage: str, values: dict[str, Any]) -> str:
    """What was chosen in place of the model's own."""
    if stage != Stage.SFT:
        return ""
    named = {name: values.get(name) or "" for name in ("separator", "stop_sequence", "chat_template")}
    return template_of(values.get("template") or OWN, **named)


def _files_of(version: DatasetVersion, splits: Iterable[str]) -> list[str]:
    """Of the splits that have rows; none where they are too large to be looked at meanwhile."""
    paths = [split_path(version=version, split=split) for split in splits if version.row_counts.get(split)]
    there = all(path.is_file() for path in paths)
    return [str(path) for path in paths] if there and sum(map(_size, paths)) <= MOST_BYTES else []


def _size(path: Path) -> int:
    return path.stat().st_size


@contextmanager
def _written(prompt_ids: Sequence[int]) -> Iterator[list[str]]:
    """The prompts as a file, in their order."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        for start in range(0, len(prompt_ids), 500):
            chunk = prompt_ids[start : start + 500]
            found = Prompt.objects.in_bulk(chunk)
            rows = ({"messages": found[pk].messages} for pk in chunk if pk in found)
            file.writelines(json.dumps(row) + "\n" for row in rows)
        file.flush()
        yield [file.name] if file.tell() <= MOST_BYTES else []


def _model_folder(sources: Sources, base_model: str) -> Path | None:
    """Of the model that reads the rows; None for a name on the hub."""
    for role, source in sources:
        if role == RunInputRole.MODEL and isinstance(source, Checkpoint):
            return checkpoint_directory(source)
    folder = Path(base_model)
    return folder if base_model and folder.is_absolute() else None
