"""Rows that cannot train, seen before a run is queued: the trainer refuses them too, and so do form, API and
command, as far as that needs no model.

Read are frozen files, which never change, so what was found is remembered. Files over MOST_BYTES would take
long: they are left to the run itself. Prompts that are too long: long_prompts.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import DatasetVersion
from labeling.services.datasets import open_split, split_path
from training.models import RunInputRole, Stage

from .long_prompts import MOST_BYTES
from .rankings import ranking_of

TRAIN = "train"

Sources = list[tuple[str, Any]]


def check_rows(stage: str, values: dict[str, Any], sources: Sources) -> None:
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


def _is_small(version: DatasetVersion) -> bool:
    return split_path(version=version, split=TRAIN).stat().st_size <= MOST_BYTES


def _rows(version: str) -> Iterator[dict[str, Any]]:
    return open_split(version=DatasetVersion.objects.get(public_id=version), split=TRAIN)
