"""A body in chunks, without a Content-Length, is read like any other; where it cannot be, that is said."""

from __future__ import annotations

import http.client
import json

import pytest
from django.test import Client

from tests.conftest import PASSWORD

TOKEN_INPUT = b'{"name": "from a pipe"}'


def send_in_chunks(site, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    pieces = (body[start : start + 5] for start in range(0, len(body), 5))
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body=pieces, headers=headers, encode_chunked=True)
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.fixture
def token_of(make_user) -> str:
    from annotate.accounts.services import create_api_token

    return create_api_token(user=make_user("ann"), name="test")[1]


def test_json_in_chunks_is_read(live_site, token_of):
    headers = {"Authorization": f"Token {token_of}", "Content_Type": "application/json"}
    status, answer = send_in_chunks(
        live_site, "/api/tokens/", TOKEN_INPUT, Transfer_Encoding="chunked", **headers
    )
    assert (status, json.loads(answer)["name"]) == (201, "from a pipe")


def test_a_form_in_chunks_is_read(live_site, token_of):
    body = b'--edge\r\nContent-Disposition: form-data; name="name"\r\n\r\nfrom a form\r\n--edge--\r\n'
    headers = {
        "Authorization": f"Token {token_of}",
        "Content_Type": "multipart/form-data; boundary=edge",
        "Transfer_Encoding": "chunked",
    }
    status, answer = send_in_chunks(live_site, "/api/tokens/", body, **headers)
    assert (status, json.loads(answer)["name"]) == (201, "from a form")


@pytest.mark.django_db
def test_where_the_length_stays_unknown_the_answer_says_what_is_missing(make_user):
    make_user("ann")
    client = Client(headers={"Transfer-Encoding": "chunked", "Accept": "application/json"})
    client.login(username="ann", password=PASSWORD)
    answer = client.generic("POST", "/api/tokens/", b"", content_type="application/json")
    assert answer.status_code == 411
    assert answer.json()["error"]["code"] == "length_required"
