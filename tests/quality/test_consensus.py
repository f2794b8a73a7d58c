"""The consensus is Schulze's, respects ties and unrankables, and does not see the numbering."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.quality import schulze_consensus

RANKING = st.integers(2, 6).flatmap(
    lambda size: st.lists(
        st.lists(st.one_of(st.none(), st.integers(1, 4)), min_size=size, max_size=size),
        min_size=1,
        max_size=5,
    )
)


@settings(max_examples=400)
@given(RANKING, st.data())
def test_renaming_completions_renames_the_result(rankings, data):
    order = data.draw(st.permutations(range(len(rankings[0]))))
    original = schulze_consensus(rankings)
    renamed = schulze_consensus([[ranking[i] for i in order] for ranking in rankings])
    assert renamed.ranks == [original.ranks[i] for i in order]
    assert (
        renamed.support == pytest.approx(original.support)
        if original.support is not None
        else not renamed.support
    )


@given(RANKING, st.data())
def test_the_order_of_people_does_not_matter(rankings, data):
    shuffled = data.draw(st.permutations(rankings))
    assert schulze_consensus(shuffled).ranks == schulze_consensus(rankings).ranks


@given(st.lists(st.integers(1, 4), min_size=2, max_size=6), st.integers(1, 4))
def test_people_who_agree_get_their_own_order(ranking, people):
    levels = sorted(set(ranking))
    assert schulze_consensus([ranking] * people).ranks == [levels.index(rank) + 1 for rank in ranking]


@settings(max_examples=300)
@given(st.lists(st.permutations(range(4)), min_size=1, max_size=7))
def test_a_completion_that_beats_every_other_is_alone_at_the_top(rankings):
    def beats(i, j):
        return sum(r[i] < r[j] for r in rankings) > sum(r[j] < r[i] for r in rankings)

    ranks = schulze_consensus(rankings).ranks
    for i in range(4):
        if all(beats(i, j) for j in range(4) if j != i):
            assert ranks[i] == 1
            assert ranks.count(1) == 1
        if all(beats(j, i) for j in range(4) if j != i):
            assert ranks[i] == max(ranks)
            assert ranks.count(ranks[i]) == 1


def test_the_usual_example_of_the_method():
    # The method's usual example: 45 voters, five candidates, and the order E A C B D.
    votes = [
        (5, "ACBED"),
        (5, "ADECB"),
        (8, "BEDAC"),
        (3, "CABED"),
        (7, "CAEBD"),
        (2, "CBADE"),
        (7, "DCEBA"),
        (8, "EBADC"),
    ]
    rankings = []
    for count, order in votes:
        rankings += [[order.index(c) + 1 for c in "ABCDE"]] * count
    ranks = schulze_consensus(rankings).ranks
    assert "".join(sorted("ABCDE", key=lambda c: ranks["ABCDE".index(c)])) == "EACBD"
    assert sorted(ranks) == [1, 2, 3, 4, 5]


def strongest_path(wins, start, end, seen):
    """By trying every path: the greatest, over paths, of the weakest won contest on it."""
    direct = wins[start][end]
    others = [v for v in range(len(wins)) if v not in seen and v != end]
    return max([direct, *(min(wins[start][v], strongest_path(wins, v, end, seen | {v})) for v in others)])


@settings(max_examples=200)
@given(st.lists(st.lists(st.integers(1, 3), min_size=4, max_size=4), min_size=1, max_size=5))
def test_who_beats_whom_is_what_trying_every_path_says(rankings):
    size = range(4)
    votes = [[sum(r[i] < r[j] for r in rankings) for j in size] for i in size]
    wins = [[votes[i][j] if votes[i][j] > votes[j][i] else 0 for j in size] for i in size]
    beats = {
        (i, j)
        for i in size
        for j in size
        if i != j and strongest_path(wins, i, j, {i}) > strongest_path(wins, j, i, {j})
    }
    ranks = schulze_consensus(rankings).ranks
    assert all(ranks[i] < ranks[j] for i, j in beats)
    for j in size:  # nobody stands lower than the longest chain above them asks for
        above = [ranks[i] for i in size if (i, j) in beats]
        assert ranks[j] == max(above, default=0) + 1


def test_a_contest_that_is_not_won_carries_no_path():
    # a = b > c and c > b > a: only b against a is won, 1 to 0; a and c, b and c are even
    assert schulze_consensus([[1, 1, 2], [3, 2, 1]]).ranks == [2, 1, 1]


def test_weights_count_like_that_many_people():
    rankings = [[1, 2, 3], [3, 1, 2], [2, 3, 1]]
    assert (
        schulze_consensus(rankings, weights=[3, 2, 1]).ranks
        == schulze_consensus([rankings[0]] * 3 + [rankings[1]] * 2 + [rankings[2]]).ranks
    )


def test_a_perfect_cycle_is_a_tie_and_not_an_accident_of_numbering():
    assert schulze_consensus([[1, 2, 3], [3, 1, 2], [2, 3, 1]]).ranks == [1, 1, 1]


def test_ties_add_to_neither_side():
    assert schulze_consensus([[1, 1], [1, 1], [1, 2]]).ranks == [1, 2]
    assert schulze_consensus([[1, 1], [1, 2], [2, 1]]).ranks == [1, 1]


def test_what_most_could_not_rank_is_unrankable():
    assert schulze_consensus([[1, None, 2], [1, None, 2], [1, 2, 3]]).ranks == [1, None, 2]
    assert schulze_consensus([[1, None, 2], [2, 1, 3]]).ranks == [2, 1, 3]
    assert schulze_consensus([[None, None]]) == ([None, None], None)


def test_support_is_the_share_of_decided_pairs_that_it_follows():
    assert schulze_consensus([[1, 2], [1, 2], [2, 1]]).support == pytest.approx(2 / 3)
    assert schulze_consensus([[1, 2], [2, 1]]).support == 0.5
    assert schulze_consensus([[1, 1]]).support is None


@pytest.mark.parametrize(
    ("rankings", "weights"), [([], None), ([[1, 2], [1]], None), ([[1, 2]], [-1]), ([[1, 2]], [1, 1])]
)
def test_input_that_is_no_vote_is_refused(rankings, weights):
    with pytest.raises(ValueError):
        schulze_consensus(rankings, weights=weights)
