"""A text that is too long is refused with its field named, wherever a program may send one."""

from __future__ import annotations

import pytest
from rest_framework.exceptions import ValidationError

from annotate.errors import from_drf
from tests.factories import make_demonstration_batch

from .api_texts import all_texts
from .world import build_world

MOST = 1_000_000  # characters of any text


def test_every_text_of_the_api_has_a_bound():
    texts = all_texts()
    assert len(texts) > 80
    assert [str(text) for text in texts if text.longest is None or text.longest > MOST] == []


@pytest.mark.django_db
@pytest.mark.parametrize("text", all_texts(), ids=str)
def test_one_character_more_is_refused_by_the_name_of_its_field(text):
    body = text.body("x" * (text.longest + 1))
    with pytest.raises(ValidationError) as refused:
        type(text.serializer)().run_validation(body)
    name = text.path.split(".")[0]
    told = [detail for detail in from_drf(refused.value).details if detail["field"].split(".")[0] == name]
    assert any(str(text.longest) in detail["message"] for detail in told), told


@pytest.mark.django_db
@pytest.mark.database
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("batches/", {"name": "b", "kind": "demonstration", "category": "x" * 81}, "category"),
        ("invitations/", {"email": "a@" + "x" * 300 + ".org"}, "email"),
        ("views/", {"page": "people", "name": "x" * 81, "query": ""}, "name"),
        ("webhooks/", {"url": "https://example.org/" + "x" * 500, "events": ["run.ended"]}, "url"),
        ("reviews/", {"submission": 1, "revision": 1, "decision": "returned", "note": "x" * 2_001}, "note"),
        (
            "reviews/",
            {"submission": 1, "revision": 1, "decision": "returned", "reasons": ["x" * 201]},
            "reasons.0",
        ),
        ("submissions/{submissions}/notes/", {"start": 0, "end": 2, "comment": "x" * 2_001}, "comment"),
        ("runs/", {"stage": "sft", "name": "x" * 121}, "name"),
    ],
)
def test_the_answer_has_the_shape_of_every_error(cast, api_client_of, path, body, field):
    world = build_world(cast.project, admin=cast.admin, annotator=cast.annotator, reviewer=cast.lead)
    answer = api_client_of(cast.admin).post(f"/api/projects/{cast.project.slug}/{path.format(**world)}", body)
    assert answer.status_code == 422, answer.content
    error = answer.json()["error"]
    assert (error["code"], error["field"]) == ("invalid", field)


@pytest.mark.django_db
@pytest.mark.database
def test_descriptions_of_projects_are_bounded_on_every_way(cast, client, api_client_of):
    make_demonstration_batch(cast.project, tasks=1)
    address = f"/api/projects/{cast.project.slug}/"
    answer = api_client_of(cast.admin).patch(address, {"description": "x" * 5_001})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "description")
    client.force_login(cast.admin)
    form = {"name": "Tidy answers", "description": "x" * 5_001}
    answer = client.post(f"/projects/{cast.project.slug}/settings/", form)
    cast.project.refresh_from_db()
    assert answer.status_code == 422 and len(cast.project.description) < 5_001
