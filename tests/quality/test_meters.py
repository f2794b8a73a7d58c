"""Meters of length, pace, pasting and self-agreement, against arithmetic by hand and simulated leanings."""

import math
import random

import pytest
from scipy.optimize import minimize_scalar

from labeling.quality import (
    Judgment,
    Piece,
    clustered_rate,
    expected_by_chance,
    length_slope,
    paces,
    paste_share,
    self_agreement,
    wilson_interval,
)


def pair(winner, loser):
    """A judgment of two texts of these lengths, the first of which won."""
    return Judgment(ranks=[1, 2], shown=[0, 1], lengths=[winner, loser])


def test_the_slope_maximises_the_likelihood():
    judgments = [pair(100, 50), pair(80, 20), pair(30, 90), pair(200, 190), pair(10, 40), pair(75, 60)]
    apart = [math.log1p(j.lengths[0]) - math.log1p(j.lengths[1]) for j in judgments]
    best = minimize_scalar(lambda slope: sum(math.log1p(math.exp(-slope * d)) for d in apart), tol=1e-12).x
    assert length_slope(judgments).value == pytest.approx(best, abs=1e-6)


def test_the_slope_by_hand():
    # Lengths 1 to 3 are log1p apart by log 2. Three wins of four: 2^slope = 3.
    judgments = [pair(3, 1)] * 3 + [pair(1, 3)]
    assert length_slope(judgments).value == pytest.approx(math.log(3) / math.log(2), abs=1e-9)


def test_a_leaning_is_found_again_and_the_interval_covers_it():
    rng = random.Random(5)
    inside = 0
    for _ in range(60):
        judgments = []
        for _ in range(150):
            a, b = rng.randint(20, 400), rng.randint(20, 400)
            chance = 1 / (1 + ((1 + b) / (1 + a)) ** 0.8)
            judgments.append(pair(a, b) if rng.random() < chance else pair(b, a))
        low, high = length_slope(judgments).interval
        inside += low <= 0.8 <= high
    assert 51 <= inside <= 60  # 57 expected


def test_where_the_longer_always_wins_there_is_no_slope():
    assert length_slope([pair(20, 10), pair(30, 10)]).value is None
    assert length_slope([]).pairs == 0


def test_independent_pairs_get_wilsons_interval():
    judgments = [(1, 1)] * 30 + [(0, 1)] * 20
    assert clustered_rate(judgments).interval == pytest.approx(wilson_interval(30, 50), abs=1e-9)


def test_pairs_that_stand_and_fall_together_count_as_one():
    together = clustered_rate([(6, 6)] * 30 + [(0, 6)] * 20)
    assert together.value == 0.6
    assert together.pairs == 300
    assert together.interval == pytest.approx(wilson_interval(30, 50), abs=1e-9)


def test_a_person_who_ranks_at_random_is_marked_as_often_as_chance_allows():
    rng = random.Random(11)
    outside = 0
    for _ in range(300):
        tallies = []
        for _ in range(60):
            place = rng.sample(range(4), 4)  # the place on the screen of the best, second, …
            tallies.append((sum(place[i] < place[j] for i in range(4) for j in range(i + 1, 4)), 6))
        low, high = clustered_rate(tallies).interval
        outside += not low <= 0.5 <= high
    assert 5 <= outside <= 28  # 15 expected; taken as independent it would be about 40
    assert expected_by_chance(300) == pytest.approx(15)


def test_paces_by_hand():
    # One second for each of 100 characters, twice and half that, and one piece done in a blink.
    pieces = [Piece(n, "ann", seconds, 100) for n, seconds in enumerate([100, 100, 200, 50, 110, 90, 100.5])]
    pieces.append(Piece("blink", "bob", 1, 100))
    found = paces(pieces)
    assert found["bob"].fast == 1
    assert found["bob"].outlying == ["blink"]
    assert found["bob"].z < -3.5
    assert abs(found["ann"].z) < 0.5


def test_pieces_without_time_or_text_are_left_out_and_equal_paces_say_nothing():
    assert paces([Piece(1, "ann", 0, 100), Piece(2, "ann", 10, 0)]) == {}
    assert paces([Piece(n, "ann", 10, 100) for n in range(5)])["ann"].z is None


def test_pasted_characters_are_capped_by_the_text():
    share = paste_share([(100, 250), (100, 0), (50, None), (0, 3)])
    assert (share.value, share.pasted, share.characters, share.texts, share.mostly_pasted) == (
        0.5,
        100,
        200,
        2,
        1,
    )
    assert paste_share([(10, None)]).value is None


def test_agreement_with_oneself():
    found = self_agreement([([1, 2, 3], [1, 2, 3]), ([1, 2, 3], [2, 1, 3])], resamples=10)
    assert found.agreement.value == pytest.approx(5 / 6)
    assert found.tau_b == pytest.approx(2 / 3)
    assert found.repeats == 2
