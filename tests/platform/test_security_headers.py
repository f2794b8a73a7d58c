"""Headers on every page, strict by default."""

import urllib.request

import pytest
from django.urls import reverse

pytestmark = pytest.mark.django_db


def policy_of(response) -> dict[str, str]:
    parts = [part.strip().partition(" ") for part in response["Content-Security-Policy"].split(";")]
    return {name: value for name, _, value in parts}


def test_pages_allow_nothing_inline_and_nothing_from_elsewhere(client):
    policy = policy_of(client.get(reverse("account_login")))
    assert policy["default-src"] == "'self'"
    assert "unsafe" not in str(policy)
    assert (policy["object-src"], policy["frame-ancestors"], policy["base-uri"]) == ("'none'",) * 3


def test_the_api_docs_alone_may_use_inline_styles_and_still_no_inline_script(client, make_user):
    client.force_login(make_user("ann"))
    policy = policy_of(client.get(reverse("api_docs")))
    assert "'unsafe-inline'" in policy["style-src"]
    assert "script-src" not in policy


def test_answers_cannot_be_framed_or_sniffed(client):
    response = client.get("/healthz")
    assert (response["X-Frame-Options"], response["X-Content-Type-Options"]) == ("DENY", "nosniff")


def test_a_plain_request_id_is_taken_over_and_a_strange_one_is_not(client):
    assert client.get("/healthz", headers={"X-Request-ID": "abc-12345"})["X-Request-ID"] == "abc-12345"
    assert "<" not in client.get("/healthz", headers={"X-Request-ID": "<script>12345"})["X-Request-ID"]


def test_static_files_are_never_sniffed_nor_lent_to_other_sites(live_site):
    with urllib.request.urlopen(f"{live_site.url}/static/css/app.css", timeout=10) as answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
