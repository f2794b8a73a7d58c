"""Agreement with the rest of a task, and a reward model's strongest contradiction, by hand."""

import math

import pytest

from labeling.quality.conflict import agreement_with_others, sigmoid, strongest_conflict


def test_opposite_orders_agree_on_nothing_and_equal_ones_on_all():
    assert agreement_with_others([[1, 2, 3], [3, 2, 1]]) == [0, 0]
    assert agreement_with_others([[1, 2, 3], [1, 2, 3]]) == [1, 1]


def test_it_is_the_share_of_pairs_over_all_others():
    # B against A: pairs 12 yes, 13 yes, 23 no -> 2 of 3. B against C: 12 no, 13 yes, 23 tie of C -> 1.5 of 3.
    a, b, c = [1, 2, 3], [1, 3, 2], [2, 1, 1]
    shares = agreement_with_others([a, b, c])
    # A against C: 12 no, 13 no, 23 tie -> 0.5 of 3; B against C: 12 no, 13 no, 23 tie -> 0.5 of 3
    assert shares == pytest.approx([(2 + 0.5) / 6, (2 + 0.5) / 6, (0.5 + 0.5) / 6])


def test_there_is_nothing_to_compare_alone_or_without_a_shared_pair():
    assert agreement_with_others([[1, 2]]) == [None]
    assert agreement_with_others([[1, None, 2], [None, 1, None]]) == [None, None]


def test_the_strongest_conflict_is_the_pair_the_model_is_surest_of():
    # The person: A > B > C. The model: C far above B, B a little above A.
    conflict = strongest_conflict([1, 2, 3], [0.0, 0.5, 3.0])
    assert conflict == pytest.approx(1 / (1 + math.exp(-3.0)))


def test_a_model_of_the_same_mind_is_below_one_half():
    assert strongest_conflict([1, 2], [2.0, 0.0]) == pytest.approx(1 / (1 + math.exp(2.0)))


def test_ties_unrankable_and_unscored_completions_say_nothing():
    assert strongest_conflict([1, 1], [0.0, 9.0]) is None
    assert strongest_conflict([1, None], [0.0, 9.0]) is None
    assert strongest_conflict([1, 2], [0.0, None]) is None


def test_huge_differences_do_not_overflow():
    assert (sigmoid(2e6), sigmoid(-2e6)) == (1.0, 0.0)
