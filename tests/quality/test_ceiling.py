"""The ceiling brackets the best accuracy for every way of being hard."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.quality import Interval, accuracy_ceiling, ceiling_interval


def test_by_hand():
    # q = 0.9 on each pair: people agree on 0.82, and the best model is right on 0.9.
    assert accuracy_ceiling(0.82) == pytest.approx((0.82, 0.9))
    assert accuracy_ceiling(1) == (1, 1)
    assert accuracy_ceiling(0.3) == (0.5, 0.5)


@given(st.lists(st.floats(0.5, 1), min_size=1, max_size=20))
def test_whatever_the_pairs_are_the_best_accuracy_lies_between(shares):
    agreement = sum(q * q + (1 - q) ** 2 for q in shares) / len(shares)
    best = sum(shares) / len(shares)
    low, high = accuracy_ceiling(agreement)
    assert low - 1e-9 <= best <= high + 1e-7


def test_people_drawn_at_random_agree_as_the_ceiling_supposes():
    rng = random.Random(3)
    pairs = [rng.choice([0.6, 0.9]) for _ in range(40_000)]
    agreement = sum((rng.random() < q) == (rng.random() < q) for q in pairs) / len(pairs)
    accuracy = sum(rng.random() < q for q in pairs) / len(pairs)
    low, high = accuracy_ceiling(agreement)
    assert low < accuracy < high


def test_the_interval_takes_the_ends():
    found = ceiling_interval(Interval(0.6, 0.82))
    assert found == pytest.approx((0.6, 0.9))


def test_what_is_no_share_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        accuracy_ceiling(1.2)
