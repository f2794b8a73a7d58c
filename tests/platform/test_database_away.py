"""The database is away: each page says so at once, with 503 and when to come back; nothing else leaks."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request

import pytest

from tests.site_process import SiteProcess


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site whose PostgreSQL does not listen: its port is held, so that nobody else's server is there."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"postgres://annotate:hidden-password@127.0.0.1:{nobody.getsockname()[1]}/annotate"
        site = SiteProcess(url, tmp_path_factory.mktemp("away"))
        site.start()
        get(site, "/")  # the first answer of a process also imports
        yield site
        site.stop()


def get(site, path: str, **headers):
    """(status, headers, text, seconds) whatever the status is."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(site.url + path, headers=headers)
    started = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=90) as response:
            return response.status, response.headers, response.read().decode(), time.monotonic() - started
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode(), time.monotonic() - started


SESSION = "sessionid=" + "a" * 32


@pytest.mark.parametrize("path", ["/", "/profile/", "/setup/", "/admin/"])
def test_pages_answer_503_with_retry_after(site, path):
    status, headers, text, seconds = get(site, path, Cookie=SESSION)
    assert (status, headers["Retry-After"]) == (503, "5")
    assert "<html" in text and "Traceback" not in text and "hidden-password" not in text
    assert seconds < 15, "it waited for a database that refuses at once"


def test_the_api_answers_503_in_the_one_shape(site):
    status, headers, text, _ = get(site, "/api/me/", Authorization="Token " + "0" * 64)
    assert (status, headers["Retry-After"]) == (503, "5")
    assert json.loads(text)["error"]["code"] == "database_unavailable"


def test_htmx_gets_a_toast(site):
    status, headers, text, _ = get(site, "/profile/", Cookie=SESSION, HX_Request="true")
    assert status == 503
    assert json.loads(headers["HX-Trigger"])["toast"]["code"] == "database_unavailable"
    assert "<html" not in text


def test_the_process_is_healthy_and_not_ready(site):
    assert get(site, "/healthz")[0] == 200
    status, headers, text, _ = get(site, "/readyz")
    assert (status, json.loads(text)["checks"]["database"]) == (503, "unreachable")
    assert headers["Retry-After"] == "5"
