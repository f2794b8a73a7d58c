"""A field that a request of the API does not take is refused by name, on every route: nobody sets what is not
theirs to set, and a typing error does not pass for done."""

from __future__ import annotations

import re

import pytest
from django.db import transaction
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from labeling.models import Prompt, Submission
from tests.factories import make_demonstration_batch
from tests.labeling.work import claim

from .routes import all_routes
from .test_routes import ONLY_THE_OWNERS, object_of, values_for
from .world import build_world

pytestmark = [pytest.mark.django_db]
UNKNOWN = b'"unknown_field"'


def taken_by_each() -> dict[tuple[str, str], bool]:
    """(address without its parameters, method) to whether it takes fields, as the schema says; what takes a
    file is not in it."""
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    operations = [
        ((re.sub(r"{\w+}", "{}", path), method), operation.get("requestBody", {}).get("content", {}))
        for path, operations in paths.items()
        for method, operation in operations.items()
        if isinstance(operation, dict)
    ]
    return {route: bool(taken) for route, taken in operations if not taken or "application/json" in taken}


def test_every_route_refuses_what_it_does_not_know(cast):
    world = build_world(cast.project, admin=cast.admin, annotator=cast.annotator, reviewer=cast.lead)
    known, asked, taken = taken_by_each(), {True: 0, False: 0}, []
    for route in all_routes():
        if not route.is_api:
            continue
        of_owner = object_of(route) in ONLY_THE_OWNERS
        client = Client(raise_request_exception=False)
        client.force_login(cast.annotator if of_owner else cast.admin)
        for method, _ in route.policies:
            if method not in ("post", "put", "patch", "delete"):
                continue
            point = transaction.savepoint()
            answer = getattr(client, method)(
                route.url(values_for(route, world)), {"is_owner": 1}, content_type="application/json"
            )
            transaction.savepoint_rollback(point)
            address = "/" + re.sub(r"<(?:\w+:)?\w+>", "{}", route.path)
            takes = known.get((address, method))
            if takes is not None:
                asked[takes] += 1
                is_refused = answer.status_code == 422 if not takes else answer.status_code >= 400
                if not is_refused or (answer.status_code == 422 and UNKNOWN not in answer.content):
                    taken.append(f"{method} {route.name} {answer.status_code}")
    assert taken == []
    assert asked[True] > 60 and asked[False] > 30


@pytest.fixture
def ask(cast, api_client_of):
    def ask(who: str, method: str, path: str, body: dict) -> tuple[int, dict]:
        client = api_client_of(getattr(cast, who))
        answer = getattr(client, method)(f"/api/projects/{cast.project.slug}/{path}", body, format="json")
        return answer.status_code, answer.json().get("error", {})

    return ask


@pytest.mark.parametrize(
    "name", ["status", "annotator", "revision", "guideline_version", "origin", "is_current"]
)
def test_nobody_submits_what_is_the_sites_to_say(cast, ask, name):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    assignment = claim(cast.annotator, cast.project)
    body = {"fence": assignment.fence, "idempotency_key": "k", "text": "Paris.", name: "accepted"}
    status, error = ask("annotator", "post", f"assignments/{assignment.pk}/submit/", body)
    assert (status, error["code"], error["field"]) == (422, "unknown_field", name)
    assert "idempotency_key" in error["hint"]
    assert not Submission.objects.exists()


def test_a_field_further_in_is_named_with_its_place(cast, ask):
    prompts = [{"messages": [{"role": "user", "content": "Why?"}], "project": cast.other_project.pk}]
    status, error = ask("admin", "post", "prompts/", {"prompts": prompts})
    assert (status, error["field"]) == (422, "prompts.0.project")
    assert not Prompt.objects.filter(project=cast.project, preview="Why?").exists()


def test_several_are_named_at_once(cast, ask):
    status, error = ask("admin", "patch", "", {"name": "New", "created_by": 1, "archived_at": None})
    assert (status, [each["field"] for each in error["details"]]) == (422, ["archived_at", "created_by"])
    cast.project.refresh_from_db()
    assert cast.project.name != "New"
