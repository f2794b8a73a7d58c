"""Intervals hold the values of scipy, behave at the edges, and repeat under one seed."""

import numpy as np
import pytest
from scipy import stats

from labeling.quality import bootstrap_interval, wilson_interval


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("wins", "total"), [(0, 1), (1, 1), (3, 7), (50, 100), (999, 1000), (0, 40)])
def test_wilson_equals_scipy(wins, total, confidence):
    expected = stats.binomtest(wins, total).proportion_ci(confidence, method="wilson")
    assert wilson_interval(wins, total, confidence=confidence) == pytest.approx(tuple(expected), abs=1e-12)


def test_wilson_by_hand():
    z = 1.959963984540054
    centre, half = (
        (0.5 + z * z / 20) / (1 + z * z / 10),
        z / (1 + z * z / 10) * (0.25 / 10 + z * z / 400) ** 0.5,
    )
    assert wilson_interval(5, 10) == pytest.approx((centre - half, centre + half), abs=1e-12)


def test_no_trials_tell_nothing():
    assert wilson_interval(0, 0) == (0, 1)


@pytest.mark.parametrize(("wins", "total"), [(-1, 3), (4, 3), (0, -1)])
def test_impossible_counts_are_refused(wins, total):
    with pytest.raises(ValueError):
        wilson_interval(wins, total)


def test_the_bootstrap_of_a_mean_is_close_to_its_standard_error():
    data = np.random.default_rng(1).normal(10, 2, size=400)
    interval = bootstrap_interval(400, lambda w: float(w @ data / 400), resamples=4000, seed=3)
    error = data.std() / 20
    assert interval == pytest.approx(
        (data.mean() - 1.96 * error, data.mean() + 1.96 * error), abs=0.15 * error
    )


def test_weights_are_draws_of_all_units():
    seen = []
    bootstrap_interval(5, lambda w: seen.append(w.copy()) or 0.0, resamples=20)
    assert all(len(w) == 5 and w.sum() == 5 for w in seen)
    assert len({tuple(w) for w in seen}) > 10


def test_one_seed_gives_one_interval():
    data = np.arange(30.0)

    def interval(seed):
        return bootstrap_interval(30, lambda w: float(w @ data), seed=seed)

    assert interval(1) == interval(1) != interval(2)


def test_undefined_draws_are_left_out_and_none_at_all_is_no_interval():
    assert bootstrap_interval(3, lambda w: 1.0 if w[0] else None) == (1.0, 1.0)
    assert bootstrap_interval(3, lambda w: None) is None
    assert bootstrap_interval(0, lambda w: 1.0) is None
