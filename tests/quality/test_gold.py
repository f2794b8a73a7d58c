"""Agreement with a known answer, against arithmetic by hand and a slow obvious version."""

from __future__ import annotations

import itertools
import random

import pytest

from labeling.quality.gold import flag_agreement, order_agreement


@pytest.mark.parametrize(
    ("answer", "known", "right", "pairs"),
    [
        ([[1], [2], [3]], [[1], [2], [3]], 3, 3),
        ([[3], [2], [1]], [[1], [2], [3]], 0, 3),
        ([[1], [3], [2]], [[1], [2], [3]], 2, 3),  # 1>2, 1>3 right; 2>3 wrong
        ([[1, 2, 3]], [[1], [2], [3]], 1.5, 3),  # three ties where there should be none
        ([[1], [2], [3]], [[1, 2], [3]], 2.5, 3),  # one tie broken
        ([[1, 2], [3]], [[1, 2], [3]], 3, 3),  # the tie is right too
        ([[1], [2]], [[1], [2], [3]], 1, 3),  # 3 was left out: both its pairs are wrong
        ([[1], [2], [3]], [[1], [2]], 1, 1),  # the known answer says nothing of 3
        ([[1]], [[1]], 0, 0),
    ],
)
def test_pairs_right_by_hand(answer, known, right, pairs):
    found = order_agreement(answer, known)
    assert (found.right, found.pairs) == (right, pairs)


def test_no_pair_gives_no_share():
    assert order_agreement([[1]], [[1]]).share is None


def slow(answer, known) -> float:
    def better(tiers, a, b):
        place = {item: index for index, tier in enumerate(tiers) for item in tier}
        return (place[a] > place[b]) - (place[a] < place[b])

    items = sorted(item for tier in known for item in tier)
    total = 0.0
    for a, b in itertools.permutations(items, 2):
        mine, theirs = better(answer, a, b), better(known, a, b)
        total += 1 if mine == theirs else 0.5 if 0 in (mine, theirs) else 0
    return total / (len(items) * (len(items) - 1))


def tiers_of(source: random.Random, size: int) -> list[list[int]]:
    places = [source.randrange(size) for _ in range(size)]
    return [[i for i, p in enumerate(places) if p == place] for place in sorted(set(places))]


def test_it_equals_the_slow_version_on_random_orders():
    source = random.Random(7)
    for _ in range(300):
        size = source.randint(2, 9)
        answer, known = tiers_of(source, size), tiers_of(source, size)
        assert order_agreement(answer, known).share == pytest.approx(slow(answer, known), abs=1e-12)


@pytest.mark.parametrize(
    ("given", "known", "share"),
    [
        ({}, {}, 1),
        ({"1": ["harmful"]}, {"1": ["harmful"]}, 1),
        ({"1": ["harmful"]}, {}, 0),
        ({"1": ["harmful"], "2": ["impolite"]}, {"1": ["harmful"]}, 2 / 3),  # 2·1 / (2 + 1)
        ({"1": ["harmful"]}, {"2": ["harmful"]}, 0),
        ({1: ["harmful"]}, {"1": ["harmful"]}, 1),
    ],
)
def test_flags_by_dice(given, known, share):
    assert flag_agreement(given, known) == pytest.approx(share)
