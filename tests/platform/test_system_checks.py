"""Checks of the site itself: what an operator is told before people meet it."""

from __future__ import annotations

import pytest
from django.db import connection

from annotate.checks import check_encoding, check_hosts

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_hosts_of_any_name_are_warned_of(settings):
    assert check_hosts(None) == []
    settings.ALLOWED_HOSTS = ["*"]
    [warning] = check_hosts(None)
    assert "ALLOWED_HOSTS" in warning.msg


def test_a_database_that_cannot_hold_every_text_is_an_error(monkeypatch):
    assert check_encoding(None, databases=["default"]) == []

    class Cursor:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def execute(self, statement):
            assert statement == "SHOW server_encoding"

        def fetchone(self):
            return ("SQL_ASCII",)

    monkeypatch.setattr(connection._connections["default"], "vendor", "postgresql")
    monkeypatch.setattr(connection._connections["default"], "cursor", Cursor)
    [error] = check_encoding(None, databases=["default"])
    assert "SQL_ASCII" in error.msg
    assert check_encoding(None) == []  # an ordinary `check` asks no database
