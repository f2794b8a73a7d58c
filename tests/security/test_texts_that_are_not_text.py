"""NUL, half a surrogate pair, brackets without end, too much: answered in words, not as a failure."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.django_db, pytest.mark.database]
HALF = "\ud800"


@pytest.fixture
def post(cast, api_client_of):
    api = api_client_of(cast.admin)

    def post(path: str, body: dict | str) -> tuple[int, dict]:
        text = body if isinstance(body, str) else json.dumps(body)
        answer = api.post(f"/api/projects/{cast.project.slug}/{path}", text, content_type="application/json")
        return answer.status_code, answer.json()["error"]

    return post


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("batches/", {"name": "b", "kind": HALF}, "kind"),
        ("reviews/", {"submission": 1, "revision": 1, "decision": HALF}, "decision"),
        ("runs/", {"stage": HALF}, "stage"),
        ("runs/", {"stage": "sft", "inputs": {"train_data": HALF}}, "train_data"),
        ("runs/", {"stage": "sft", "inputs": {"train_data": "a\x00b"}}, "train_data"),
        ("rounds/", {"plan": {"base_model": HALF}}, "base_model"),
        ("rounds/", {"plan": {"base_model": "a\x00b"}}, "base_model"),
        ("rounds/", {"plan": {"base_model": "/" + "x" * 5000}}, "base_model"),
    ],
)
def test_a_choice_that_is_no_text_is_refused_by_its_field(post, path, body, field):
    status, error = post(path, body)
    assert (status, error["field"].rpartition(".")[2]) == (422, field)


def test_brackets_nested_without_end_are_refused(post):
    status, error = post("batches/", "[" * 50_000)
    assert (status, error["code"]) == (400, "malformed_request")


def test_a_body_that_is_too_large_says_the_limit(post, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2**20
    status, error = post("batches/", {"name": "x" * 2**20})
    assert (status, error["code"], "1 MiB" in error["message"]) == (413, "too_large", True)


def test_a_search_for_nul_finds_what_the_rest_finds(client, cast):
    client.force_login(cast.lead)
    assert client.get(f"/projects/{cast.project.slug}/prompts/", {"q": "a\x00b"}).status_code == 200
