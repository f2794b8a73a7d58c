"""Alpha equals the krippendorff package to 1e-9, and rankings' alpha corrects for chance."""

import random

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from labeling.quality import krippendorff_alpha, ranking_alpha

RATING = st.one_of(st.none(), st.integers(1, 5))
UNITS = st.integers(2, 4).flatmap(
    lambda raters: st.lists(st.lists(RATING, min_size=raters, max_size=raters), min_size=2, max_size=12)
)


def reference(units, level):
    table = np.array([[np.nan if v is None else v for v in unit] for unit in units], dtype=float).T
    return krippendorff.alpha(reliability_data=table, level_of_measurement=level)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_it_equals_the_package(level):
    @settings(max_examples=150, deadline=None)
    @given(UNITS)
    def check(units):
        pairable = [
            value
            for unit in units
            if sum(v is not None for v in unit) > 1
            for value in unit
            if value is not None
        ]
        assume(len(set(pairable)) > 1)
        found = krippendorff_alpha(units, level=level, resamples=1).value
        assert found == pytest.approx(reference(units, level), abs=1e-9)

    check()


def test_krippendorffs_own_example():
    # Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C.
    n = None
    coders = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, n, n, n],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, n, 3],
        [n, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, n],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, n],
    ]
    units = list(zip(*coders, strict=True))
    values = [
        round(krippendorff_alpha(units, level=level, resamples=1).value, 3)
        for level in ("nominal", "ordinal", "interval")
    ]
    assert values == [0.743, 0.815, 0.849]


def test_one_value_or_one_rater_is_undefined():
    assert krippendorff_alpha([[1, 1], [1, 1]]).value is None
    assert krippendorff_alpha([[1, None], [None, 2]]) == (None, None, 0)
    assert krippendorff_alpha([]) == (None, None, 0)


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="nominal, ordinal or interval"):
        krippendorff_alpha([[1, 2]], level="ratio")


def test_the_interval_holds_the_value_and_clusters_widen_it():
    rng = random.Random(2)
    base = [[v, v if rng.random() < 0.7 else 1 - v] for v in (rng.randint(0, 1) for _ in range(60))]
    units = [unit for unit in base for _ in range(4)]  # each judgment four times over
    clusters = [number for number in range(60) for _ in range(4)]
    alone = krippendorff_alpha(units)
    together = krippendorff_alpha(units, clusters=clusters)
    assert alone.value == together.value
    assert together.interval.low < together.value < together.interval.high
    assert together.interval.high - together.interval.low > 1.5 * (alone.interval.high - alone.interval.low)


def noisy(rng, size, skill):
    truth = list(range(size))
    return sorted(truth, key=lambda i: i * skill + rng.gauss(0, 1))


def test_rankings_at_random_have_an_alpha_of_zero_and_equal_ones_of_one():
    rng = random.Random(4)
    at_random = [[rng.sample(range(4), 4) for _ in range(3)] for _ in range(400)]
    assert abs(ranking_alpha(at_random, resamples=50).value) < 0.05
    assert ranking_alpha([[[1, 2, 3], [1, 2, 3]], [[2, 1, 3], [2, 1, 3]]], resamples=2).value == 1.0


@given(
    st.lists(st.lists(st.integers(1, 3), min_size=3, max_size=3), min_size=2, max_size=4),
    st.permutations(range(3)),
)
def test_the_alpha_of_rankings_does_not_see_the_numbering(rankings, order):
    renamed = [[ranking[i] for i in order] for ranking in rankings]
    first, second = (ranking_alpha([r], resamples=1).value for r in (rankings, renamed))
    assert first == (None if second is None else pytest.approx(second, abs=1e-9))


def test_the_alpha_of_rankings_is_that_of_their_pairs_both_ways_round():
    tasks = [[[1, 2, 3], [1, 3, 2]], [[1, 1, 2], [2, 1, 3]]]
    pairs = [[-1, -1], [-1, -1], [-1, 1], [0, 1], [-1, -1], [-1, -1]]
    both = pairs + [[-a, -b] for a, b in pairs]
    assert ranking_alpha(tasks, resamples=1).value == pytest.approx(reference(both, "nominal"), abs=1e-9)


def test_rankings_of_unequal_size_in_a_task_are_refused():
    with pytest.raises(ValueError, match="differ in their number"):
        ranking_alpha([[[1, 2], [1, 2, 3]]])
