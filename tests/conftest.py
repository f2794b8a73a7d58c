"""Fixtures of the whole suite. The site's servers are real: see tests/servers.py and tests/settings.py.

People: `make_user("ann")` makes anybody; `cast` is the fixed one (admin, lead, annotator, peer, outsider).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests import servers
from tests.site_process import SiteProcess, database_url

PASSWORD = "correct horse battery staple"


@pytest.fixture
def make_user(db) -> Callable:
    """A person by name; other fields as keywords."""
    from annotate.accounts.models import User

    def make(username: str = "ann", **fields) -> User:
        fields.setdefault("email", f"{username}@example.org")
        password = fields.pop("password", PASSWORD)
        return User.objects.create_user(username, password=password, **fields)

    return make


@pytest.fixture
def cast(db):
    """One project with its people, and an outsider; see tests/cast.py."""
    from tests.cast import make_cast  # needs the apps to be loaded

    return make_cast()


@pytest.fixture
def api_client_of() -> Callable:
    """A DRF client that carries the person's token, as a program would."""
    from rest_framework.test import APIClient

    from annotate.accounts.services import create_api_token

    def make(user) -> APIClient:
        _, text = create_api_token(user=user, name="test")
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Token {text}")
        return client

    return make


@pytest.fixture(autouse=True)
def _fresh_cache():
    """Rate limits of one test must not reach the next."""
    from django.core.cache import cache

    cache.clear()


@pytest.fixture
def redis_server(tmp_path) -> Iterator[servers.RedisServer]:
    """A Redis of the test's own, to be stopped and started at will."""
    server = servers.RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


# --- A whole site in a process of its own, and real browsers -----------------------------------------------
@pytest.fixture(scope="session")
def site_process(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[SiteProcess]:
    """uvicorn with the ASGI application on the test database, once per session."""
    with django_db_blocker.unblock():
        site = SiteProcess(database_url(), tmp_path_factory.mktemp("site"))
    site.start()
    # From here on Playwright's loop may run in this thread, where Django would refuse its ORM, also to the
    # fixtures that empty the database after a test.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield site
    site.stop()


@pytest.fixture
def live_site(site_process: SiteProcess, transactional_db) -> SiteProcess:
    """The running site, whose database is empty again after the test. `live_site.url` is where it is."""
    return site_process


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args, django_db_setup) -> dict:
    """Chromium; the database is made before it, as Django makes none in a thread of Playwright's loop."""
    return {
        **browser_type_launch_args,
        "executable_path": os.environ.get("CHROMIUM_PATH", "/usr/bin/chromium"),
        "args": ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    }


@pytest.fixture
def open_as(live_site, browser) -> Iterator[Callable]:
    """`page = open_as(user)`: a browser window of its own in which that person is signed in.

    Fails the test at its end for a script error or a refused (Content-Security-Policy) resource on any page.
    """
    from django.conf import settings
    from django.test import Client

    contexts, complaints = [], []

    def listen(page) -> None:
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on(
            "console",
            lambda message: (
                complaints.append(f"{page.url}: {message.text}")
                if message.type == "error" and "Content Security Policy" in message.text
                else None
            ),
        )

    def open_window(user=None, **context_options):
        context = browser.new_context(base_url=live_site.url, **context_options)
        contexts.append(context)
        context.on("page", listen)
        if user is not None:
            client = Client()
            client.force_login(user)
            session = client.cookies[settings.SESSION_COOKIE_NAME].value
            context.add_cookies(
                [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_site.url}]
            )
        return context.new_page()

    yield open_window
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(complaints)
