"""Routes × roles × whose object. A route that is not known here, or names no policy, fails."""

from __future__ import annotations

import re
import uuid

import pytest
from django.db import transaction
from django.test import Client

from labeling.models import Role
from labeling.permissions import Action

from .routes import PUBLIC, SIGNED_IN, all_routes, is_policy
from .world import build_world

pytestmark = [pytest.mark.django_db]

# Path part in front of a parameter -> which object of the world it is.
OBJECTS = {
    "people": "members",
    "work": "assignments",
    "review": "submissions",
    "guidelines/versions": "guideline version",
    "people/invitations": "invitations",
    "review/late": "late",
    "review/appeals": "appeals",
    "review/consensus": "ranking task",
}
# What belongs to one annotator: another annotator gets 404, whatever their role.
ONLY_THE_OWNERS = {"assignments", "notifications", "views", "appealed", "own appeal", "span-notes"}
# What an annotator sees of their own only, and leads of everybody.
OWNERS_AND_LEADS = {"submissions", "accepted", "appeals", "comments", "slot talked about"}
# Reopening is for decided submissions.
OF_ACCEPTED = {"api_reopen", "labeling:review_reopen"}
# Appealing is for the author of the piece.
OF_AUTHORS = {
    "labeling:appeal_open": "appealed",
    "labeling:appeal_withdraw": "appealed",
    "api_appeal_withdraw": "own appeal",
    # Comments on the work in somebody's hands: theirs and the leads'.
    "labeling:work_comments": "slot talked about",
    "api_comments_in_hand": "slot talked about",
}
NUMBERS = {"number": 1, "older": 1, "newer": 2}
ROLES = ["annotator", "lead", "admin"]


def object_of(route) -> str | None:
    """Name of the world's object that the route's path names, if any."""
    match = re.search(r"((?:[\w-]+/)+)<(?:\w+:)?(?:pk|dataset_pk)>", route.path)
    if match is None:
        return None
    if route.name in OF_AUTHORS:
        return OF_AUTHORS[route.name]
    parts = match[1].strip("/").split("/")
    for name in ("/".join(parts[-2:]), parts[-1]):
        if name in OBJECTS:
            return "accepted" if route.name in OF_ACCEPTED else OBJECTS[name]
    return "accepted" if route.name in OF_ACCEPTED else parts[-1]


def values_for(route, world: dict) -> dict:
    values = {"slug": world["slug"], **NUMBERS, "kind": "demonstration", "layout": "ranking"}
    if "steps/" in route.path:
        values["kind"] = "sft_dataset"
    name = object_of(route)
    if name is not None:
        values["pk"] = values["dataset_pk"] = world[name]
    return values


def call(client: Client, method: str, url: str, **extra) -> int:
    """The answer's status; whatever it changed is undone."""
    point = transaction.savepoint()
    try:
        if url.startswith("/api/") and method != "get":
            extra["content_type"] = "application/json"
        return getattr(client, method)(url, **extra).status_code
    finally:
        transaction.savepoint_rollback(point)


@pytest.fixture
def worlds(cast):
    """The cast's project and the outsider's, each with one of everything."""
    own = build_world(cast.project, admin=cast.admin, annotator=cast.annotator, reviewer=cast.lead)
    other = build_world(cast.other_project, admin=cast.outsider, annotator=cast.outsider, reviewer=cast.admin)
    return own, other


@pytest.fixture
def signed_in(cast):
    def make(name: str) -> Client:
        client = Client(raise_request_exception=False)
        if name != "anonymous":
            client.force_login(getattr(cast, name))
        return client

    return make


def project_routes():
    for route in all_routes():
        if route.is_of_a_project:
            for method, policy in route.policies:
                yield route, method, policy


def test_every_route_names_its_policy():
    nameless = [
        f"{method} {route.path} ({route.name})"
        for route in all_routes()
        for method, policy in route.policies
        if not is_policy(policy)
    ]
    assert nameless == []


def test_every_route_of_a_project_asks_for_an_action():
    lax = [route.name for route, _, policy in project_routes() if not isinstance(policy, Action)]
    assert lax == []


def test_only_the_known_routes_are_open_to_the_public():
    from .routes import SITE_ROUTES

    ours = {route.name for route in all_routes() for _, policy in route.policies if policy == PUBLIC}
    assert ours - set(SITE_ROUTES) == {
        "labeling:invitation",
        "labeling:mail_unsubscribe",
        "labeling:dataset_link",
    }


def test_signed_out_people_get_in_nowhere(worlds, signed_in):
    client, wrong = signed_in("anonymous"), []
    for route in all_routes():
        for method, policy in route.policies:
            if policy == PUBLIC or "digest" in route.parameters:
                continue
            values = values_for(route, worlds[0])
            status = call(client, method, route.url(values))
            expected = (302,) if not route.is_api or route.name == "api_docs" else (401,)
            if status not in expected:
                wrong.append(f"{method} {route.path}: {status}")
    assert not wrong, "\n".join(wrong)


def test_people_of_another_project_learn_nothing(worlds, signed_in):
    client, wrong = signed_in("outsider"), []
    for route, method, _ in project_routes():
        status = call(client, method, route.url(values_for(route, worlds[0])))
        if status != 404:
            wrong.append(f"{method} {route.path}: {status}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_reaches_what_its_policy_allows_and_nothing_else(role, worlds, signed_in):
    client, wrong = signed_in(role), []
    for route, method, policy in project_routes():
        name = object_of(route)
        # A redirect tells nothing; what it leads to does.
        follow = name in ONLY_THE_OWNERS and role != "annotator"
        status = call(client, method, route.url(values_for(route, worlds[0])), follow=follow)
        if Role(role).level < policy.least_role.level:
            if status != 403:
                wrong.append(f"{method} {route.path}: {status}, not 403")
        elif name in ONLY_THE_OWNERS and role != "annotator":
            if status != 404:
                wrong.append(f"{method} {route.path}: {status}, not 404")
        elif status in (401, 403, 404, 405) or status >= 500:
            wrong.append(f"{method} {route.path}: {status}, not allowed")
    assert not wrong, "\n".join(wrong)


def test_a_peer_does_not_see_ones_own_work(worlds, signed_in):
    client, wrong = signed_in("peer"), []
    for route, method, policy in project_routes():
        if object_of(route) not in ONLY_THE_OWNERS | OWNERS_AND_LEADS or policy.least_role != Role.ANNOTATOR:
            continue
        status = call(client, method, route.url(values_for(route, worlds[0])), follow=True)
        if status != 404:
            wrong.append(f"{method} {route.path}: {status}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("role", ROLES)
def test_objects_of_another_project_are_not_found_through_ones_own(role, worlds, signed_in):
    own, other = worlds
    client, wrong = signed_in(role), []
    for route, method, policy in project_routes():
        name = object_of(route)
        if name is None or Role(role).level < policy.least_role.level:
            continue
        values = values_for(route, other) | {"slug": own["slug"]}
        status = call(client, method, route.url(values), follow=True)
        if status != 404:
            wrong.append(f"{method} {route.path}: {status}")
    assert not wrong, "\n".join(wrong)


def test_ones_notifications_and_tokens_are_ones_own(worlds, signed_in, cast):
    from annotate.accounts.services import create_api_token

    own, _ = worlds
    token, _ = create_api_token(user=cast.annotator, name="mine")
    client = signed_in("peer")
    assert call(client, "get", f"/notifications/{own['notifications']}/") == 404
    assert call(client, "delete", f"/api/tokens/{token.digest}/") == 404
    assert call(client, "post", f"/profile/tokens/{token.digest}/revoke/") == 404
    assert call(client, "delete", f"/api/tokens/{uuid.uuid4().hex}/") == 404


def test_a_removed_member_is_an_outsider_and_a_paused_one_gets_no_work(worlds, signed_in, cast):
    member = cast.project.memberships.get(user=cast.peer)
    member.status = "paused"
    member.save()
    client = signed_in("peer")
    slug = cast.project.slug
    assert call(client, "post", f"/api/projects/{slug}/assignments/next/") == 403
    assert call(client, "get", f"/projects/{slug}/history/") == 200
    member.status = "removed"
    member.save()
    assert call(client, "get", f"/projects/{slug}/history/") == 404


def test_signed_in_routes_outside_projects_answer_everybody_who_is_signed_in(signed_in, cast):
    client, wrong = signed_in("annotator"), []
    for route in all_routes():
        if route.is_of_a_project or route.parameters or not route.name.startswith(("labeling:", "training:")):
            continue
        for method, policy in route.policies:
            if policy == SIGNED_IN and call(client, method, route.url({})) >= 500:
                wrong.append(route.name)
    assert not wrong, "\n".join(wrong)
