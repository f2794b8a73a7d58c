"""What connections to PostgreSQL are told."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from django.db import OperationalError, connection

from annotate.postgres import GONE, answers_within, set_up_connection
from tests.engines import on_postgres


@pytest.mark.django_db
@pytest.mark.database
def test_statements_are_not_compiled():
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SHOW jit")
            assert cursor.fetchone() == ("off",)
    else:
        set_up_connection(connection=connection)  # knows no such thing, and is not asked for it


@on_postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.database
def test_an_answer_that_takes_too_long_is_an_error_and_the_next_one_is_not():
    with (
        pytest.raises(OperationalError),
        answers_within(lambda: 0.5),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT pg_sleep(3600)")
    connection.close()
    with answers_within(lambda: 60.0), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_a_peer_that_is_gone_is_noticed_and_the_url_may_say_when(settings_of):
    options = settings_of(DATABASE_URL="postgres://u:p@db/x?tcp_user_timeout=3000&sslmode=require")
    assert {name: str(options[name]) for name in GONE} == {
        **{name: str(value) for name, value in GONE.items()}, "tcp_user_timeout": "3000"
    }  # fmt: skip
    assert options["sslmode"] == "require"


@pytest.fixture
def settings_of():
    """The database's options as a process of its own reads them from such an environment."""

    def read(**environment: str) -> dict:
        code = "import json; from annotate.settings import DATABASE; print(json.dumps(DATABASE['OPTIONS']))"
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        return json.loads(done.stdout)

    return read
