"""The meters read what they say: the earlier place, each place, the longer text."""

import random

import pytest

from labeling.quality import Judgment, length_bias, position_bias, position_win_rates


def judgment(ranks, shown=None, lengths=None):
    size = range(len(ranks))
    return Judgment(ranks, shown or list(size), lengths or [1] * len(ranks))


def test_the_earlier_of_two_that_were_told_apart():
    # shown c, a, b; order a > b, c tied with a: pairs ab (a earlier, wins), bc (c earlier, wins)
    rate = position_bias([judgment([1, 2, 1], shown=[2, 0, 1])])
    assert (rate.wins, rate.pairs, rate.value) == (2, 2, 1.0)
    assert position_bias([judgment([1, 2], shown=[1, 0])]).value == 0.0


def test_each_place_has_its_rate_with_ties_as_halves():
    rates = position_win_rates([judgment([1, 2, 2], shown=[2, 0, 1])])
    # places: c 0, a 1, b 2. a beats both; b and c tie.
    assert [(rate.wins, rate.pairs) for rate in rates] == [(0.5, 2), (2, 2), (0.5, 2)]


def test_rankings_of_different_size_share_their_places():
    rates = position_win_rates([judgment([1, 2]), judgment([1, 2, 3])])
    assert [rate.pairs for rate in rates] == [3, 3, 2]


def test_the_longer_of_two_that_were_told_apart():
    rate = length_bias([judgment([1, 2, 3], lengths=[5, 9, 5]), judgment([1, 1], lengths=[1, 2])])
    # ab: shorter wins; bc: longer wins; ac: equal length, left out; the tie is left out
    assert (rate.wins, rate.pairs) == (1, 2)


def test_what_was_not_ranked_is_left_out():
    assert position_bias([judgment([1, None])]).value is None
    assert position_win_rates([judgment([1, None])]) == []
    assert length_bias([judgment([None, 1], lengths=[1, 2])]).pairs == 0


def test_a_person_without_a_leaning_is_inside_the_interval_and_one_with_is_not():
    rng = random.Random(3)

    def read(lean):
        judgments = []
        for _ in range(300):
            shown = rng.sample([0, 1], 2)
            first_wins = rng.random() < lean
            winner = shown[0] if first_wins else shown[1]
            judgments.append(Judgment([1, 2] if winner == 0 else [2, 1], shown, [1, 1]))
        return position_bias(judgments).interval

    assert read(0.5).low < 0.5 < read(0.5).high
    assert read(0.7).low > 0.55


@pytest.mark.parametrize(("shown", "lengths"), [([0, 0], [1, 1]), ([0], [1, 1]), ([0, 1], [1])])
def test_a_judgment_that_does_not_fit_itself_is_refused(shown, lengths):
    for meter in (position_bias, position_win_rates, length_bias):
        with pytest.raises(ValueError):
            meter([Judgment([1, 2], shown, lengths)])
