"""What work costs: rates with a history, amounts rounded once a day. Decimals and whole numbers, no floats.

The unit that is rounded is a line: one person, one day, one kind of work. Every total is a sum of rounded
lines, so that the days a person sees add up to the cent, and two half months to the month.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

SECONDS_AN_HOUR = 3600
# Currencies whose smallest coin is not a hundredth (ISO 4217).
WITHOUT_COINS = (
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG",
    "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
)  # fmt: skip
IN_THOUSANDTHS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
SMALLEST = {digits: Decimal(1).scaleb(-digits) for digits in (0, 2, 3)}
DIGITS = dict.fromkeys(WITHOUT_COINS, 0) | dict.fromkeys(IN_THOUSANDTHS, 3)


class PayRate(NamedTuple):
    """`user_id` None: everybody's. `amount` None: from this day on the project's rate holds again."""

    work: str
    user_id: int | None
    unit: str  # "hour" or "piece"
    amount: Decimal | None
    currency: str
    valid_from: date


class DayOfWork(NamedTuple):
    user_id: int
    day: date
    work: str
    seconds: int
    pieces: int


@dataclass(frozen=True)
class Line:
    """A day of work with its price; `rate` is None where nothing is agreed."""

    work: DayOfWork
    rate: PayRate | None
    amount: Decimal | None

    @property
    def currency(self) -> str:
        return self.rate.currency if self.rate else ""


class RateBook:
    """Which rate holds for whom, for what, on which day."""

    def __init__(self, rates: Iterable[PayRate]) -> None:
        self._history: dict[tuple[int | None, str], list[PayRate]] = {}
        for rate in sorted(rates, key=lambda each: each.valid_from):
            self._history.setdefault((rate.user_id, rate.work), []).append(rate)
        self._days = {key: [rate.valid_from for rate in rates] for key, rates in self._history.items()}

    def rate_for(self, user_id: int | None, work: str, day: date) -> PayRate | None:
        """The person's own rate in force that day, else the project's."""
        own = self._in_force(user_id, work, day) if user_id is not None else None
        if own is not None and own.amount is not None:
            return own
        return self._in_force(None, work, day)

    def _in_force(self, user_id: int | None, work: str, day: date) -> PayRate | None:
        days = self._days.get((user_id, work))
        place = bisect_right(days, day) if days else 0
        return self._history[user_id, work][place - 1] if place else None

    def price(self, work: DayOfWork) -> Line:
        rate = self.rate_for(work.user_id, work.work, work.day)
        return Line(work, rate, amount_of(rate, work.seconds, work.pieces) if rate else None)

    @property
    def own_rates(self) -> set[int]:
        """People with a rate of their own at some time."""
        return {user_id for user_id, _ in self._history if user_id is not None}

    @property
    def changes(self) -> list[date]:
        """The days on which some rate begins, in order."""
        return sorted({rate.valid_from for rates in self._history.values() for rate in rates})


def amount_of(rate: PayRate, seconds: int, pieces: int) -> Decimal:
    """What so much work is paid at a rate, rounded half away from zero to the currency's smallest coin."""
    return rounded(exact_amount(rate, seconds, pieces), rate.currency)


def exact_amount(rate: PayRate, seconds: int, pieces: int) -> Decimal:
    """The same before rounding: exact for pieces; for hours to 28 digits, far below any coin."""
    if rate.amount is None:
        raise ValueError("a rate without an amount prices nothing")
    if rate.unit == "hour":
        return rate.amount * seconds / SECONDS_AN_HOUR
    return rate.amount * pieces


def rounded(amount: Decimal, currency: str) -> Decimal:
    digits = DIGITS.get(currency, 2)
    return amount.quantize(SMALLEST[digits], rounding=ROUND_HALF_UP)


def totals(lines: Iterable[Line]) -> dict[str, Decimal]:
    """Amount per currency; lines without a rate are left out."""
    sums: dict[str, Decimal] = {}
    for line in lines:
        if line.amount is not None:
            sums[line.currency] = sums.get(line.currency, Decimal(0)) + line.amount
    return sums
