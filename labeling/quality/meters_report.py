"""The meters half of the quality report: each person's leanings beside those of everybody else."""

from collections.abc import Callable, Sequence
from typing import Any

from .agreement_report import RESAMPLES_OF_CUTS, as_dict
from .bias import Judgment, Rate, length_bias, position_bias
from .meters import (
    Pace,
    Piece,
    Slope,
    clustered_rate,
    expected_by_chance,
    length_slope,
    paces,
    paste_share,
    self_agreement,
    stands_out,
)
from .records import DemonstrationRecord, RankingRecord

CHANCE = 0.5
FEWEST_PAIRS = 30  # decided pairs below which a person's reading is shown but never marked
MOST_OUTLYING = 50  # submissions named for a person


def meters_report(
    rankings: Sequence[RankingRecord], demonstrations: Sequence[DemonstrationRecord]
) -> dict[str, Any]:
    """{"project": …, "people": [{"person", …}], "readings", "expected_by_chance"}"""
    judged: dict[int, list[Judgment]] = {}
    for record in rankings:
        if record.shown:
            judgment = Judgment(record.ranks, record.shown, record.lengths)
            judged.setdefault(record.person, []).append(judgment)
    position = {person: _tallies(position_bias, own) for person, own in judged.items()}
    length = {person: _tallies(length_bias, own) for person, own in judged.items()}
    everybody = [judgment for judgments in judged.values() for judgment in judgments]
    pace = {"ranking": paces(_ranking_pieces(rankings)), "demonstration": paces(_answers(demonstrations))}
    pasted = _pasted(demonstrations)
    repeated = repeats(rankings)
    names = {each.person for each in rankings} | {each.person for each in demonstrations}
    people = []
    for person in sorted(names):
        row: dict[str, Any] = {"person": person}
        row["position"] = _rate(position.get(person, []), CHANCE)
        row["length"] = _rate(length.get(person, []), _of_others(length, person))
        row["length_slope"] = _slope(length_slope(judged.get(person, [])))
        for kind, found in pace.items():
            row[f"{kind}_pace"] = _pace(found.get(person))
        row["pasted"] = pasted[person]._asdict() if person in pasted else None
        row["self_agreement"] = _self(repeated.get(person, []))
        people.append(row)
    readings = sum(
        1 for row in people for name in ("position", "length") if row[name]["is_marked"] is not None
    )
    return {
        "project": {
            "position": _rate([each for own in position.values() for each in own], CHANCE),
            "length": _rate([each for own in length.values() for each in own], CHANCE),
            "length_slope": _slope(length_slope(everybody)),
            "pasted": paste_share((each.characters, each.pasted) for each in demonstrations)._asdict(),
            "self_agreement": _self([pair for pairs in repeated.values() for pair in pairs]),
        },
        "people": people,
        "readings": readings,
        "marked": sum(bool(row[name]["is_marked"]) for row in people for name in ("position", "length")),
        "expected_by_chance": expected_by_chance(readings),
    }


Tallies = list[tuple[float, int]]  # (wins, pairs) of each judgment


def _tallies(meter: Callable[[list[Judgment]], Rate], judgments: list[Judgment]) -> Tallies:
    rates = [meter([judgment]) for judgment in judgments]
    return [(rate.wins, rate.pairs) for rate in rates]


def _of_others(tallies: dict[int, Tallies], person: int) -> float | None:
    """The share of everybody but this person."""
    rest = [each for other, own in tallies.items() if other != person for each in own]
    pairs = sum(count for _, count in rest)
    return sum(wins for wins, _ in rest) / pairs if pairs else None


def _rate(tallies: Tallies, baseline: float | None) -> dict[str, Any]:
    """is_marked: the interval leaves the baseline out; None where there is too little to say."""
    rate = clustered_rate(tallies)
    enough = rate.pairs >= FEWEST_PAIRS
    return {
        "value": rate.value,
        "low": rate.interval.low if rate.pairs else None,
        "high": rate.interval.high if rate.pairs else None,
        "size": rate.pairs,
        "baseline": baseline,
        "is_marked": stands_out(rate, baseline) if enough and baseline is not None else None,
    }


def _slope(slope: Slope) -> dict[str, Any]:
    low, high = slope.interval or (None, None)
    return {"value": slope.value, "low": low, "high": high, "size": slope.pairs}


def _pace(pace: Pace | None) -> dict[str, Any] | None:
    if pace is None:
        return None
    return {**pace._asdict(), "outlying": pace.outlying[:MOST_OUTLYING]}


def _ranking_pieces(rankings: Sequence[RankingRecord]) -> list[Piece]:
    return [Piece(each.submission, each.person, each.seconds, sum(each.lengths)) for each in rankings]


def _answers(demonstrations: Sequence[DemonstrationRecord]) -> list[Piece]:
    return [Piece(each.submission, each.person, each.seconds, each.characters) for each in demonstrations]


def _pasted(demonstrations: Sequence[DemonstrationRecord]) -> dict:
    texts: dict[int, list[tuple[int, int | None]]] = {}
    for each in demonstrations:
        texts.setdefault(each.person, []).append((each.characters, each.pasted))
    return {person: paste_share(own) for person, own in texts.items()}


def repeats(rankings: Sequence[RankingRecord]) -> dict[int, list[tuple[tuple, tuple]]]:
    """By person: (first, second) rankings of the same completions in two tasks, in the order submitted."""
    earlier: dict[tuple, RankingRecord] = {}
    found: dict[int, list[tuple[tuple, tuple]]] = {}
    for record in sorted(rankings, key=lambda each: each.submission):
        order = sorted(range(len(record.completions)), key=record.completions.__getitem__)
        key = (record.person, tuple(record.completions[place] for place in order))
        before = earlier.get(key)
        if before is not None and before.task != record.task:
            ours = dict(zip(before.completions, before.ranks, strict=True))
            first = tuple(ours[record.completions[place]] for place in order)
            second = tuple(record.ranks[place] for place in order)
            found.setdefault(record.person, []).append((first, second))
        earlier[key] = record
    return found


def _self(pairs: list[tuple[tuple, tuple]]) -> dict[str, Any]:
    found = self_agreement(pairs, resamples=RESAMPLES_OF_CUTS)
    return {**as_dict(found.agreement), "tau_b": found.tau_b, "repeats": found.repeats}
