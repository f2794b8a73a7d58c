"""Plackett–Luce: the fit is the maximum it says it is, and neither names nor the order of people matter."""

from itertools import combinations, permutations
from math import erf, exp, log

import choix
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from labeling.quality import adherence_of, plackett_luce
from labeling.quality.crowd import SAME

RANKINGS = st.integers(2, 5).flatmap(
    lambda size: st.lists(
        st.lists(st.one_of(st.none(), st.integers(1, 4)), min_size=size, max_size=size),
        min_size=1,
        max_size=4,
    )
)


def slow_posterior(strengths, rankings, weights, adherence):
    """The model as its words say: each order that a ranking stands for, choice by choice."""
    value = -sum(each * each for each in strengths) / 2
    for ranking, weight, able in zip(rankings, weights, adherence, strict=True):
        ranked = [i for i, rank in enumerate(ranking) if rank is not None]
        orders = [
            order
            for order in permutations(ranked)
            if all(ranking[a] <= ranking[b] for a, b in zip(order, order[1:], strict=False))
        ]
        for order in orders:
            for place, chosen in enumerate(order):
                rest = sum(exp(able * strengths[i]) for i in order[place:])
                value += weight / len(orders) * (able * strengths[chosen] - log(rest))
    return value


def the_rankable(rankings, weights):
    """Rankings without the completions that people of more than half the weight could not rank."""
    whole = sum(weights)
    kept = [
        i
        for i in range(len(rankings[0]))
        if sum(w for r, w in zip(rankings, weights, strict=True) if r[i] is None) <= whole / 2
    ]
    return kept, [[ranking[i] for i in kept] for ranking in rankings]


@settings(max_examples=60, deadline=None)
@given(RANKINGS, st.data())
def test_it_is_what_a_slow_direct_maximisation_finds(rankings, data):
    def numbers(low, high):
        return data.draw(st.lists(st.floats(low, high), min_size=len(rankings), max_size=len(rankings)))

    weights, adherence = numbers(0.25, 2), numbers(0, 2)
    kept, inner = the_rankable(rankings, weights)
    found = plackett_luce(rankings, weights=weights, adherence=adherence)
    assume(kept)
    slow = minimize(
        lambda at: -slow_posterior(at, inner, weights, adherence), np.zeros(len(kept)), options={"gtol": 1e-8}
    )
    centred = slow.x - slow.x.mean()
    assert [found.strengths[i] for i in kept] == pytest.approx(list(centred), abs=1e-5)
    assert [i for i, each in enumerate(found.strengths) if each is not None] == kept
    assert found.steps < 30


@settings(max_examples=200, deadline=None)
@given(RANKINGS, st.data())
def test_renaming_completions_renames_the_result_and_people_have_no_order(rankings, data):
    order = data.draw(st.permutations(range(len(rankings[0]))))
    people = data.draw(st.permutations(range(len(rankings))))
    original = plackett_luce(rankings)
    renamed = plackett_luce([[rankings[person][i] for i in order] for person in people])
    assert renamed.ranks == [original.ranks[i] for i in order]
    assert [each for each in renamed.strengths if each is not None] == pytest.approx(
        [original.strengths[i] for i in order if original.strengths[i] is not None], abs=1e-9
    )
    for i, j in combinations(range(len(order)), 2):
        assert renamed.better[i][j] == pytest.approx(original.better[order[i]][order[j]], abs=1e-9)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(2, 5).flatmap(
        lambda size: st.lists(
            st.lists(st.integers(1, 3), min_size=size, max_size=size), min_size=1, max_size=4
        )
    )
)
def test_what_everybody_says_of_two_completions_stands(rankings):
    ranks = plackett_luce(rankings).ranks
    for i, j in permutations(range(len(ranks)), 2):
        if all(ranking[i] < ranking[j] for ranking in rankings):
            assert ranks[i] < ranks[j]
        if all(ranking[i] == ranking[j] for ranking in rankings):
            assert ranks[i] == ranks[j]


@pytest.mark.parametrize(("wins", "losses", "ties"), [(1, 0, 0), (3, 1, 0), (2, 0, 3), (5, 4, 1)])
def test_of_two_completions_it_is_bradley_terry_with_half_a_win_for_a_tie(wins, losses, ties):
    """With strengths ±d/2 the gradient is (wins + ties/2) - n·σ(d) - d/2."""
    rankings = [[1, 2]] * wins + [[2, 1]] * losses + [[1, 1]] * ties
    found = plackett_luce(rankings)
    d = found.strengths[0] - found.strengths[1]
    slope = wins + ties / 2 - len(rankings) / (1 + exp(-d)) - d / 2
    assert slope == pytest.approx(0, abs=1e-9)


def test_the_certainty_of_a_single_judgment_by_hand():
    """1 - σ(d) = d/2 has the root d = 0.67484…; the curvature along (1, -1)/√2 is 1 + 2·σ(d)·σ(-d)."""
    found = plackett_luce([[1, 2]])
    d = found.strengths[0] - found.strengths[1]
    assert 1 - 1 / (1 + exp(-d)) == pytest.approx(d / 2, abs=1e-10)
    chance = 1 / (1 + exp(-d))
    error = (2 / (1 + 2 * chance * (1 - chance))) ** 0.5
    assert found.better[0][1] == pytest.approx(0.5 * (1 + erf(d / error / 2**0.5)), abs=1e-12)
    assert found.better[0][1] + found.better[1][0] == pytest.approx(1, abs=1e-12)


def test_it_equals_a_public_package_on_whole_and_partial_rankings_without_ties():
    orders = [(0, 1, 2, 3), (1, 0, 2, 3), (0, 2, 1), (3, 1), (0, 1, 3, 2)]
    rankings = [[order.index(i) + 1 if i in order else None for i in range(4)] for order in orders]
    reference = choix.opt_rankings(4, orders, alpha=0.5, tol=1e-12)  # its penalty is α·|θ|²
    found = plackett_luce(rankings)
    assert found.strengths == pytest.approx(list(reference - reference.mean()), abs=1e-5)


def test_three_people_in_a_ring_are_a_tie_of_three():
    found = plackett_luce([[1, 2, 3], [2, 3, 1], [3, 1, 2]])
    assert found.ranks == [1, 1, 1]
    assert found.better[0][1] == pytest.approx(0.5)


def test_more_people_who_agree_make_it_surer():
    sure = [plackett_luce([[1, 2, 3]] * people).better[0][1] for people in (1, 2, 4, 8)]
    assert sure == sorted(sure)
    assert sure[0] < 0.8
    assert sure[-1] > 0.95


def test_a_reliable_person_outweighs_two_who_toss_coins():
    rankings = [[1, 2, 3], [3, 2, 1], [3, 1, 2]]
    coins = [adherence_of(0.9), adherence_of(0.52), adherence_of(0.52)]
    assert plackett_luce(rankings, adherence=coins).ranks == [1, 2, 3]
    assert plackett_luce(rankings).ranks != [1, 2, 3]
    assert plackett_luce(rankings, adherence=[0, 0, 0]).ranks == [1, 1, 1]


def test_adherence_is_one_at_the_usual_reliability_and_zero_at_a_coin():
    assert adherence_of(7 / 8) == pytest.approx(1)
    assert adherence_of(0.5) == adherence_of(0.2) == 0
    assert adherence_of(49 / 50) == pytest.approx(2)  # odds of 49 are 7²
    assert adherence_of(1.0) < 20


def test_weight_counts_a_ranking_as_so_many():
    twice = plackett_luce([[1, 2, 2], [2, 1, 3]], weights=[2, 1])
    repeated = plackett_luce([[1, 2, 2], [1, 2, 2], [2, 1, 3]])
    assert twice.strengths == pytest.approx(repeated.strengths, abs=1e-12)


def test_what_most_people_cannot_rank_is_unrankable():
    found = plackett_luce([[1, None, 2], [1, None, 2], [2, 1, 3]])
    assert found.ranks == [1, None, 2]
    assert found.strengths[1] is found.errors[1] is found.better[0][1] is None


def test_nothing_rankable_is_no_error():
    found = plackett_luce([[None, None]])
    assert (found.ranks, found.support) == ([None, None], None)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.permutations(range(1, 10)), min_size=1, max_size=20))
def test_nine_completions_and_twenty_people_settle(rankings):
    found = plackett_luce(rankings, adherence=[3.0] * len(rankings))
    ranked = sorted(range(9), key=lambda i: found.ranks[i])
    strengths = [found.strengths[i] for i in ranked]
    assert all(a >= b - SAME for a, b in zip(strengths, strengths[1:], strict=False))
    assert found.steps < 50


@pytest.mark.parametrize(
    "arguments",
    [
        {"rankings": []},
        {"rankings": [[1, 2], [1]]},
        {"rankings": [list(range(10))]},
        {"rankings": [[1, 2]], "adherence": [-1]},
        {"rankings": [[1, 2]], "adherence": [1, 1]},
        {"rankings": [[1, 2]], "adherence": [float("inf")]},
        {"rankings": [[1, 2]], "weights": [-1]},
    ],
)
def test_nonsense_is_refused(arguments):
    with pytest.raises(ValueError, match="a consensus needs|at most|one adherence|one weight"):
        plackett_luce(**arguments)
