"""Whoever asks a list of the API by a name that it does not know is told so, with the names it knows."""

from __future__ import annotations

import pytest
from django.test import Client

from .routes import all_routes
from .test_routes import values_for
from .world import build_world

pytestmark = [pytest.mark.django_db, pytest.mark.database]
NOBODYS = "catgory"
FEWEST_LISTS = 50  # so many there were when this was written


def is_list(answer) -> bool:
    body = answer.json() if answer["Content-Type"] == "application/json" and not answer.streaming else None
    return isinstance(body, list) or (isinstance(body, dict) and isinstance(body.get("results"), list))


def lists(client: Client, world: dict):
    """(name of the route, address) of every GET of the API that answers with a list."""
    for route in all_routes():
        if not route.is_api or "get" not in dict(route.policies):
            continue
        values = values_for(route, world)
        if not values.keys() >= set(route.parameters):
            continue  # of nothing that the world has
        url = route.url(values)
        answer = client.get(url)
        if answer.status_code == 200 and is_list(answer):
            yield route.name, url


@pytest.fixture
def world(cast):
    return build_world(cast.project, admin=cast.admin, annotator=cast.annotator, reviewer=cast.lead)


def test_every_list_refuses_what_it_does_not_know(world, cast):
    client = Client()
    client.force_login(cast.admin)
    seen, lax = [], {}
    for name, url in lists(client, world):
        seen.append(name)
        answer = client.get(url, {NOBODYS: "law"})
        error = answer.json().get("error", {}) if answer.status_code == 400 else {}
        told = (error.get("code"), error.get("field"), "format" in (error.get("hint") or ""))
        if told != ("unknown_parameter", NOBODYS, True):
            lax[name] = (answer.status_code, told)
    assert lax == {}
    assert len(seen) >= FEWEST_LISTS, sorted(seen)


def test_an_order_that_a_list_does_not_have_is_refused(world, cast):
    client = Client()
    client.force_login(cast.lead)
    url = f"/api/projects/{world['slug']}/submissions/"
    ids = [row["id"] for row in client.get(url, {"ordering": "id"}).json()["results"]]
    assert ids == sorted(ids)
    assert ids == [row["id"] for row in client.get(url, {"ordering": "-id"}).json()["results"]][::-1]
    answer = client.get(url, {"ordering": "id,annotator"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (400, "unknown_order", "ordering")
    assert error["hint"].endswith("id, created_at, decided_at.")


def test_what_an_annotator_may_not_filter_by_is_unknown_to_them(world, cast):
    """Numbers of tasks and prompts would tell which of them did not come from the queue."""
    client = Client()
    client.force_login(cast.annotator)
    url = f"/api/projects/{world['slug']}/submissions/"
    answer = client.get(url, {"task": world["tasks"]})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "task")
    assert "annotator" not in answer.json()["error"]["hint"]
