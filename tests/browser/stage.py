"""A stage for one widget: a page of our base template in a real browser, over a tiny server of the test's.

Nothing of the site runs behind it, so that a test can answer a draft with 409, 401 or silence at will. The
Content-Security-Policy is the site's; a violation or a script error fails the test (`Stage.complaints`).
"""

from __future__ import annotations

import json
import mimetypes
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django.contrib.staticfiles import finders
from django.template import Context, engines
from django.test import override_settings
from django.urls import include, path
from django.views.generic import RedirectView

POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'"
Answer = tuple[Any, ...]  # status, JSON or HTML, and perhaps headers

# The frame of a page links to these; the rooms of the site are not on the stage.
urlpatterns = [
    path("", RedirectView.as_view(url="/"), name="home"),
    path("accounts/", include("allauth.urls")),
]


def wait_until(page: Any, condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Until the test's own server has seen it; the browser works on meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        page.wait_for_timeout(30)


class Person:
    """Who is signed in on the stage; changes when a test says so."""

    is_authenticated = True
    is_staff = False
    display_name = "Ann Example"
    email = "ann@example.org"

    def __init__(self, pk: int = 7) -> None:
        self.pk = pk

    def get_username(self) -> str:
        return "ann"


class Stage:
    """`stage.show("/work", TEMPLATE, context)` then open `stage.url + "/work"`.

    `stage.answer["PUT /draft"] = function(body) -> (status, JSON or text)`; every request's body is kept in
    `stage.requests` as (method, path, body).
    """

    def __init__(self) -> None:
        self.settings = override_settings(ROOT_URLCONF=__name__)
        self.settings.enable()
        self.pages: dict[str, Callable[[], str]] = {}
        self.answer: dict[str, Callable[[Any], Answer]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.complaints: list[str] = []
        self.person: Person | None = Person()
        self.token = "a" * 64
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def show(self, address: str, source: str, **context: Any) -> None:
        template = engines["django"].from_string('{% extends "base.html" %}{% load ui static %}' + source)
        anonymous = SimpleNamespace(is_authenticated=False)

        def render() -> str:
            request = SimpleNamespace(user=self.person or anonymous, path=address, GET={})
            # Through Context, not the backend's render(): context processors would want a database.
            values = {**context, "request": request, "csrf_token": self.token}
            return template.template.render(Context(values))

        self.pages[address] = render

    def watch(self, page: Any) -> Any:
        """Listen to a Playwright page for what must never happen."""
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text) if "Content Security Policy" in message.text else None
            ),
        )
        return page

    def bodies(self, method: str, path: str) -> list[Any]:
        return [body for m, p, body in self.requests if (m, p) == (method, path)]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.settings.disable()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stage = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = _decode(self.rfile.read(length), self.headers.get("Content-Type", ""))
                path = self.path.split("?")[0]
                stage.requests.append((self.command, path, body))
                answer = stage.answer.get(f"{self.command} {path}")
                if answer:
                    status, content, *more = answer(body)
                    if status == 0:  # as if the network had gone: no answer at all
                        self.close_connection = True
                        return
                    kind = "text/html" if isinstance(content, str) else "application/json"
                    data = content if isinstance(content, str) else json.dumps(content)
                    self.reply(status, data.encode(), kind, more[0] if more else {})
                elif path.startswith("/static/"):
                    found = finders.find(path.removeprefix("/static/"))
                    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
                    self.reply(200 if found else 404, Path(found).read_bytes() if found else b"", kind)
                elif path in stage.pages:
                    self.reply(200, stage.pages[path]().encode(), "text/html")
                else:
                    self.reply(404, b"", "text/plain")

            do_GET = do_POST = do_PUT = handle_any  # noqa: N815 - names of the base class

            def reply(self, status: int, data: bytes, kind: str, headers: dict | None = None) -> None:
                self.send_response(status)
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Content-Security-Policy", POLICY)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: Any) -> None:
                """Quiet: what was asked is in `stage.requests`."""

        return Handler


def _decode(raw: bytes, kind: str) -> Any:
    if "json" in kind:
        return json.loads(raw)
    return raw.decode()
