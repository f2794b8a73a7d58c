"""Tests that only one database can be asked."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection


def on_postgres(test: Callable) -> Callable | None:
    """SQLite is a file and cannot fall silent: there such a test is not there, rather than skipped."""
    return test if connection.vendor == "postgresql" else None
