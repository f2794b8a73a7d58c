"""How much people agree on scores and on flags in each part of the work: the cuts of agreement_report.py.

By batch, category, guideline version and time: Krippendorff's alpha over the things rated there. By person
and by pair of people: over the pairs of ratings of the same thing, each pair a unit of two. Scores (1 to 7)
at the ordinal level, flags (set or not, each flag on each completion a thing) at the nominal one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .agreement_report import CUTS, RESAMPLES_OF_CUTS, Comparisons, as_dict, cut_key, pair_key, time_step
from .ratings_report import NO, SCORES, YES
from .records import RankingRecord, Vocabulary
from .tallies import alpha_reader, coincidences, estimates, sum_by

MISSING = -1
Groups = dict[Any, tuple[list[np.ndarray], list[int]]]  # key: rows of coincidences, and the task of each


def add_ratings(
    by: dict[str, list[dict[str, Any]]], comparisons: Comparisons, vocabulary: Vocabulary
) -> None:
    """Give the rows of every cut but margins their "scores_alpha" and "flags_alpha"."""
    rankings = comparisons.rankings
    scores = [_scores(record) for record in rankings]
    flags = [_flags(record, vocabulary.completion_flags) for record in rankings]
    for name, values, level, scale in (
        ("scores_alpha", scores, "ordinal", SCORES),
        ("flags_alpha", flags, "nominal", (NO, YES)),
    ):
        found = _by_task(comparisons, values, len(scale)) | _by_people(comparisons, values, len(scale))
        for cut, rows in by.items():
            for row in rows if cut in found else ():
                key = tuple(row["key"]) if isinstance(row["key"], list) else row["key"]
                row[name] = _alpha(found[cut].get(key), level, scale)


def _scores(record: RankingRecord) -> np.ndarray:
    """(completions,) places on the scale."""
    return np.array([MISSING if score is None else score - SCORES[0] for score in record.scores], dtype=int)


def _flags(record: RankingRecord, keys: Sequence[str]) -> np.ndarray:
    """(completions × flags,)"""
    return np.array([YES if key in own else NO for own in record.flags for key in keys], dtype=int)


def _by_task(comparisons: Comparisons, values: list[np.ndarray], width: int) -> dict[str, Groups]:
    """A task is in one batch, category and time; of guideline versions those who read the same one."""
    found: dict[str, Groups] = {cut: {} for cut in CUTS}
    step = time_step(comparisons.rankings)
    for task, records in enumerate(comparisons.tasks):
        rows: dict[tuple[int, ...], np.ndarray] = {}
        for cut in CUTS:
            parts: dict[Any, list[int]] = {}
            for number in records:
                record = comparisons.rankings[number]
                key = record.guideline if cut == "guideline_version" else None
                parts.setdefault(key, []).append(number)
            for numbers in parts.values():
                same = [comparisons.rankings[number] for number in numbers]
                latest = max(same, key=lambda record: record.day)
                chosen = tuple(numbers)
                if chosen not in rows:
                    rows[chosen] = _row([values[number] for number in numbers], width)
                _put(found[cut], cut_key(same[0], latest, cut, step), rows[chosen], task)
    return found


def _by_people(comparisons: Comparisons, values: list[np.ndarray], width: int) -> dict[str, Groups]:
    found: dict[str, Groups] = {"person": {}, "pair": {}}
    for pair in comparisons.who:
        row = _row_of_two(values[pair.first], values[pair.second], width)
        first, second = comparisons.records_of(pair)
        for person in {first.person, second.person}:
            _put(found["person"], person, row, pair.task)
        _put(found["pair"], pair_key(first, second), row, pair.task)
    return found


def _put(groups: Groups, key: Any, row: np.ndarray, task: int) -> None:
    rows, tasks = groups.setdefault(key, ([], []))
    rows.append(row)
    tasks.append(task)


def _row(ratings: list[np.ndarray], width: int) -> np.ndarray:
    """Coincidences of a few people's ratings of the same things, and how many were rated twice."""
    given = [each for each in ratings if len(each)]  # who was asked for none has none
    if not given:
        return np.zeros(width * width + 1)
    table = np.stack(given)  # (people, things)
    counts = (table[:, :, None] == np.arange(width)).sum(axis=0).astype(float)  # (things, values)
    return np.r_[coincidences(counts).sum(axis=0), (counts.sum(axis=1) > 1).sum()]


def _row_of_two(first: np.ndarray, second: np.ndarray, width: int) -> np.ndarray:
    """The same for two people, of whom there are many pairs."""
    if len(first) != len(second):
        return np.zeros(width * width + 1)
    both = (first != MISSING) & (second != MISSING)
    one, other = first[both], second[both]
    places = np.concatenate([one * width + other, other * width + one])
    row = np.bincount(places, minlength=width * width + 1).astype(float)
    row[-1] = len(one)
    return row


def _alpha(group: tuple[list[np.ndarray], list[int]] | None, level: str, scale: Sequence[int]) -> dict:
    rows, tasks = group if group is not None else ([], [])
    table = np.array(rows, dtype=float).reshape(-1, len(scale) ** 2 + 1)
    summed = sum_by(table, np.array(tasks, dtype=int))
    size = round(float(table[:, -1].sum()))
    kept = summed[summed[:, -1] > 0] if len(summed) else summed
    [found] = estimates(kept, [(alpha_reader(level, scale), size)], resamples=RESAMPLES_OF_CUTS)
    return as_dict(found)
