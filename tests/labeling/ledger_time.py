"""The clock of ledger tests: what the site takes for now, set by hand."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from unittest import mock


def at(text: str) -> datetime:
    """ "2026-11-24 10:00" in UTC; a time zone in the text is respected."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@contextmanager
def now_is(text: str):
    with mock.patch("django.utils.timezone.now", return_value=at(text)):
        yield
