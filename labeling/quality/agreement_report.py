"""The agreement half of the quality report: headline measures and the same by every cut, from records.

Everything is a plain dictionary, ready for JSON. An estimate is {"value", "low", "high", "size"}; value is
None where the measure is undefined, low and high where there is no interval.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import paired
from .agreement import Estimate
from .ceiling import accuracy_ceiling, ceiling_interval
from .crowd import estimate_reliability
from .paired import MARGINS, PeoplePair
from .records import RankingRecord
from .tallies import Read, estimates, fleiss_rows, ratio, read_fleiss, sum_by

RESAMPLES, RESAMPLES_OF_CUTS = 1000, 200
MOST_PAIRS = 300  # pairs of people shown, those with the most in common first
CUTS = ("batch", "category", "guideline_version", "time")


def as_dict(estimate: Estimate) -> dict[str, Any]:
    interval = estimate.interval
    return {
        "value": estimate.value,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "size": estimate.size,
    }


class Comparisons:
    """All pairs of people who ranked one task, once, for every table that is read off them."""

    def __init__(self, rankings: Sequence[RankingRecord]) -> None:
        self.rankings = rankings
        tasks: dict[int, list[int]] = {}
        for index, record in enumerate(rankings):
            tasks.setdefault(record.task, []).append(index)
        self.tasks = [records for records in tasks.values() if len(records) > 1]
        self.task_ids = [rankings[records[0]].task for records in self.tasks]
        self.signs = [paired.signs_of(record.ranks) for record in rankings]
        self.who, self.rows = paired.pair_people(self.tasks, self.signs)
        self.task_of = np.array([pair.task for pair in self.who], dtype=int)

    def records_of(self, pair: PeoplePair) -> tuple[RankingRecord, RankingRecord]:
        return self.rankings[pair.first], self.rankings[pair.second]

    def by_task(self, chosen: np.ndarray | None = None) -> np.ndarray:
        """One row a task of the chosen pairs of people, the unit that is resampled."""
        if chosen is None:
            return sum_by(self.rows, self.task_of)
        return sum_by(self.rows[chosen], self.task_of[chosen])


# --- Headline -----------------------------------------------------------------------------------------------
def headline(comparisons: Comparisons) -> dict[str, Any]:
    """Agreement over all shared rankings under each tie rule, alpha, tau-b and Fleiss' kappa."""
    rows = comparisons.by_task()
    compared = paired.comparisons(rows)
    decided = paired.decided_comparisons(rows) if len(rows) else 0
    names: list[tuple[str, Any, int]] = [
        ("pairwise_agreement", paired.read_agreement, compared),
        ("pairwise_agreement_ties_disagree", paired.read_strict_agreement, compared),
        ("pairwise_agreement_decided", paired.read_decided_agreement, decided),
        ("ranking_alpha", paired.read_alpha, compared),
        ("kendall_tau_b", paired.read_tau, round(float(rows[:, paired.TAU_COUNT].sum())) if len(rows) else 0),
    ]
    found = estimates(rows, [(read, size) for _, read, size in names], resamples=RESAMPLES)
    answer: dict[str, Any] = {name: as_dict(each) for (name, _, _), each in zip(names, found, strict=True)}
    answer["ranking_fleiss_kappa"] = as_dict(_fleiss(comparisons))
    answer["tasks"] = len(rows)
    answer["ceiling"] = _ceiling(found[2])
    return answer


def _fleiss(comparisons: Comparisons) -> Estimate:
    """Fleiss' kappa of the pairwise judgments, each pair of completions both ways round."""
    counts, task_of = [], []
    for task, records in enumerate(comparisons.tasks):
        for column in zip(*(comparisons.signs[record] for record in records), strict=True):
            row = [column.count(-1), column.count(0), column.count(1)]
            if sum(row) > 1:
                counts += [row, row[::-1]]
                task_of += [task, task]
    if not counts:
        return Estimate(None, None, 0)
    rows = sum_by(fleiss_rows(np.array(counts, dtype=float)), np.array(task_of))
    [found] = estimates(rows, [(read_fleiss, len(counts) // 2)], resamples=RESAMPLES)
    return found


def _ceiling(decided: Estimate) -> dict[str, Any] | None:
    if decided.value is None:
        return None
    ceiling = accuracy_ceiling(decided.value)
    interval = ceiling_interval(decided.interval) if decided.interval else None
    return {
        "low": ceiling.low,
        "high": ceiling.high,
        "interval_low": interval.low if interval else None,
        "interval_high": interval.high if interval else None,
        "agreement": decided.value,
        "size": decided.size,
    }


# --- By cut -------------------------------------------------------------------------------------------------
def by_cut(comparisons: Comparisons) -> dict[str, list[dict[str, Any]]]:
    """{cut: [{"key", "tasks", "agreement", "alpha", "tau_b"}]}, people with their "reliability"; see the keys
    below."""
    people = _groups((number, record.person) for number, record in _both_sides(comparisons))
    pairs = _groups((n, pair_key(*comparisons.records_of(pair))) for n, pair in enumerate(comparisons.who))
    most = sorted(pairs, key=lambda key: (-len(pairs[key]), key))[:MOST_PAIRS]
    reliability = _reliability(comparisons)
    answer = {
        "person": [
            _row(comparisons, key, rows, PERSON) | {"reliability": reliability[key]}
            for key, rows in people.items()
        ],
        "pair": [_row(comparisons, key, pairs[key], PAIR) for key in most],
        "margin": _by_margin(comparisons),
    }
    step = time_step(comparisons.rankings)
    for cut in CUTS:
        keys = (
            (n, cut_key(*comparisons.records_of(pair), cut, step)) for n, pair in enumerate(comparisons.who)
        )
        groups = _groups(keys)
        answer[cut] = [_row(comparisons, key, groups[key], PART) for key in sorted(groups, key=_order)]
    return answer


def _reliability(comparisons: Comparisons) -> dict[int, dict[str, Any]]:
    """How probably each person names the better of two completions, judged by all others (crowd.py); size:
    the pairs they decided."""
    rankings = comparisons.rankings
    found = estimate_reliability(
        [{rankings[n].person: rankings[n].ranks for n in records} for records in comparisons.tasks]
    )
    decided = dict.fromkeys(found, 0)
    for records in comparisons.tasks:
        for n in records:
            decided[rankings[n].person] += sum(1 for sign in comparisons.signs[n] if sign)
    return {
        person: as_dict(Estimate(value, None, decided[person]))  # type: ignore[misc]
        for person, value in found.items()
    }


def _both_sides(comparisons: Comparisons) -> Iterable[tuple[int, RankingRecord]]:
    for number, pair in enumerate(comparisons.who):
        for record in comparisons.records_of(pair):
            yield number, record


def _groups(keyed: Iterable[tuple[int, Any]]) -> dict[Any, list[int]]:
    groups: dict[Any, list[int]] = {}
    for number, key in keyed:
        groups.setdefault(key, []).append(number)
    return groups


def pair_key(first: RankingRecord, second: RankingRecord) -> tuple[int, int]:
    return (min(first.person, second.person), max(first.person, second.person))


def cut_key(first: RankingRecord, second: RankingRecord, cut: str, step: int) -> Any:
    """Of two people's rankings of one task. step: days to a point of time."""
    if cut == "batch":
        return first.batch
    if cut == "category":
        return first.category
    if cut == "time":  # when the agreement came to be known
        return max(first.day, second.day) // step * step
    return first.guideline if first.guideline == second.guideline else "mixed"


def _order(key: Any) -> tuple:
    """Numbers by size, then names, then what is missing."""
    return (key is None, isinstance(key, str), key if key is not None else 0)


def time_step(rankings: Sequence[RankingRecord]) -> int:
    """Days to a point of the trend: days for a month, weeks for a year, else four weeks."""
    days = [record.day for record in rankings]
    span = max(days) - min(days) if days else 0
    return 1 if span <= 31 else 7 if span <= 366 else 28


# How a row of a cut is read. Two people are compared as two people, whoever else ranked their tasks.
PART: dict[str, Read] = {"agreement": paired.read_agreement, "alpha": paired.read_alpha}
PERSON: dict[str, Read] = {"agreement": paired.read_agreement, "alpha": paired.read_paired_alpha}
PAIR: dict[str, Read] = {
    "agreement": paired.read_paired_agreement,
    "alpha": paired.read_paired_alpha,
    "cohen_kappa": paired.read_kappa,
}


def _row(comparisons: Comparisons, key: Any, chosen: list[int], measures: dict[str, Read]) -> dict:
    rows = comparisons.by_task(np.array(chosen, dtype=int))
    compared = paired.comparisons(rows)
    reads = [(read, compared) for read in measures.values()]
    reads.append((paired.read_tau, round(float(rows[:, paired.TAU_COUNT].sum()))))
    found = estimates(rows, reads, resamples=RESAMPLES_OF_CUTS)
    return {"key": key, "tasks": len(rows)} | {
        name: as_dict(each) for name, each in zip([*measures, "tau_b"], found, strict=True)
    }


def _by_margin(comparisons: Comparisons) -> list[dict[str, Any]]:
    """Agreement with what one person decided, by how sure they were."""
    if not any(record.margins for record in comparisons.rankings):
        return []
    margins = [paired.margin_of_pairs(record.ranks, record.margins) for record in comparisons.rankings]
    found = paired.margin_rows(comparisons.who, comparisons.signs, margins)
    answer = []
    for margin, (tasks, rows) in found.items():
        compared = round(float(rows[:, 2].sum()))
        [agreement] = estimates(rows, [(ratio(0, 1), compared)], resamples=RESAMPLES_OF_CUTS)
        row = {"key": MARGINS[margin], "tasks": len(tasks), "agreement": as_dict(agreement)}
        answer.append(row)
    return answer


# --- By task ------------------------------------------------------------------------------------------------
LOW = 0.5  # an agreement below this is worse than a coin


class TaskRow(NamedTuple):
    """`value`: pairwise agreement, ties half; None where nobody ranked a pair that another ranked too."""

    people: int
    comparisons: int
    value: float | None
    flags: tuple[str, ...]


def by_task(comparisons: Comparisons) -> dict[int, TaskRow]:
    """Of every task that two people ranked."""
    rows = comparisons.by_task()
    agreement = paired.read_agreement(rows) if len(rows) else np.empty(0)
    sizes = rows[:, : paired.TAU_SUM].sum(axis=1) / 2
    return {
        comparisons.task_ids[task]: TaskRow(
            len(comparisons.tasks[task]),
            round(float(size)),
            None if np.isnan(value) else float(value),
            _flags(comparisons, task),
        )
        for task, size, value in zip(np.unique(comparisons.task_of), sizes, agreement, strict=True)
    }


def _flags(comparisons: Comparisons, task: int) -> tuple[str, ...]:
    records = [comparisons.rankings[number] for number in comparisons.tasks[task]]
    return tuple(
        sorted({flag for each in records for flags in (each.prompt_flags, *each.flags) for flag in flags})
    )


def disagreements(comparisons: Comparisons, tasks: dict[int, TaskRow]) -> dict[str, Any]:
    """Where people disagree: by category and by flag, how many tasks and how many of them below LOW."""
    category = {
        comparisons.rankings[own[0]].task: comparisons.rankings[own[0]].category for own in comparisons.tasks
    }
    known = {task: row for task, row in tasks.items() if row.value is not None}
    return {
        "below": LOW,
        "category": _low(known, lambda task, row: [category[task]]),
        "flag": _low(known, lambda task, row: row.flags),
    }


def _low(known: dict[int, TaskRow], keys_of: Callable[[int, TaskRow], Iterable[str]]) -> list[dict]:
    """The groups with the most low ones first."""
    found: dict[str, list[float]] = {}
    for task, row in known.items():
        for key in keys_of(task, row):
            found.setdefault(key, []).append(row.value)  # type: ignore[arg-type]
    groups = [
        {"key": key, "tasks": len(own), "low": sum(value < LOW for value in own), "mean": sum(own) / len(own)}
        for key, own in found.items()
    ]
    return sorted(groups, key=lambda group: (-group["low"], group["mean"], group["key"]))
