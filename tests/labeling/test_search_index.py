"""The index of the lists' search on PostgreSQL: made where its extension can be had, else done without."""

from __future__ import annotations

import logging

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection

from labeling import search_index
from labeling.models import Prompt
from labeling.search_index import build_search_index, drop_search_index

pytestmark = [pytest.mark.django_db, pytest.mark.database]


class Server:
    """A PostgreSQL of which a test says what it has. Keeps the statements that change something."""

    vendor, in_atomic_block, ops = "postgresql", False, connection.ops

    def __init__(self, *, packaged=True, installed="", index=None, refuses=False) -> None:
        self.packaged, self.installed, self.index, self.refuses = packaged, installed, index, refuses
        self.changes: list[str] = []

    def cursor(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *failed):
        return None

    def execute(self, sql, params=()):
        if "pg_extension" in sql:
            self.answer = (self.installed,) if self.installed else None
        elif "pg_available" in sql:
            self.answer = (1,) if self.packaged else None
        elif "pg_index" in sql:
            self.answer = None if self.index is None else (self.index,)
        else:
            if self.refuses and "EXTENSION" in sql:
                raise DatabaseError("permission denied to create extension\nHINT: ask somebody")
            self.installed = self.installed or "public"
            self.changes.append(sql)

    def fetchone(self):
        return self.answer


CREATE = (
    "CREATE INDEX CONCURRENTLY prompt_search ON labeling_prompt"
    ' USING gin (UPPER(preview::text) "{}".gin_trgm_ops)'
)


def test_extension_and_index_are_made_while_others_write():
    server = Server()
    assert build_search_index(server) == "built"
    assert server.changes == [
        "CREATE EXTENSION IF NOT EXISTS pg_trgm",
        CREATE.format("public"),
        "ANALYZE labeling_prompt",
    ]


def test_an_extension_that_is_there_is_used_where_it_is():
    server = Server(installed="extensions")
    assert build_search_index(server) == "built"
    assert server.changes[0] == CREATE.format("extensions")


def test_an_index_that_is_there_is_left_alone_and_half_of_one_is_made_anew():
    server = Server(installed="public", index=True)
    assert (build_search_index(server), server.changes) == ("there already", [])
    server = Server(installed="public", index=False)
    assert build_search_index(server) == "built"
    assert server.changes[0] == "DROP INDEX CONCURRENTLY prompt_search"


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (Server(packaged=False), "this PostgreSQL does not have it"),
        (Server(refuses=True), "permission denied to create extension)"),
    ],
)
def test_without_the_extension_nothing_happens_and_the_log_says_so(server, why, caplog):
    with caplog.at_level(logging.WARNING):
        assert build_search_index(server) == "no extension"
    assert server.changes == []
    assert why in caplog.text and "build_search_index" in caplog.text and "HINT" not in caplog.text


def test_this_database_is_as_the_migration_should_have_left_it():
    """Whatever it is: the same call again finds nothing to do, and the search works."""
    outcome = build_search_index(connection)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'")
            expected = "there already" if cursor.fetchone() else "no extension"
    else:
        expected = "not for this database"
    assert outcome == expected
    drop_search_index(connection)
    if expected == "no extension":
        with pytest.raises(CommandError, match="pg_trgm"):
            call_command("build_search_index")
    else:
        call_command("build_search_index", verbosity=0)


def test_the_index_is_on_what_a_search_asks_for():
    """The planner takes it for the very same expression only."""
    sql = str(Prompt.objects.filter(preview__icontains="x").values("pk").query)
    if connection.vendor == "postgresql":
        wanted = search_index.EXPRESSION.replace("preview", '"labeling_prompt"."preview"')
        assert f"{wanted} LIKE UPPER(%x%)" in sql
    else:
        assert "LIKE" in sql
