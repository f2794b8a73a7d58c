"""Reliability of people is found, and neither names nor order of anything matter."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.quality import crowd_consensus


def noisy(rng, size, noise):
    order = sorted(range(size), key=lambda i: i + rng.gauss(0, noise))
    return [order.index(i) + 1 for i in range(size)]


@pytest.fixture(scope="module")
def crowd():
    """Two careful people, one who tosses coins, and 80 tasks whose completions stand in their true order."""
    rng = random.Random(1)
    noise = {"ann": 0.3, "bob": 0.6, "coin": 50}
    return [{person: noisy(rng, 4, each) for person, each in noise.items()} for _ in range(80)]


def test_the_one_who_tosses_coins_is_found(crowd):
    reliability = crowd_consensus(crowd).reliability
    assert reliability["ann"] > 0.9
    assert reliability["bob"] > 0.9
    assert 0.4 < reliability["coin"] < 0.6


def test_one_who_says_the_opposite_is_below_one_half(crowd):
    turned = [{**task, "coin": [5 - rank for rank in task["ann"]]} for task in crowd]
    assert crowd_consensus(turned).reliability["coin"] < 0.2


def test_the_unreliable_one_does_not_decide(crowd):
    found = crowd_consensus(crowd)
    right = sum(ranks == [1, 2, 3, 4] for ranks in found.ranks)
    alone = sum(task["coin"] == [1, 2, 3, 4] for task in crowd)
    assert right > 0.75 * len(crowd) > 5 * alone


TASKS = st.lists(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.lists(st.one_of(st.none(), st.integers(1, 3)), min_size=3, max_size=3),
        min_size=1,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(TASKS, st.data())
def test_renaming_and_reordering_change_nothing_else(tasks, data):
    original = crowd_consensus(tasks)
    order = data.draw(st.permutations(range(3)))
    turn = data.draw(st.permutations(range(len(tasks))))
    names = dict(zip("abcd", data.draw(st.permutations("wxyz")), strict=True))
    renamed = [
        {
            names[person]: [tasks[i][person][place] for place in order]
            for person in sorted(tasks[i], reverse=True)
        }
        for i in turn
    ]
    found = crowd_consensus(renamed)
    for number, i in enumerate(turn):
        for place, old in enumerate(order):
            before, after = original.strengths[i][old], found.strengths[number][place]
            assert (before is None) == (after is None)
            assert before is None or after == pytest.approx(before, abs=1e-6)
    for person, value in original.reliability.items():
        assert found.reliability[names[person]] == pytest.approx(value, abs=1e-6)


def test_ties_pull_together_and_unranked_completions_have_no_strength():
    [ranks], [strengths], _ = crowd_consensus([{"a": [1, 1, None], "b": [1, 1, None]}])
    assert ranks == [1, 1, None]
    assert strengths[2] is None


def test_the_strengths_are_the_maximum_of_their_posterior():
    # One person, reliability 1: Bradley-Terry with a normal prior. One win: s = 1 - σ(2s) at the maximum.
    [[high, low]] = crowd_consensus([{"a": [1, 2]}], reliability={"a": 1 - 1e-12}).strengths
    assert high == pytest.approx(-low, abs=1e-9)
    assert high == pytest.approx(1 - 1 / (1 + pow(2.718281828459045, -(high - low))), abs=1e-8)


def test_rankings_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="one set of completions"):
        crowd_consensus([{"a": [1, 2], "b": [1, 2, 3]}])
