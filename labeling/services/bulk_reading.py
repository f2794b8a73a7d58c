"""Reading rows by the hundred thousand: JSON columns as text, parsed by orjson and only where there is
something in them, and a list of ids as one parameter of a query."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

import orjson
from django.db import connection
from django.db.models import BooleanField, QuerySet, TextField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast

# orjson reads an integer beyond 64 bits as a float, the standard library as it is.
_BIG_INTEGER = re.compile("[0-9]{19}")


def json_text_of(name: str) -> Cast:
    """A JSON field for values_list, as text for `parsed`."""
    return Cast(name, TextField())


def parsed(text: str) -> Any:
    """What a JSON field holds, from its text."""
    if text == "{}":
        return {}
    if text == "[]":
        return []
    if _BIG_INTEGER.search(text):
        return json.loads(text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # half a surrogate pair, which a person's own answer may hold
        return json.loads(text)


def with_ids(rows: QuerySet, ids: Collection[int]) -> QuerySet:
    """As `filter(pk__in=ids)`: however many ids, one parameter, where Django compiles one for each."""
    column = f'"{rows.model._meta.db_table}"."{rows.model._meta.pk.column}"'
    if connection.vendor == "postgresql":
        condition = RawSQL(f"{column} = ANY(%s)", [list(ids)], BooleanField())  # noqa: S611 - our own column
    else:
        listed = orjson.dumps(list(ids)).decode()
        among = f"{column} IN (SELECT value FROM json_each(%s))"  # noqa: S608
        condition = RawSQL(among, [listed], BooleanField())  # noqa: S611
    return rows.filter(condition)
