"""Pairwise agreement follows its tie rule, passes over the unranked, and does not see the numbering."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.quality import TieRule, pairwise_agreement, ranking_alpha

A, B, TIE = [1, 2], [2, 1], [1, 1]


@pytest.mark.parametrize(
    ("first", "second", "half", "disagree", "skip"),
    [
        (A, A, 1, 1, 1),
        (A, B, 0, 0, 0),
        (A, TIE, 0.5, 0, None),
        (TIE, TIE, 1, 1, None),
    ],
)
def test_two_people_on_one_pair(first, second, half, disagree, skip):
    found = [pairwise_agreement([[first, second]], ties=rule).value for rule in TieRule]
    assert found == [half, disagree, skip]


def test_three_people_by_hand():
    # a > b > c, a > c > b, (a b) > c: ab 1 1 ~, ac 1 1 1, bc 1 -1 1
    rankings = [[1, 2, 3], [1, 3, 2], [1, 1, 2]]
    # pairs of people: 1-2: ab 1, ac 1, bc 0; 1-3: ab ½, ac 1, bc 1; 2-3: ab ½, ac 1, bc 0
    estimate = pairwise_agreement([rankings])
    assert (estimate.value, estimate.size) == (6 / 9, 9)


def test_a_task_that_ten_share_does_not_outweigh_ten_tasks_that_two_share():
    """Ten people agree on one pair (10 judgments), two contradict each other on each of ten (20)."""
    tasks = [[A] * 10, *([A, B] for _ in range(10))]
    estimate = pairwise_agreement(tasks)
    assert estimate.value == pytest.approx(10 / 30)
    assert estimate.size == 45 + 10
    # Alpha holds the same agreement against that by chance: of two drawn from 30 of either sign, 30 of 59.
    assert ranking_alpha(tasks).value == pytest.approx(1 - (1 - estimate.value) / (30 / 59))
    assert pairwise_agreement(tasks, ties=TieRule.SKIP).value == pytest.approx(10 / 30)


def test_who_ties_is_no_judge_where_ties_are_left_out():
    """Three decide a pair and agree, seven tie: three judgments. Two decide another and do not: two."""
    tasks = [[A] * 3 + [TIE] * 7, [A, B]]
    estimate = pairwise_agreement(tasks, ties=TieRule.SKIP)
    assert (estimate.value, estimate.size) == (pytest.approx(3 / 5), 4)


def test_what_one_could_not_rank_is_left_out():
    estimate = pairwise_agreement([[[1, None, 2], [1, 2, 3]]])
    assert (estimate.value, estimate.size) == (1.0, 1)


def test_tasks_with_one_person_and_no_tasks_say_nothing():
    assert pairwise_agreement([[A]]) == pairwise_agreement([]) == (None, None, 0)


def test_rankings_of_different_tasks_are_refused():
    with pytest.raises(ValueError, match="not of one task"):
        pairwise_agreement([[[1, 2], [1, 2, 3]]])


def test_the_interval_holds_the_value_and_narrows_with_more_tasks():
    rng = random.Random(5)

    def estimate(count):
        tasks = [[A, A if rng.random() < 0.75 else B] for _ in range(count)]
        return pairwise_agreement(tasks, seed=1)

    few, many = estimate(40), estimate(1000)
    assert few.interval.low < few.value < few.interval.high
    assert many.interval.high - many.interval.low < (few.interval.high - few.interval.low) / 3
    # a share of 0.75 of 1000: ± 1.96 * sqrt(0.75 * 0.25 / 1000)
    assert many.interval.high - many.interval.low == pytest.approx(2 * 1.96 * (0.1875 / 1000) ** 0.5, rel=0.2)


RANKING = st.lists(st.one_of(st.none(), st.integers(1, 4)), min_size=4, max_size=4)


@given(st.lists(RANKING, min_size=2, max_size=4), st.permutations(range(4)), st.sampled_from(list(TieRule)))
def test_renaming_completions_changes_nothing(rankings, order, rule):
    renamed = [[ranking[i] for i in order] for ranking in rankings]
    first = pairwise_agreement([rankings], ties=rule, resamples=2)
    again = pairwise_agreement([renamed], ties=rule, resamples=2)
    assert again.value == pytest.approx(first.value) and again.size == first.size
