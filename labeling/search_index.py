"""The index behind the search of lists on PostgreSQL: trigrams of the prompts' beginnings.

It needs the extension pg_trgm. Where that cannot be had there is no index, and a search reads the beginnings
of all prompts; SQLite always does (decision 31). No models here: a migration builds it, too.
"""

from __future__ import annotations

import logging
from typing import Literal

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

logger = logging.getLogger(__name__)

EXTENSION = "pg_trgm"
INDEX, TABLE = "prompt_search", "labeling_prompt"
# What Django makes of `preview__icontains`: the planner takes the index for this very expression only.
EXPRESSION = "UPPER(preview::text)"
Outcome = Literal["built", "there already", "no extension", "not for this database"]


def build_search_index(connection: BaseDatabaseWrapper) -> Outcome:
    """Make the index unless it is there. Others read and write meanwhile, if this is no transaction's call.

    1. PostgreSQL 13 and later lets whoever may create in the database make the extension; where it is not
       packaged, or the role may not, that is said in the log and nothing else happens.
    2. What an interrupted build left behind is of no use, and removed.
    """
    if connection.vendor != "postgresql":
        return "not for this database"
    meanwhile = "" if connection.in_atomic_block else "CONCURRENTLY "
    with connection.cursor() as cursor:
        schema = _schema_of_extension(cursor)
        if schema is None:
            return "no extension"
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [INDEX])
        found = cursor.fetchone()
        if found is not None and found[0]:
            return "there already"
        if found is not None:
            cursor.execute(f"DROP INDEX {meanwhile}{INDEX}")
        cursor.execute(
            f"CREATE INDEX {meanwhile}{INDEX} ON {TABLE}"
            f" USING gin ({EXPRESSION} {connection.ops.quote_name(schema)}.gin_trgm_ops)"
        )
        # How many rows a search will find is estimated from what the index holds, once it was looked at.
        cursor.execute(f"ANALYZE {TABLE}")
    return "built"


def drop_search_index(connection: BaseDatabaseWrapper) -> None:
    """Take the index away; the extension stays, as others may use it."""
    if connection.vendor == "postgresql":
        meanwhile = "" if connection.in_atomic_block else "CONCURRENTLY "
        with connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX {meanwhile}IF EXISTS {INDEX}")


def _schema_of_extension(cursor: CursorWrapper) -> str | None:
    """Where the extension's names are, after making it if need be; None where it cannot be had."""
    schema = _installed_in(cursor)
    if schema is not None:
        return schema
    cursor.execute("SELECT 1 FROM pg_available_extensions WHERE name = %s", [EXTENSION])
    if cursor.fetchone() is None:
        why = "this PostgreSQL does not have it"
    else:
        try:
            cursor.execute(f"CREATE EXTENSION IF NOT EXISTS {EXTENSION}")
        except DatabaseError as error:
            why = str(error).strip().partition("\n")[0]
        else:
            return _installed_in(cursor)
    logger.warning(
        "No index for the search of lists, as there is no extension %s (%s). Search works without, and reads"
        " the beginnings of all prompts. Once it is there: manage.py build_search_index",
        EXTENSION,
        why,
    )
    return None


def _installed_in(cursor: CursorWrapper) -> str | None:
    cursor.execute(
        "SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
        " WHERE extname = %s",
        [EXTENSION],
    )
    found = cursor.fetchone()
    return None if found is None else found[0]
