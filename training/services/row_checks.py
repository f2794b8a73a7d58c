"""Rows that cannot train, seen before a run is queued: the trainer refuses them too, and so do form, API and
command, as far as that needs no model.

Read are frozen files, which never change, so what was found is remembered. What would take long is left to
the run itself: files over MOST_BYTES, more than MOST_COUNTED long prompts, and all that only the model's
template can tell. Tokens are those of the last turn alone, which every template writes out, so a prompt that
is called too long is; one that is not may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import DatasetVersion
from labeling.services.datasets import open_split, split_path
from training.models import Checkpoint, RunInputRole, Stage

from .encoding import context_in
from .locations import checkpoint_directory
from .rankings import ranking_of
from .tokenizers import TOKENIZER, load_tokenizer

MOST_BYTES = 64 * 2**20
MOST_COUNTED = 1_000
SLACK = 8  # tokens: what is written around a turn may join its first and its last letters
TRAIN = "train"

Sources = list[tuple[str, Any]]


def check_rows(stage: str, values: dict[str, Any], sources: Sources, base_model: str) -> None:
    """Raises Invalid where no run on these rows could take its first step, or a row would end it before."""
    learnt = RunInputRole.PROMPTS if stage == Stage.PPO else RunInputRole.TRAIN_DATA
    if stage in (Stage.SFT, Stage.REWARD, Stage.PPO):
        for role, source in sources:
            if role in (learnt, RunInputRole.MIX_DATA):
                refuse_empty_splits(source, (TRAIN,), field=role)
    versions = {
        role: source
        for role, source in sources
        if isinstance(source, DatasetVersion) and source.row_counts.get(TRAIN) and _is_small(source)
    }
    if stage == Stage.SFT:
        for role in (RunInputRole.TRAIN_DATA, RunInputRole.MIX_DATA):
            if role in versions:
                _refuse_empty(role, versions[role])
    rows = versions.get(learnt)
    is_alone = RunInputRole.MIX_DATA not in {role for role, _source in sources}
    if stage == Stage.REWARD and rows is not None and values["labels"] == "ranks" and is_alone:
        _refuse_without_preference(rows)
    if stage in (Stage.SFT, Stage.REWARD, Stage.PPO) and rows is not None:
        _refuse_long(stage, values, rows, _model_folder(sources, base_model))


def refuse_empty_splits(version: DatasetVersion, splits: Sequence[str], *, field: str) -> None:
    """Raises Invalid where a run would be given no row at all: of few prompts a split may get none."""
    if version.row_counts and not any(version.row_counts.get(split) for split in splits):
        raise Invalid(
            _("%(source)s has no rows in the split %(splits)s.")
            % {"source": version, "splits": ", ".join(splits)},
            code="bad_rows",
            field=field,
            hint=_("Freeze a version with a larger share for it, or choose another split."),
        )


def _refuse_empty(role: str, version: DatasetVersion) -> None:
    if row := _empty_response(str(version.public_id)):
        raise Invalid(
            _("%(source)s, row %(row)s of the training rows: the response is empty.")
            % {"source": version, "row": row},
            code="bad_rows",
            field=role,
            hint=_("Write one, or take the row out, and freeze a new version."),
        )


@lru_cache(maxsize=256)
def _empty_response(version: str) -> int:
    """The number of the first row without an answer; 0 where there is none."""
    for number, row in enumerate(_rows(version), start=1):
        if not row["messages"][-1]["content"].strip():
            return number
    return 0


def _refuse_without_preference(version: DatasetVersion) -> None:
    found = _preferences(str(version.public_id))
    if not found:
        raise Invalid(
            _("%(source)s: no ranking prefers one completion to another, so there is nothing to learn.")
            % {"source": version},
            code="bad_rows",
            field=RunInputRole.TRAIN_DATA,
            hint=_("Rank again and prefer something, and freeze a new version."),
        )
    if found == 1:
        raise Invalid(
            _("%(source)s holds one comparison only, from which a model learns nothing but that very pair.")
            % {"source": version},
            code="bad_rows",
            field=RunInputRole.TRAIN_DATA,
            hint=_("Collect more rankings, and freeze a new version."),
        )


@lru_cache(maxsize=256)
def _preferences(version: str) -> int:
    """Pairs of completions of which one is preferred; counted up to two."""
    found = 0
    for row in _rows(version):
        ranking = ranking_of(row)
        ranks = [rank for rank in ranking["ranks"] if rank is not None] if ranking is not None else []
        found += sum(first != second for first, second in combinations(ranks, 2))
        if found > 1:
            break
    return min(found, 2)


def _refuse_long(stage: str, values: dict[str, Any], version: DatasetVersion, folder: Path | None) -> None:
    if folder is None or not (folder / TOKENIZER).is_file() or not (context := context_in(folder)):
        return
    if stage == Stage.PPO:
        field = RunInputRole.PROMPTS
        limit = min(values["maximum_prompt_length"], context - values["maximum_new_tokens"])
    else:
        field = RunInputRole.TRAIN_DATA
        limit = min(values["maximum_length"], context)
    file = folder / TOKENIZER
    row, all_are = _long_prompts(str(version.public_id), str(file), file.stat().st_mtime_ns, limit)
    if all_are:
        raise Invalid(
            _("%(source)s: every prompt is longer than the %(limit)s tokens that this run reads.")
            % {"source": version, "limit": limit},
            code="bad_rows",
            field=field,
            hint=_("Shorten them and freeze a new version, or allow more tokens if the model reads more."),
        )
    if row and values.get("over_long") == "refuse":
        raise Invalid(
            _(
                "%(source)s, row %(row)s of the training rows: the prompt alone has more than %(limit)s "
                "tokens, so that no response token is left."
            )
            % {"source": version, "row": row, "limit": limit},
            code="bad_rows",
            field=field,
            hint=_("Shorten it and freeze a new version, or choose over_long = drop."),
        )


@lru_cache(maxsize=256)
def _long_prompts(version: str, tokenizer: str, _changed_at: int, limit: int) -> tuple[int, bool]:
    """(number of the first row whose prompt leaves no token for a response, whether all rows are such)."""
    core = load_tokenizer(tokenizer)
    first, all_are, counted = 0, True, 0
    for number, row in enumerate(_rows(version), start=1):
        text = _last_turn(row)
        # A byte is a token at the most: what has fewer of them needs no counting.
        may_be = core is not None and len(text.encode()) > limit and counted < MOST_COUNTED
        counted += may_be
        if may_be and len(core.encode(text, add_special_tokens=False).ids) > limit + SLACK:
            first = first or number
        else:
            all_are = False
    return first, all_are


def _last_turn(row: dict[str, Any]) -> str:
    turns = row["messages"]
    is_answered = turns[-1]["role"] == "assistant" and len(turns) > 1
    text: str = turns[-2 if is_answered else -1]["content"]
    return text.strip()


def _model_folder(sources: Sources, base_model: str) -> Path | None:
    """Of the model that reads the rows; None for a name on the hub, and where files were removed."""
    for role, source in sources:
        if role == RunInputRole.MODEL and isinstance(source, Checkpoint):
            return checkpoint_directory(source)
    folder = Path(base_model)
    return folder if base_model and folder.is_absolute() else None


def _is_small(version: DatasetVersion) -> bool:
    return split_path(version=version, split=TRAIN).stat().st_size <= MOST_BYTES


def _rows(version: str) -> Iterator[dict[str, Any]]:
    return open_split(version=DatasetVersion.objects.get(public_id=version), split=TRAIN)
