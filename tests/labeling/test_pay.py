"""Money by hand: which rate holds on which day, what a day comes to, what adds up to what."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from labeling.pay import DayOfWork, PayRate, RateBook, amount_of, totals

NOV = [date(2026, 11, day) for day in range(1, 31)]


def rate(amount, unit="hour", currency="EUR", user=None, day=NOV[0], work="ranking") -> PayRate:
    return PayRate(work, user, unit, None if amount is None else Decimal(amount), currency, day)


@pytest.mark.parametrize(
    ("amount", "unit", "currency", "seconds", "pieces", "pay"),
    [
        ("18", "hour", "EUR", 3600, 0, "18.00"),
        ("18", "hour", "EUR", 1, 0, "0.01"),  # half a cent goes up
        ("18.50", "hour", "EUR", 4321, 7, "22.21"),  # 22.205138…
        ("10", "hour", "EUR", 1200, 0, "3.33"),
        ("0.35", "piece", "EUR", 9999, 3, "1.05"),
        ("0.125", "piece", "EUR", 0, 1, "0.13"),
        ("1500", "hour", "JPY", 61, 0, "25"),  # 25.4167 yen, which have no hundredths
        ("12.3456", "hour", "KWD", 3600, 0, "12.346"),
        ("18", "hour", "EUR", -1, 0, "-0.01"),  # taken off as it was added
        ("0", "hour", "EUR", 99999, 99, "0.00"),
    ],
)
def test_a_day_comes_to(amount, unit, currency, seconds, pieces, pay):
    assert str(amount_of(rate(amount, unit, currency), seconds, pieces)) == pay


def test_rates_have_a_history_and_ones_own_goes_first():
    book = RateBook(
        [
            rate("20", day=NOV[14]),
            rate("18", day=NOV[4]),
            rate("25", user=7, day=NOV[9]),
            rate(None, user=7, day=NOV[19]),
            rate("9", work="review", day=NOV[0]),
        ]
    )
    expected = {
        (1, 3): None, (1, 4): "18", (1, 13): "18", (1, 14): "20", (1, 29): "20",
        (7, 4): "18", (7, 9): "25", (7, 18): "25", (7, 19): "20",
    }  # fmt: skip
    found = {}
    for user, day in expected:
        holds = book.rate_for(user, "ranking", NOV[day])
        found[user, day] = str(holds.amount) if holds else None
    assert found == expected
    assert book.rate_for(1, "demonstration", NOV[20]) is None


def test_days_add_up_to_the_total_and_halves_to_the_month():
    book = RateBook([rate("10")])
    lines = [book.price(DayOfWork(1, day, "ranking", 1001 + 7 * n, 0)) for n, day in enumerate(NOV)]
    month = totals(lines)["EUR"]
    assert month == sum(line.amount for line in lines)
    assert totals(lines[:15])["EUR"] + totals(lines[15:])["EUR"] == month
    # By hand, from the seconds: each day to the cent.
    cents = sum((1000 * (1001 + 7 * n) + 1800) // 3600 for n in range(30))
    assert month == Decimal(cents) / 100


def test_currencies_are_never_added_together():
    book = RateBook([rate("10"), rate("12", currency="USD", day=NOV[9])])
    lines = [book.price(DayOfWork(1, NOV[n], "ranking", 3600, 1)) for n in (3, 10)]
    assert totals(lines) == {"EUR": Decimal("10.00"), "USD": Decimal("12.00")}


def test_work_without_a_rate_has_no_price_and_no_zero():
    line = RateBook([]).price(DayOfWork(1, NOV[0], "ranking", 3600, 1))
    assert (line.amount, line.rate, totals([line])) == (None, None, {})
