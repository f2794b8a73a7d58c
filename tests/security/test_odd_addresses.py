"""Addresses that nobody's page makes: every list answers them, with what it can or with what is wrong."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from .routes import all_routes
from .test_routes import call, project_routes, signed_in, values_for, worlds  # noqa: F401  # fixtures

pytestmark = [pytest.mark.django_db, pytest.mark.database]

HUGE = "99999999999999999999999"
NAMES = [
    "q", "sort", "page", "kind", "status", "reason", "person", "with", "batch", "category", "guideline",
    "task", "agreement", "shared", "role", "activity", "work", "view", "format", "after", "stage", "run",
    "runs", "a", "b", "dataset", "checkpoint", "first", "last", "from", "to", "valid_from", "day",
    "limit", "offset", "ordering", "cursor", "by", "also", "search", "state", "project", "token", "next",
]  # fmt: skip
ODD = [HUGE, "\x00abc", "0001-01-01", "9999-12-31"]


def test_no_page_and_no_list_of_the_api_breaks_on_what_stands_in_its_address(worlds, signed_in):  # noqa: F811
    own, _ = worlds
    client = signed_in("admin")
    broken = []
    for route, method, _policy in project_routes():
        if method != "get":
            continue
        url = route.url(values_for(route, own))
        names = _names(client, url)
        for value in ODD:
            if call(client, "get", url, QUERY_STRING=_query(value, names)) >= 500:
                broken.append(f"{route.name} with {value[:30]!r}: {_culprits(client, url, value, names)}")
    assert not broken, "\n".join(broken)


def test_no_page_of_the_site_itself_breaks_either(cast, signed_in):  # noqa: F811
    client = signed_in("admin")
    broken = []
    for route in all_routes():
        if route.is_of_a_project or route.parameters or "get" not in dict(route.policies):
            continue
        url = route.url({})
        names = _names(client, url)
        for value in ODD:
            if call(client, "get", url, QUERY_STRING=_query(value, names)) >= 500:
                broken.append(f"{route.name} with {value[:30]!r}: {_culprits(client, url, value, names)}")
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


def _names(client, url: str) -> list[str]:
    """By what it can be asked: a list of the API says so itself, as it takes nothing else."""
    if not url.startswith("/api/"):
        return NAMES
    answer = client.get(url, {"catgory": "law"})
    known = answer.json()["error"]["hint"] if answer.status_code == 400 else ""
    return known.partition(": ")[2].rstrip(".").split(", ") if known else NAMES


def _query(value: str, names: list[str]) -> str:
    return urlencode(dict.fromkeys(names, value))


def _culprits(client, url: str, value: str, names: list[str]) -> list[str]:
    """Which parameters do it alone, for the message."""
    return [name for name in names if call(client, "get", url, QUERY_STRING=_query(value, [name])) >= 500]
