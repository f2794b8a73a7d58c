"""One line per request tells who asked, and costs no query."""

from __future__ import annotations

import pytest
import structlog
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils.functional import SimpleLazyObject

from annotate.accounts.services import create_api_token
from annotate.middleware import RequestLogMiddleware
from tests.cast import make_cast

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def cast():
    return make_cast()


def logged(client: Client, path: str) -> dict:
    with structlog.testing.capture_logs() as lines:
        client.get(path)
    [line] = [line for line in lines if line["event"] == "request"]
    return line


def test_the_line_names_whoever_signed_in_in_the_browser(cast):
    client = Client()
    client.force_login(cast.lead)
    assert logged(client, "/")["user"] == cast.lead.pk


def test_the_line_names_whose_token_it_was(cast):
    token = create_api_token(user=cast.lead, name="a script")[1]
    line = logged(Client(headers={"Authorization": f"Token {token}"}), "/api/projects/")
    assert (line["user"], line["status"]) == (cast.lead.pk, 200)
    assert token not in str(line)


def test_nobody_is_looked_up_for_the_line():
    request = RequestFactory().get("/somewhere/")
    request.user = SimpleLazyObject(lambda: pytest.fail("a query just to log"))
    with structlog.testing.capture_logs() as lines:
        RequestLogMiddleware(lambda request: HttpResponse())(request)
    assert lines[0]["user"] is None
