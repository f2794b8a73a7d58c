"""How much people agree on scores and on flags in each part of the work: the cuts of agreement_report.py.

By batch, category, guideline version and time: Krippendorff's alpha over the things rated there. By person
and by pair of people: over the pairs of ratings of the same thing, each pair a unit of two. Scores at the
ordinal level, flags (set or not, each flag on each completion a thing) at the nominal one. Scores on
different scales are not compared; a row is of the scale on which most was scored twice there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .agreement import Estimate
from .agreement_report import CUTS, RESAMPLES_OF_CUTS, Comparisons, as_dict, cut_key, pair_key, time_step
from .ratings_report import NO, YES, Scale, scale_of, steps_of, was_offered
from .records import RankingRecord, Vocabulary
from .tallies import alpha_reader, coincidences, estimates, sum_by

MISSING = -1
Values = Sequence[tuple[Scale, np.ndarray]]  # what each ranking says, as places on its scale
# key: by scale, rows of coincidences and the task of each
Groups = dict[Any, dict[Scale, tuple[list[np.ndarray], list[int]]]]


def add_ratings(
    by: dict[str, list[dict[str, Any]]], comparisons: Comparisons, vocabulary: Vocabulary
) -> None:
    """Give the rows of every cut but margins their "scores_alpha" and "flags_alpha"."""
    rankings = comparisons.rankings
    scores = [(scale_of(record), _scores(record)) for record in rankings]
    flags = [((NO, YES), _flags(record, vocabulary.completion_flags)) for record in rankings]
    for name, values, level in (("scores_alpha", scores, "ordinal"), ("flags_alpha", flags, "nominal")):
        found = _by_task(comparisons, values) | _by_people(comparisons, values)
        for cut, rows in by.items():
            for row in rows if cut in found else ():
                key = tuple(row["key"]) if isinstance(row["key"], list) else row["key"]
                row[name] = _alpha(found[cut].get(key, {}), level)


def _scores(record: RankingRecord) -> np.ndarray:
    """(completions,) places on the scale."""
    lowest = scale_of(record)[0]
    return np.array([MISSING if score is None else score - lowest for score in record.scores], dtype=int)


def _flags(record: RankingRecord, keys: Sequence[str]) -> np.ndarray:
    """(completions × flags,)"""
    offered = record.asked.completion_flags if record.asked is not None else None
    answers = [
        (YES if key in own else NO) if was_offered(key, own, offered) else MISSING
        for own in record.flags
        for key in keys
    ]
    return np.array(answers, dtype=int)


def _by_task(comparisons: Comparisons, values: Values) -> dict[str, Groups]:
    """A task is in one batch, category and time; of guideline versions those who read the same one."""
    found: dict[str, Groups] = {cut: {} for cut in CUTS}
    step = time_step(comparisons.rankings)
    for task, records in enumerate(comparisons.tasks):
        rows: dict[tuple[int, ...], dict[Scale, np.ndarray]] = {}
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
                    rows[chosen] = _rows([values[number] for number in numbers])
                for scale, row in rows[chosen].items():
                    _put(found[cut], cut_key(same[0], latest, cut, step), scale, row, task)
    return found


def _by_people(comparisons: Comparisons, values: Values) -> dict[str, Groups]:
    found: dict[str, Groups] = {"person": {}, "pair": {}}
    for pair in comparisons.who:
        (scale, one), (other_scale, other) = values[pair.first], values[pair.second]
        if scale != other_scale:
            continue
        row = _row_of_two(one, other, len(steps_of(scale)))
        first, second = comparisons.records_of(pair)
        for person in {first.person, second.person}:
            _put(found["person"], person, scale, row, pair.task)
        _put(found["pair"], pair_key(first, second), scale, row, pair.task)
    return found


def _put(groups: Groups, key: Any, scale: Scale, row: np.ndarray, task: int) -> None:
    rows, tasks = groups.setdefault(key, {}).setdefault(scale, ([], []))
    rows.append(row)
    tasks.append(task)


def _rows(given: Values) -> dict[Scale, np.ndarray]:
    by_scale: dict[Scale, list[np.ndarray]] = {}
    for scale, ratings in given:
        by_scale.setdefault(scale, []).append(ratings)
    return {scale: _row(ratings, len(steps_of(scale))) for scale, ratings in by_scale.items()}


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


def _alpha(group: dict[Scale, tuple[list[np.ndarray], list[int]]], level: str) -> dict:
    """Over the scale on which most was rated twice."""
    if not group:
        return as_dict(Estimate(None, None, 0))
    tables = {scale: np.array(rows, dtype=float) for scale, (rows, _) in group.items()}
    scale = max(tables, key=lambda each: (tables[each][:, -1].sum(), each))
    table, tasks = tables[scale], group[scale][1]
    summed = sum_by(table, np.array(tasks, dtype=int))
    size = round(float(table[:, -1].sum()))
    read = alpha_reader(level, steps_of(scale))
    [found] = estimates(summed[summed[:, -1] > 0], [(read, size)], resamples=RESAMPLES_OF_CUTS)
    return as_dict(found)
