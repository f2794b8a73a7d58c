"""Agreement on scores and flags, from the records of rankings and demonstrations."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .agreement import Estimate
from .agreement_report import RESAMPLES, RESAMPLES_OF_CUTS, as_dict
from .records import Asked, DemonstrationRecord, RankingRecord, Vocabulary
from .tallies import alpha_reader, coincidences, estimates, fleiss_rows, read_fleiss, sum_by

NO, YES = 0, 1
Scale = tuple[int, int]  # the least and the highest score of a form
USUAL: Scale = Asked().scale


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
        "scores": _on_one_scale(scored[False]),
        "demonstration_scores": _on_one_scale(scored[True]),
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


def scale_of(record: RankingRecord) -> Scale:
    return record.asked.scale if record.asked is not None else USUAL


def steps_of(scale: Scale) -> tuple[int, ...]:
    return tuple(range(scale[0], scale[1] + 1))


def was_offered(key: str, own: Iterable[str], offered: Iterable[str] | None) -> bool:
    """Whether somebody could have set the flag: what a form had no place for was not answered with no."""
    return offered is None or key in offered or key in own


def _scores(rankings: Iterable[RankingRecord]) -> dict[bool, dict[Scale, Units]]:
    """By whether the completion is a demonstration, and by scale: 5 of 5 is not 5 of 10."""
    found: dict[bool, dict[Scale, Units]] = {False: {}, True: {}}
    for record in rankings:
        scale = scale_of(record)
        for place, score in enumerate(record.scores):
            if score is not None:
                scales = found[bool(record.by_people and record.by_people[place])]
                units = scales.setdefault(scale, Units(len(steps_of(scale))))
                units.add((record.task, place), record.task, score - scale[0])
    return found


def _completion_flags(rankings: Iterable[RankingRecord], keys: Sequence[str]) -> dict[str, Units]:
    found = {key: Units(2) for key in keys}
    for record in rankings:
        offered = record.asked.completion_flags if record.asked is not None else None
        for place, flags in enumerate(record.flags):
            for key, units in found.items():
                if was_offered(key, flags, offered):
                    units.add((record.task, place), record.task, YES if key in flags else NO)
    return found


def _prompt_flags(records: Iterable, keys: Sequence[str]) -> dict[str, Units]:
    found = {key: Units(2) for key in keys}
    for record in records:
        offered = record.asked.prompt_flags if record.asked is not None else None
        for key, units in found.items():
            if was_offered(key, record.prompt_flags, offered):
                units.add((record.task,), record.task, YES if key in record.prompt_flags else NO)
    return found


def _on_one_scale(by_scale: dict[Scale, Units]) -> dict[str, Any]:
    """Over the scale on which most was scored twice; `left_out`: what was scored twice on another."""
    shared = {scale: units.shared() for scale, units in by_scale.items()} or {USUAL: Units(7).shared()}
    scale = max(shared, key=lambda each: (len(shared[each][0]), each))
    counts, tasks = shared[scale]
    others = sum(len(each) for each, _ in shared.values()) - len(counts)
    return {**_score_measures(counts, tasks, scale), "scale": list(scale), "left_out": others}


def _score_measures(counts: np.ndarray, tasks: np.ndarray, scale: Scale) -> dict[str, Any]:
    rows = sum_by(coincidences(counts), tasks)
    levels = ("ordinal", "interval", "nominal")
    reads = [(alpha_reader(level, steps_of(scale)), len(counts)) for level in levels]
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
