"""tau-b equals scipy's on every pair of weak orders, and is None where that is NaN."""

import math
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from labeling.quality import kendall_tau_b, mean_kendall_tau_b

RANKS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=9)


@given(RANKS)
def test_it_equals_scipy(pairs):
    first, second = zip(*pairs, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = stats.kendalltau(first, second, variant="b").statistic
    if math.isnan(expected):
        assert kendall_tau_b(first, second) is None
    else:
        assert kendall_tau_b(first, second) == pytest.approx(expected, abs=1e-9)


def test_by_hand():
    # pairs ab ac bc: (1 1 1) against (1 1 -1): (1 + 1 - 1) / 3
    assert kendall_tau_b([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 3)
    # (1 1 1) against (~ 1 1): 2 / sqrt(3 * 2)
    assert kendall_tau_b([1, 2, 3], [1, 1, 2]) == pytest.approx(2 / 6**0.5)


def test_only_what_both_ranked_counts():
    assert kendall_tau_b([1, None, 2, 3], [2, 1, 3, None]) == 1.0
    assert kendall_tau_b([1, None], [1, 2]) is None


def test_the_mean_is_over_all_pairs_of_people():
    tasks = [[[1, 2, 3], [1, 2, 3], [3, 2, 1]], [[1, 1], [1, 2]], [[1, 2], [1, 2]]]
    estimate = mean_kendall_tau_b(tasks)
    assert (estimate.value, estimate.size) == ((1 - 1 - 1 + 1) / 4, 4)
    assert estimate.interval.low <= 0 <= estimate.interval.high


def test_nothing_defined_is_no_estimate():
    assert mean_kendall_tau_b([[[1, 1], [1, 2]]]) == (None, None, 0)
