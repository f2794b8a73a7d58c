"""The score of a dataset row, for a recipe that filters by it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from labeling.models import Completion, DatasetKind, Prompt, Ranking

from .prompts import LOOKUP, chunked
from .selected_rows import Selected

COLUMNS = ("score", "rating", "reward")  # in what a file brought along with a prompt or a demonstration


def scores_of_rows(kind: str, rows: Iterable[Selected]) -> dict[int, float]:
    """{member: score} of those that have one (two queries at most for each LOOKUP rows).

    Of a comparison: its best completion's, as the person scored it, else as its file did. Of completions
    without an order: the best one's, as its file scored it. Of demonstrations and prompts: what their file
    named `score`, `rating` or `reward`. Scores of reward models are none: they only mean something beside
    one another.
    """
    present = [selected for selected in rows if selected.row is not None]
    if kind == DatasetKind.COMPARISON:
        return _best_of_rankings(present)
    if kind == DatasetKind.COMPLETIONS:
        return _best_of_files(present)
    prompts = {int(selected.present_row["prompt_id"]): None for selected in present}
    given: dict[int, float] = {}
    for ids in chunked(prompts, LOOKUP):
        for pk, metadata in Prompt.objects.filter(pk__in=ids).values_list("pk", "metadata"):
            named = [value for name in COLUMNS if (value := as_score(metadata.get(name))) is not None]
            given |= {pk: named[0]} if named else {}
    found = {}
    for selected in present:
        if (score := given.get(int(selected.present_row["prompt_id"]))) is not None:
            found[selected.member_id] = score
    return found


def _best_of_rankings(present: list[Selected]) -> dict[int, float]:
    members = [selected.member_id for selected in present]
    found: dict[int, float] = {}
    for ids in chunked(members, LOOKUP):
        ranked = Ranking.objects.filter(submission__in=ids, is_current=True)
        for pk, scores in ranked.values_list("submission_id", "scores"):
            numbers = [number for value in scores.values() if (number := as_score(value)) is not None]
            found |= {pk: max(numbers)} if numbers else {}
    return _best_of_files([selected for selected in present if selected.member_id not in found]) | found


def _best_of_files(present: list[Selected]) -> dict[int, float]:
    """What their files gave the completions in these rows; no person's score is among them."""
    shown = {
        selected.member_id: [int(each["id"]) for each in selected.present_row["completions"]]
        for selected in present
    }
    wanted = {pk for ids in shown.values() for pk in ids}
    of_files: dict[int, float] = {}
    for ids in chunked(wanted, LOOKUP):
        rows = Completion.objects.filter(pk__in=ids, import_record__isnull=False)
        for pk, sampling in rows.values_list("pk", "sampling"):
            if (number := as_score(sampling.get("score"))) is not None:
                of_files[pk] = number
    found = {}
    for member, ids in shown.items():
        if numbers := [of_files[pk] for pk in ids if pk in of_files]:
            found[member] = max(numbers)
    return found


def as_score(value: Any) -> float | None:
    """
    >>> as_score(3), as_score("4.5"), as_score(True), as_score("high"), as_score("nan")
    (3.0, 4.5, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
