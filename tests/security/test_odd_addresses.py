"""Addresses that nobody's page makes: every list answers them, with what it can or with what is wrong."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from .test_routes import call, project_routes, signed_in, values_for, worlds  # noqa: F401  # fixtures

pytestmark = pytest.mark.django_db

HUGE = "99999999999999999999999"
NAMES = [
    "q", "sort", "page", "kind", "status", "reason", "person", "with", "batch", "category", "guideline",
    "task", "agreement", "shared", "role", "activity", "work", "view", "format", "after", "stage", "run",
    "runs", "a", "b", "dataset", "checkpoint", "first", "last", "from", "to", "valid_from", "day",
    "limit", "offset", "ordering", "cursor", "by", "also",
]  # fmt: skip
ODD = [HUGE, "\x00abc", "0001-01-01", "9999-12-31"]


def test_no_page_and_no_list_of_the_api_breaks_on_what_stands_in_its_address(worlds, signed_in):  # noqa: F811
    own, _ = worlds
    client = signed_in("admin")
    broken = []
    for route, method, _policy in project_routes():
        if method != "get":
            continue
        for value in ODD:
            url = route.url(values_for(route, own))
            if call(client, "get", url, QUERY_STRING=_query(value)) >= 500:
                broken.append(f"{route.name} with {value[:30]!r}: {_culprits(client, url, value)}")
    assert not broken, "\n".join(broken)


def test_a_number_too_large_for_any_row_is_just_not_there(worlds, signed_in):  # noqa: F811
    own, _ = worlds
    client = signed_in("admin")
    wrong = []
    for route, method, _policy in project_routes():
        values = values_for(route, own)
        if "pk" not in values or not isinstance(values["pk"], int) or "pk" not in route.parameters:
            continue
        for huge in ({"pk": HUGE}, {"dataset_pk": HUGE}, {"number": HUGE}):
            if not huge.keys() <= set(route.parameters):
                continue
            status = call(client, method, route.url(values | huge))
            if status not in (302, 400, 403, 404, 405, 422):
                wrong.append(f"{method} {route.name} {huge}: {status}")
    assert not wrong, "\n".join(wrong)


def _query(value: str, names: list[str] = NAMES) -> str:
    return urlencode(dict.fromkeys(names, value))


def _culprits(client, url: str, value: str) -> list[str]:
    """Which parameters do it alone, for the message."""
    return [name for name in NAMES if call(client, "get", url, QUERY_STRING=_query(value, [name])) >= 500]
