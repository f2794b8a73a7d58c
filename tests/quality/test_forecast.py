"""When a backlog ends: by hand, and against backlogs that are worked off at random."""

from __future__ import annotations

import random
from math import exp, sqrt

import pytest

from labeling.quality import days_to_finish


def test_steady_work_ends_when_it_ends():
    assert days_to_finish(50, [10, 10, 10, 10]) == (5.0, 5.0, 5.0, 10.0)


def test_by_hand():
    # Mean 10, variance 100/3 * ... of 0, 10, 20: s^2 = 100. B = 40: 4 days.
    found = days_to_finish(40, [0, 10, 20])
    spread = sqrt(40 * 100 / 1000 + (40 / 100) ** 2 * 100 / 3)
    factor = exp(1.2815515655446004 * spread / 4)
    assert found.days == 4
    assert (found.low, found.high) == (pytest.approx(4 / factor), pytest.approx(4 * factor))


@pytest.mark.parametrize("history", [[], [5, 5], [0, 0, 0, 0]])
def test_too_little_history_foretells_nothing(history):
    assert days_to_finish(10, history) is None


def test_nothing_left_is_done():
    assert days_to_finish(0, [1, 2, 3]).days == 0


def test_eight_of_ten_backlogs_end_inside_the_interval():
    """Days of work drawn at random, idle ones among them; the slow way: work the backlog off and look."""
    source = random.Random(5)

    def a_day() -> int:
        return 0 if source.random() < 0.25 else source.randint(20, 60)

    inside = rounds = 0
    for _ in range(1500):
        history = [a_day() for _ in range(14)]
        found = days_to_finish(1500, history)
        left, days = 1500, 0.0
        while left > 0:
            done = a_day()
            days += min(1.0, left / done) if done else 1.0
            left -= done
        rounds += 1
        inside += found.low <= days <= found.high
    assert 0.74 < inside / rounds < 0.86
