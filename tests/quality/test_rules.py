"""All rules over one task: what each says, where they differ, circles of majorities; names never matter."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.quality import RULES, kemeny_consensus, majority_cycles, plackett_luce, schulze_consensus, weigh

RANKINGS = st.integers(2, 5).flatmap(
    lambda size: st.lists(
        st.lists(st.one_of(st.none(), st.integers(1, 3)), min_size=size, max_size=size),
        min_size=1,
        max_size=5,
    )
)
# Nine people whose majorities go round: A before B by 5, B before C by 7, C before A by 6.
RING = [[1, 2, 3]] * 3 + [[3, 1, 2]] * 4 + [[2, 3, 1]] * 2


@settings(max_examples=150, deadline=None)
@given(RANKINGS, st.data())
def test_renaming_completions_renames_what_every_rule_says(rankings, data):
    order = data.draw(st.permutations(range(len(rankings[0]))))
    original = weigh(rankings)
    renamed = weigh([[ranking[i] for i in order] for ranking in rankings])
    for rule, opinion in original.opinions.items():
        assert renamed.opinions[rule].ranks == [opinion.ranks[i] for i in order], rule
    back = {frozenset(order[i] for i in cycle) for cycle in renamed.cycles}
    assert back == {frozenset(cycle) for cycle in original.cycles}
    disputed = {frozenset((t.first, t.second)) for t in original.pairs if t.is_disputed}
    assert {frozenset((order[t.first], order[t.second])) for t in renamed.pairs if t.is_disputed} == disputed


@given(RANKINGS)
@settings(max_examples=60, deadline=None)
def test_each_opinion_is_that_of_its_own_rule(rankings):
    found = weigh(rankings).opinions
    assert tuple(found) == tuple(rule for rule, _ in RULES)
    assert found["schulze"].ranks == schulze_consensus(rankings).ranks
    assert found["kemeny"].ranks == kemeny_consensus(rankings).ranks
    assert found["plackett_luce"].ranks == plackett_luce(rankings).ranks
    unrankable = [rank is None for rank in found["schulze"].ranks]
    assert all([rank is None for rank in each.ranks] == unrankable for each in found.values())


def test_majorities_that_go_in_a_circle_are_named():
    assert majority_cycles(RING) == [[0, 1, 2]]
    assert weigh(RING).cycles == [[0, 1, 2]]
    assert majority_cycles([[1, 2, 3], [1, 2, 3], [2, 1, 3]]) == []


def test_two_circles_are_two():
    apart = [[*ring, *(rank + 3 for rank in ring)] for ring in ([1, 2, 3], [2, 3, 1], [3, 1, 2])]
    assert majority_cycles(apart) == [[0, 1, 2], [3, 4, 5]]


def test_a_pair_that_the_rules_put_differently_is_disputed():
    """Two tie A and B, one puts A first: Kemeny ties them, the others do not."""
    found = weigh([[1, 1], [1, 1], [1, 2]])
    assert found.opinions["kemeny"].ranks == [1, 1]
    assert found.opinions["schulze"].ranks == found.opinions["plackett_luce"].ranks == [1, 2]
    [pair] = found.pairs
    assert (pair.before, pair.tied, pair.after, pair.is_disputed) == (1, 2, 0, True)
    assert 0.5 < pair.better < 0.7


def test_how_sure_a_step_is_is_that_of_its_least_sure_pair():
    rankings = [[1, 2, 2], [1, 2, 2], [1, 3, 2], [1, 2, 3]]
    opinion = weigh(rankings).opinions["plackett_luce"]
    better = plackett_luce(rankings).better
    assert opinion.ranks == [1, 2, 2]
    assert opinion.surest_of == (pytest.approx(min(better[0][1], better[0][2])),)


def test_reliability_turns_the_two_rules_that_know_of_it_and_no_other():
    rankings = [[1, 2, 3], [3, 2, 1], [3, 2, 1]]
    plain, told = weigh(rankings), weigh(rankings, reliability=[0.95, 0.55, 0.55])
    assert plain.opinions["plackett_luce"].ranks == plain.opinions["bradley_terry"].ranks == [3, 2, 1]
    assert told.opinions["plackett_luce"].ranks == told.opinions["bradley_terry"].ranks == [1, 2, 3]
    assert told.opinions["schulze"] == plain.opinions["schulze"]
    assert told.opinions["kemeny"] == plain.opinions["kemeny"]


def test_who_is_not_known_yet_counts_as_usual():
    rankings = [[1, 2, 3], [2, 1, 3]]
    assert weigh(rankings, reliability=[None, None]) == weigh(rankings)
