"""Meters of length, pace, pasting and agreement with oneself. Evidence for a lead, never a verdict.

Every person's meter stands beside the project's own: what is unusual here is what differs from the others who
did the same work, not from an ideal. With many people and meters some stand out by chance alone; see
`expected_by_chance`.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from statistics import NormalDist, median
from typing import NamedTuple

import numpy as np

from .agreement import Estimate, Ranking, kendall_tau_b, pairwise_agreement
from .bias import Judgment, Rate, _decided_pairs, _places
from .intervals import Interval, wilson_interval

MAD_TO_SIGMA = 1.482602218505602  # 1 / NormalDist().inv_cdf(0.75): the MAD of a normal, scaled to its sigma
OUTLYING = 3.5  # robust z beyond which a value is called outlying (B. Iglewicz & D. Hoaglin, 1993)


class Slope(NamedTuple):
    """`value`: how much the log odds of winning rise for each e-fold of length; 0 without a leaning. None
    where it is not finite or not known. `pairs`: decided pairs of different length."""

    value: float | None
    interval: Interval | None
    pairs: int


def length_slope(judgments: Iterable[Judgment], *, confidence: float = 0.95) -> Slope:
    """Logistic regression, without an intercept, of winning on the difference in log length.

    Both completions of a pair have a say with opposite signs, so an intercept means nothing. The interval
    is Wald's with a variance robust to the pairs of one judgment depending on each other (a sandwich, by
    judgment, times n / (n - 1)); it needs two judgments. Where the longer one always wins, or never, there is
    no finite maximum and the value is None; `length_bias` still says how often.
    """
    apart, group = [], []
    for number, judgment in enumerate(judgments):
        _places(judgment)
        for better, worse in _decided_pairs(judgment):
            first, second = judgment.lengths[better], judgment.lengths[worse]
            if first != second:
                apart.append(math.log1p(first) - math.log1p(second))
                group.append(number)
    return _logistic_slope(np.array(apart), np.array(group, dtype=int), confidence)


def _logistic_slope(apart: np.ndarray, group: np.ndarray, confidence: float) -> Slope:
    """apart: (pairs,) log length of the winner minus the loser's; likely with σ(slope · apart)."""
    if not len(apart) or (apart > 0).all() or (apart < 0).all():
        return Slope(None, None, len(apart))
    slope = 0.0
    for _ in range(100):
        chance = 0.5 * (1 + np.tanh(slope * apart / 2))
        gradient = (apart * (1 - chance)).sum()
        curve = (apart**2 * chance * (1 - chance)).sum()
        step = gradient / curve
        slope += step / max(1.0, abs(step))
        if abs(step) < 1e-12:
            break
    chance = 0.5 * (1 + np.tanh(slope * apart / 2))
    curve = float((apart**2 * chance * (1 - chance)).sum())
    _, number = np.unique(group, return_inverse=True)
    scores = np.bincount(number, apart * (1 - chance))
    judgments = len(scores)
    if judgments < 2:
        return Slope(float(slope), None, len(apart))
    error = math.sqrt(float((scores**2).sum()) * judgments / (judgments - 1)) / curve
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * error
    return Slope(float(slope), Interval(float(slope) - reach, float(slope) + reach), len(apart))


def clustered_rate(judgments: Sequence[tuple[float, int]], *, confidence: float = 0.95) -> Rate:
    """A share of pairs, from (wins, pairs) of each judgment, whose pairs depend on one another.

    Wilson's interval at the effective number of pairs: as many independent ones as would spread like the
    judgments do (p(1 - p) over the variance between judgments), never more than there are. Taken as
    independent, the six pairs of a ranking of four would mark twice as many people as chance allows.
    """
    told = [(wins, pairs) for wins, pairs in judgments if pairs]
    pairs = sum(count for _, count in told)
    if not pairs:
        return Rate(None, Interval(0.0, 1.0), 0.0, 0)
    wins = sum(won for won, _ in told)
    share = wins / pairs
    spread = sum((won - share * count) ** 2 for won, count in told) / pairs**2
    effective = min(pairs, share * (1 - share) / spread) if spread > 0 else min(pairs, len(told))
    interval = wilson_interval(share * effective, effective, confidence=confidence)
    return Rate(share, interval, float(wins), pairs)


class Pace(NamedTuple):
    """One person's pace among all work of one kind. `z`: their median robust z, negative = faster than most.
    `fast` and `slow`: how many of their `pieces` lie beyond the cut. `outlying`: keys of the fast ones."""

    z: float | None
    fast: int
    slow: int
    pieces: int
    outlying: list[Hashable]


class Piece(NamedTuple):
    """One piece of timed work. `characters`: of the text that was read or written for it."""

    key: Hashable
    person: Hashable
    seconds: float
    characters: int


def paces(pieces: Sequence[Piece], *, cut: float = OUTLYING) -> dict[Hashable, Pace]:
    """Each person's pace in pieces of one kind, from the log of active seconds for each character.

    Robust z: distance from the median over everybody's pieces, in units of the median absolute deviation
    scaled to a normal's sigma. Pieces without time or text are left out: nothing was measured. z is None
    where half of all paces are equal, so that the deviation is zero.
    """
    timed = [piece for piece in pieces if piece.seconds > 0 and piece.characters > 0]
    if not timed:
        return {}
    values = [math.log(piece.seconds / piece.characters) for piece in timed]
    middle = median(values)
    spread = MAD_TO_SIGMA * median(abs(value - middle) for value in values)
    own: dict[Hashable, list[tuple[float, Hashable]]] = {}
    for piece, value in zip(timed, values, strict=True):
        z = (value - middle) / spread if spread else math.nan
        own.setdefault(piece.person, []).append((z, piece.key))
    return {person: _pace(scores, cut, spread > 0) for person, scores in own.items()}


def _pace(scores, cut, is_known) -> Pace:
    if not is_known:
        return Pace(None, 0, 0, len(scores), [])
    fast = [key for z, key in sorted(scores, key=lambda each: each[0]) if z < -cut]
    slow = sum(1 for z, _ in scores if z > cut)
    return Pace(median(z for z, _ in scores), len(fast), slow, len(scores), fast)


class PasteShare(NamedTuple):
    """`value`: pasted characters in all characters handed in, at most 1. `texts`: of which it is known."""

    value: float | None
    pasted: int
    characters: int
    texts: int
    mostly_pasted: int  # texts of which half or more may have been pasted


def paste_share(texts: Iterable[tuple[int, int | None]]) -> PasteShare:
    """From (characters of the text, pasted or dropped characters or None where not counted).

    What was pasted and deleted again counts as pasted, so a text's share is capped at 1.
    """
    known = [(size, min(size, pasted)) for size, pasted in texts if pasted is not None and size > 0]
    characters, pasted = sum(size for size, _ in known), sum(count for _, count in known)
    mostly = sum(1 for size, count in known if 2 * count >= size)
    return PasteShare(pasted / characters if characters else None, pasted, characters, len(known), mostly)


class SelfAgreement(NamedTuple):
    """Agreement of a person with themselves on repeats: pairwise (ties half), and mean tau-b."""

    agreement: Estimate
    tau_b: float | None
    repeats: int


def self_agreement(repeats: Sequence[tuple[Ranking, Ranking]], *, resamples: int = 1000) -> SelfAgreement:
    """From (first, second) rankings of the same completions by one person."""
    taus = [tau for pair in repeats if (tau := kendall_tau_b(*pair)) is not None]
    found = pairwise_agreement([list(pair) for pair in repeats], resamples=resamples)
    return SelfAgreement(found, sum(taus) / len(taus) if taus else None, len(repeats))


def stands_out(rate: Rate, baseline: float) -> bool:
    """Whether the whole interval lies on one side of the baseline."""
    return rate.pairs > 0 and not rate.interval.low <= baseline <= rate.interval.high


def expected_by_chance(readings: int, confidence: float = 0.95) -> float:
    """How many of so many independent readings stand out though nobody leans any way."""
    return readings * (1 - confidence)
