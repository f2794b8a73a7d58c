"""Reading the audit trail against the tables, for `manage.py verify`, while the site goes on working.

Rows are read before what the trail says of them and never after: a row and its audit row are written in one
commit, so what was there has one by then. What is missing is looked up last, for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import models

from labeling.models import AuditEvent

CHUNK = 2_000


class Remark(str):
    """Stands among the problems of a thing and is none: what could not be checked, and why."""


def first_rows(action: str, ids: Iterable[Any]) -> dict[str, tuple[dict[str, Any], int | None]]:
    """{object id: (data, project id)} of the first audit row of this action for each object: a later one
    would be another's."""
    events = AuditEvent.objects.filter(action=action, object_id__in=[str(pk) for pk in ids]).order_by("-pk")
    rows = events.values_list("object_id", "data", "project_id")
    return {object_id: (as_dict(data), project) for object_id, data, project in rows}


def gone(model: type[models.Model], actions: Sequence[str]) -> Iterator[tuple[int, str | None, dict]]:
    """(id, slug of the project, data) of the audit rows whose object is in no table any more. Two queries
    for every 2,000 audit rows."""
    events = AuditEvent.objects.filter(action__in=actions).order_by("pk")
    columns = ("pk", "object_id", "project__slug", "data")
    last = 0
    while rows := list(events.filter(pk__gt=last).values_list(*columns)[:CHUNK]):
        last = rows[-1][0]
        told = {int(number): (slug, data) for _, number, slug, data in rows if number.isdigit()}
        there = set(model._default_manager.filter(pk__in=list(told)).values_list("pk", flat=True))
        for pk in told.keys() - there:
            yield pk, told[pk][0], as_dict(told[pk][1])


def as_dict(value: Any) -> dict[str, Any]:
    """Whatever somebody may have written into a JSON column."""
    return value if isinstance(value, dict) else {}
