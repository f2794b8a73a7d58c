"""Cohen's and Fleiss' kappa equal published examples, the reference packages to 1e-9, and a slow version."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.quality import cohen_kappa, fleiss_kappa

REFERENCE = json.loads((Path(__file__).parent / "reference_kappas.json").read_text())


@pytest.mark.parametrize("case", REFERENCE["fleiss"])
def test_fleiss_equals_statsmodels(case):
    assert fleiss_kappa(case["units"], resamples=1).value == pytest.approx(case["kappa"], abs=1e-9)


@pytest.mark.parametrize("case", REFERENCE["cohen"])
@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_cohen_equals_scikit_learn(case, weights):
    found = cohen_kappa(case["first"], case["second"], weights=weights, resamples=1).value
    assert found == pytest.approx(case[weights or "none"], abs=1e-9)


def test_fleiss_own_kind_of_table():
    # The example of the method's encyclopedia article: ten subjects, fourteen raters, five categories.
    table = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    units = [[category for category, count in enumerate(row) for _ in range(count)] for row in table]
    assert round(fleiss_kappa(units, resamples=1).value, 3) == 0.210


def test_cohens_by_hand():
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: observed 0.7, expected 0.5, so kappa is 0.4.
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second, resamples=1).value == pytest.approx(0.4)


UNITS = st.lists(
    st.lists(st.one_of(st.none(), st.integers(0, 2)), min_size=3, max_size=3), min_size=2, max_size=8
)


@settings(max_examples=200, deadline=None)
@given(UNITS)
def test_fleiss_is_what_counting_pairs_says(units):
    rated = [[value for value in unit if value is not None] for unit in units]
    rated = [unit for unit in rated if len(unit) > 1]
    found = fleiss_kappa(units, resamples=1)
    assert found.size == len(rated)
    if len({value for unit in rated for value in unit}) < 2:
        assert found.value is None
        return
    within = np.mean([np.mean([a == b for a, b in combinations(unit, 2)]) for unit in rated])
    shares = [np.mean([unit.count(value) / len(unit) for unit in rated]) for value in range(3)]
    chance = sum(share**2 for share in shares)
    assert found.value == pytest.approx((within - chance) / (1 - chance), abs=1e-9)


def test_no_variation_is_undefined_and_missing_ratings_are_left_out():
    assert cohen_kappa([1, 1], [1, 1]).value is None
    assert cohen_kappa([1, None, 2, 1], [1, 2, None, 2], resamples=1).size == 2
    assert fleiss_kappa([]).value is None


def test_unequal_lists_and_unknown_weights_are_refused():
    with pytest.raises(ValueError, match="differ in number"):
        cohen_kappa([1], [1, 2])
    with pytest.raises(ValueError, match="unknown weights"):
        cohen_kappa([1, 2], [1, 2], weights="cubic")


def test_the_interval_holds_the_value_and_follows_the_seed():
    case = REFERENCE["cohen"][1]
    one, same = (cohen_kappa(case["first"], case["second"], seed=3) for _ in range(2))
    assert one == same
    assert one.interval.low < one.value < one.interval.high
