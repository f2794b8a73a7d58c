"""Agreement on scores and flags, from the records of rankings and demonstrations."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .agreement import Estimate
from .agreement_report import RESAMPLES, RESAMPLES_OF_CUTS, as_dict
from .records import DemonstrationRecord, RankingRecord, Vocabulary
from .tallies import alpha_reader, coincidences, estimates, fleiss_rows, read_fleiss, sum_by

SCORES = (1, 2, 3, 4, 5, 6, 7)
NO, YES = 0, 1


def ratings_report(
    rankings: Sequence[RankingRecord],
    demonstrations: Sequence[DemonstrationRecord],
    vocabulary: Vocabulary,
) -> dict[str, Any]:
    """Scores of completions and of demonstrations among them, flags on completions and on prompts."""
    scored = _scores(rankings)
    flagged = _completion_flags(rankings, vocabulary.completion_flags)
    noted = _prompt_flags([*rankings, *demonstrations], vocabulary.prompt_flags)
    return {
        "scores": _score_measures(scored[False]),
        "demonstration_scores": _score_measures(scored[True]),
        "completion_flags": _flag_measures(flagged),
        "prompt_flags": _flag_measures(noted),
    }


class Units:
    """How often each value was given to each thing, and the task that the thing belongs to."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.counts: dict[tuple, list[int]] = {}
        self.task: dict[tuple, int] = {}

    def add(self, thing: tuple, task: int, value: int) -> None:
        self.counts.setdefault(thing, [0] * self.width)[value] += 1
        self.task[thing] = task

    def shared(self) -> tuple[np.ndarray, np.ndarray]:
        """(counts of things with two ratings or more, their tasks)"""
        kept = [thing for thing, counts in self.counts.items() if sum(counts) > 1]
        counts = np.array([self.counts[thing] for thing in kept], dtype=float).reshape(-1, self.width)
        return counts, np.array([self.task[thing] for thing in kept], dtype=int)


def _scores(rankings: Iterable[RankingRecord]) -> dict[bool, Units]:
    """By whether the completion is a demonstration."""
    found = {False: Units(len(SCORES)), True: Units(len(SCORES))}
    for record in rankings:
        for place, score in enumerate(record.scores):
            if score is not None:
                units = found[bool(record.by_people and record.by_people[place])]
                units.add((record.task, place), record.task, score - SCORES[0])
    return found


def _completion_flags(rankings: Iterable[RankingRecord], keys: Sequence[str]) -> dict[str, Units]:
    found = {key: Units(2) for key in keys}
    for record in rankings:
        for place, flags in enumerate(record.flags):
            for key, units in found.items():
                units.add((record.task, place), record.task, YES if key in flags else NO)
    return found


def _prompt_flags(records: Iterable, keys: Sequence[str]) -> dict[str, Units]:
    found = {key: Units(2) for key in keys}
    for record in records:
        for key, units in found.items():
            units.add((record.task,), record.task, YES if key in record.prompt_flags else NO)
    return found


def _score_measures(units: Units) -> dict[str, Any]:
    counts, tasks = units.shared()
    rows = sum_by(coincidences(counts), tasks)
    reads = [(alpha_reader(level, SCORES), len(counts)) for level in ("ordinal", "interval", "nominal")]
    found = estimates(rows, reads, resamples=RESAMPLES)
    return {
        "alpha_ordinal": as_dict(found[0]),
        "alpha_interval": as_dict(found[1]),
        "alpha_nominal": as_dict(found[2]),
    }


def _flag_measures(by_key: dict[str, Units]) -> dict[str, Any]:
    """Over all flags together (each flag on each thing is one unit), and for every flag."""
    rows = []
    tables = {key: units.shared() for key, units in by_key.items()}
    for key, (counts, tasks) in tables.items():
        used = int((counts[:, YES] > 0).sum())
        rows.append(
            {"key": key, "used_on": used, **_nominal(counts, tasks, RESAMPLES_OF_CUTS)},
        )
    counts = np.concatenate([table[0] for table in tables.values()] or [np.empty((0, 2))])
    tasks = np.concatenate([table[1] for table in tables.values()] or [np.empty(0, dtype=int)])
    return {"all": _nominal(counts, tasks, RESAMPLES), "by_flag": rows}


def _nominal(counts: np.ndarray, tasks: np.ndarray, resamples: int) -> dict[str, Any]:
    if not len(counts):
        nothing = as_dict(Estimate(None, None, 0))
        return {"alpha_nominal": nothing, "fleiss_kappa": nothing}
    alpha = sum_by(coincidences(counts), tasks)
    kappa = sum_by(fleiss_rows(counts), tasks)
    [first] = estimates(alpha, [(alpha_reader("nominal", (NO, YES)), len(counts))], resamples=resamples)
    [second] = estimates(kappa, [(read_fleiss, len(counts))], resamples=resamples)
    return {"alpha_nominal": as_dict(first), "fleiss_kappa": as_dict(second)}
