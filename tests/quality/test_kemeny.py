"""Kemeny's consensus is the true optimum, and sees neither the numbering nor the order of people."""

from fractions import Fraction
from itertools import combinations, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.quality import kemeny_consensus


def profiles(completions, people=4, missing=True):
    rank = st.one_of(st.none(), st.integers(1, 3)) if missing else st.integers(1, 3)
    return st.lists(st.lists(rank, min_size=completions, max_size=completions), min_size=1, max_size=people)


def weak_orders(size):
    """Every weak order, as ranks without gaps."""
    for ranks in product(range(1, size + 1), repeat=size):
        if set(ranks) == set(range(1, max(ranks) + 1)):
            yield ranks


def distance(order, rankings):
    total = Fraction(0)
    for ranking in rankings:
        for i, j in combinations(range(len(order)), 2):
            if ranking[i] is None or ranking[j] is None:
                continue
            said = (ranking[i] > ranking[j]) - (ranking[i] < ranking[j])
            kept = (order[i] > order[j]) - (order[i] < order[j])
            total += Fraction(abs(said - kept), 2)
    return total


@settings(max_examples=150, deadline=None)
@given(profiles(4, missing=False))
def test_no_weak_order_is_nearer_and_all_the_nearest_are_counted(rankings):
    found = kemeny_consensus(rankings)
    distances = [distance(order, rankings) for order in weak_orders(4)]
    assert found.distance == min(distances)
    assert found.optima == distances.count(min(distances))


@settings(max_examples=150, deadline=None)
@given(profiles(4, missing=False))
def test_among_strict_orders_the_same_holds(rankings):
    found = kemeny_consensus(rankings, allow_ties=False)
    distances = [distance(order, rankings) for order in permutations(range(1, 5))]
    assert (found.distance, found.optima) == (min(distances), distances.count(min(distances)))


@settings(max_examples=150, deadline=None)
@given(profiles(4, missing=False))
def test_the_answer_is_the_mean_position_over_all_optimal_orders(rankings):
    least = min(distance(order, rankings) for order in weak_orders(4))
    optimal = [order for order in weak_orders(4) if distance(order, rankings) == least]
    # A completion's position: how many stand before it, and half of those beside it.
    mean = [
        sum(
            sum(other < order[i] for other in order)
            + Fraction(sum(other == order[i] for other in order) - 1, 2)
            for order in optimal
        )
        for i in range(4)
    ]
    assert kemeny_consensus(rankings).ranks == [sorted(set(mean)).index(each) + 1 for each in mean]


@pytest.mark.parametrize("allow_ties", [True, False])
@settings(max_examples=60, deadline=None)
@given(rankings=profiles(4))
def test_every_renaming_of_the_completions_renames_the_result(allow_ties, rankings):
    original = kemeny_consensus(rankings, allow_ties=allow_ties)
    for order in permutations(range(4)):
        renamed = kemeny_consensus([[r[i] for i in order] for r in rankings], allow_ties=allow_ties)
        assert renamed.ranks == [original.ranks[i] for i in order]


@settings(max_examples=100, deadline=None)
@given(profiles(5), st.data())
def test_the_order_of_people_does_not_matter_nor_does_a_common_factor(rankings, data):
    weights = data.draw(
        st.lists(st.sampled_from([0.1, 0.3, 1.0, 2.5]), min_size=len(rankings), max_size=len(rankings))
    )
    order = data.draw(st.permutations(range(len(rankings))))
    one = kemeny_consensus(rankings, weights=weights)
    other = kemeny_consensus([rankings[i] for i in order], weights=[weights[i] for i in order])
    assert one.ranks == other.ranks
    assert one.ranks == kemeny_consensus(rankings, weights=[4 * weight for weight in weights]).ranks


def test_a_circle_of_three_is_a_tie():
    assert kemeny_consensus([[1, 2, 3], [3, 1, 2], [2, 3, 1]]).ranks == [1, 1, 1]


def test_a_tie_that_most_share_stays_one():
    found = kemeny_consensus([[1, 1, 2], [1, 1, 2], [1, 2, 3]])
    assert found.ranks == [1, 1, 2]
    assert found.distance == 0.5


def test_what_most_could_not_rank_is_unrankable():
    assert kemeny_consensus([[1, None, 2], [2, None, 1], [1, 2, 3]]).ranks == [1, None, 2]


def test_nine_completions_are_solved_and_ten_are_refused():
    assert kemeny_consensus([list(range(1, 10))]).ranks == list(range(1, 10))
    with pytest.raises(ValueError, match="at most 9"):
        kemeny_consensus([list(range(10))])
