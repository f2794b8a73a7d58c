"""What goes wrong is answered in one shape: JSON for programs, a toast for htmx, a page for people."""

import json

import pytest
from rest_framework.test import APIClient

pytestmark = [pytest.mark.urls("tests.platform.urls_that_fail"), pytest.mark.django_db]
KEYS = {"code", "message", "field", "hint", "details", "request_id"}
CASES = [
    ("invalid", 422, "invalid"),
    ("conflict", 409, "conflict"),
    ("missing", 404, "not_found"),
    ("forbidden", 403, "forbidden"),
    ("database", 503, "database_unavailable"),
    ("bug", 500, "internal_error"),
]


@pytest.fixture
def quiet_client(client):
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize(("name", "status", "code"), CASES)
def test_the_api_answers_every_failure_in_the_one_shape(name, status, code):
    client = APIClient(raise_request_exception=False)
    response = client.get(f"/api/fail/{name}/")
    body = response.json()
    assert (response.status_code, set(body), set(body["error"])) == (status, {"error"}, KEYS)
    assert body["error"]["code"] == code
    assert body["error"]["request_id"] == response["X-Request-ID"]
    assert "secret" not in response.content.decode()


@pytest.mark.parametrize(("name", "status", "code"), CASES)
def test_htmx_gets_a_fragment_and_a_toast(quiet_client, name, status, code):
    response = quiet_client.get(f"/fail/{name}/", headers={"HX-Request": "true"})
    toast = json.loads(response["HX-Trigger"])["toast"]
    assert (response.status_code, toast["level"], toast["code"]) == (status, "error", code)
    assert "<html" not in response.content.decode()
    assert "secret" not in response.content.decode()


@pytest.mark.parametrize(("name", "status", "code"), CASES)
def test_people_get_a_page_without_internals(quiet_client, name, status, code):
    response = quiet_client.get(f"/fail/{name}/")
    text = response.content.decode()
    assert (response.status_code, "<html" in text) == (status, True)
    assert "secret" not in text and "Traceback" not in text and "matches the given query" not in text


def test_a_detail_keeps_row_and_field():
    error = APIClient().get("/api/fail/invalid/").json()["error"]
    assert error["field"] == "text"
    assert error["details"] == [{"field": None, "row": 3, "message": "x"}]


def test_nested_validation_errors_name_the_path_of_the_field():
    answer = APIClient().post("/api/validate/", {"text": "too long", "scores": [{"score": 1}, {"score": 9}]})
    assert answer.status_code == 422
    fields = [(detail["field"], detail["row"]) for detail in answer.json()["error"]["details"]]
    assert fields == [("text", None), ("scores.1.score", None)]


def test_errors_in_a_list_of_objects_name_the_row():
    rows = [{"text": "ok", "scores": []}, {"text": "too long", "scores": []}]
    error = APIClient().post("/api/validate-many/", rows).json()["error"]
    assert [(detail["field"], detail["row"]) for detail in error["details"]] == [("text", 2)]


def test_broken_json_is_told_apart_from_invalid_data():
    answer = APIClient().post("/api/validate/", "{not json", content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_request")


def test_a_wrong_method_is_answered_in_the_one_shape():
    answer = APIClient().delete("/api/validate/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


def test_a_missing_database_says_when_to_come_back():
    assert APIClient().get("/api/fail/database/")["Retry-After"] == "5"


def test_an_unknown_token_is_401_in_the_one_shape():
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Token " + "0" * 64)
    answer = client.get("/api/me/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "bad_credentials")


def test_a_stale_form_is_explained():
    from django.test import Client

    response = Client(enforce_csrf_checks=True).post("/accounts/login/", {"login": "a", "password": "b"})
    assert response.status_code == 403
    assert "stale" in response.content.decode()


def test_an_htmx_request_of_a_signed_out_person_is_401_not_a_form_in_a_fragment(client):
    response = client.get("/profile/", headers={"HX-Request": "true"})
    assert response.status_code == 401
    assert json.loads(response["HX-Trigger"])["toast"]["code"] == "signed_out"
