"""How much of a claim counts: never more than the clock allows, in whichever tabs and projects."""

from __future__ import annotations

import itertools
import random
from datetime import datetime, timedelta

import pytest

from labeling.services.ledger import countable
from tests.labeling.ledger_time import at

TEN = at("2026-11-24 10:00")


def moment(seconds: float) -> datetime:
    return TEN + timedelta(seconds=seconds)


def span(start: float, end: float, seconds: int) -> tuple[datetime, datetime, int]:
    return moment(start), moment(end), seconds


@pytest.mark.parametrize(
    ("spans", "start", "end", "left"),
    [
        ([], 0, 60, 60),
        ([], 0, 59.9, 59),  # whole seconds that have passed
        ([span(0, 60, 60)], 0, 60, 0),  # the other tab took it all
        ([span(0, 60, 40)], 0, 60, 20),
        ([span(0, 60, 60)], 60, 100, 40),  # before: does not touch
        ([span(0, 100, 90)], 50, 100, 10),  # began earlier, and left ten seconds in all
        ([span(0, 100, 40)], 50, 100, 50),  # the forty fit before
        ([span(0, 60, 30), span(30, 90, 50)], 30, 90, 10),
        ([span(60, 900, 840)], 0, 60, 60),  # an entry written late, for time before the next task
        ([span(60, 900, 830), span(0, 900, 50)], 0, 60, 20),  # both ends are full but for twenty
    ],
)
def test_what_fits_by_hand(spans, start, end, left):
    assert countable(spans, moment(start), moment(end)) == left


def fits_second_by_second(spans: list[tuple[int, int, int]]) -> bool:
    """The slow obvious way: give each second to the open span that ends first."""
    left = [seconds for _, _, seconds in spans]
    for second in range(max(end for _, end, _ in spans)):
        ready = [i for i, (start, end, _) in enumerate(spans) if start <= second < end and left[i]]
        if ready:
            left[min(ready, key=lambda i: spans[i][1])] -= 1
    return not any(left)


def test_it_is_the_most_that_a_clock_can_give_second_by_second():
    source = random.Random(3)
    tried = 0
    while tried < 150:
        spans: list[tuple[int, int, int]] = []
        for _ in range(source.randint(0, 4)):
            start = source.randint(0, 20)
            end = source.randint(start + 1, 26)
            spans.append((start, end, source.randint(0, end - start)))
        start = source.randint(0, 20)
        end = source.randint(start + 1, 26)
        if spans and not fits_second_by_second(spans):
            continue  # the ledger never holds what does not fit
        tried += 1
        found = countable([span(*each) for each in spans], moment(start), moment(end))
        most = max(
            seconds
            for seconds in range(end - start + 1)
            if fits_second_by_second([*spans, (start, end, seconds)])
        )
        assert found == most, (spans, start, end)


def test_the_order_of_entries_does_not_matter():
    spans = [span(0, 60, 30), span(30, 90, 40), span(10, 300, 100)]
    found = {countable(each, moment(20), moment(200)) for each in itertools.permutations(spans)}
    assert len(found) == 1
