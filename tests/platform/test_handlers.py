"""The ASGI application as servers call it: files, whole answers, streamed ones, readers who go away."""

from __future__ import annotations

import asyncio

import pytest
from django.core.signals import request_finished, request_started
from django.http import HttpResponse, StreamingHttpResponse

from annotate.handlers import PagesHandler, Site


def scope_of(path: str, headers=(), method: str = "GET") -> dict:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"testserver"), *headers],
        "client": ("127.0.0.1", 1),
    }


async def ask(
    application, scope: dict, *, body: bytes = b"", stays: asyncio.Event | None = None
) -> list[dict]:
    """What the server is sent. `stays` is set when the reader goes away."""
    sent: list[dict] = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict:
        if messages:
            return messages.pop()
        await (stays or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        sent.append(message)

    await asyncio.wait_for(application(scope, receive, send), 20)
    return sent


def answer_with(response_of) -> PagesHandler:
    handler = PagesHandler()
    handler._middleware_chain = response_of
    return handler


@pytest.fixture
def heard(monkeypatch):
    """The names of the signals that were sent, in order; Django's own receivers are left out."""
    names: list[str] = []
    for name, signal in (("started", request_started), ("finished", request_finished)):
        monkeypatch.setattr(signal, "send", lambda *_, name=name, **__: names.append(name))
    return names


def test_files_come_without_django_and_only_files():
    [start, *body] = asyncio.run(ask(Site(), scope_of("/static/css/app.css")))
    headers = dict(start["headers"])
    assert start["status"] == 200
    assert headers[b"X-Content-Type-Options"] == b"nosniff"
    assert b"--accent" in b"".join(each.get("body", b"") for each in body)
    for path in ("/static/none.css", "/static/../manage.py", "/static/%2e%2e/manage.py"):
        assert asyncio.run(ask(Site(), scope_of(path)))[0]["status"] == 404


def test_a_whole_answer_ends_its_request_before_it_is_sent(heard):
    def respond(request):
        heard.append("view")
        return HttpResponse(b"whole", status=201)

    sent = asyncio.run(ask(answer_with(respond), scope_of("/")))
    assert heard == ["started", "view", "finished"]
    assert (sent[0]["status"], sent[1]["body"]) == (201, b"whole")
    assert sent[-1]["more_body"] is False


def test_a_body_in_pieces_has_a_length():
    def respond(request):
        return HttpResponse(f"{request.headers['Content-Length']} {request.body.decode()}")

    sent = asyncio.run(ask(answer_with(respond), scope_of("/", method="POST"), body=b"12345"))
    assert sent[1]["body"] == b"5 12345"


def test_a_request_that_is_no_text_is_refused():
    scope = scope_of("/") | {"query_string": b"\xff"}
    assert asyncio.run(ask(answer_with(lambda _: HttpResponse()), scope))[0]["status"] == 400


def test_a_stream_is_sent_piece_by_piece_and_then_closed(heard):
    async def pieces():
        for number in range(3):
            heard.append(str(number))
            yield str(number).encode()

    sent = asyncio.run(ask(answer_with(lambda _: StreamingHttpResponse(pieces())), scope_of("/")))
    assert [each.get("body", b"") for each in sent[1:]] == [b"0", b"1", b"2", b""]
    assert heard == ["started", "0", "1", "2", "finished"]


def test_a_stream_stops_when_nobody_reads_it_any_more(heard):
    stays = asyncio.Event()

    async def endless():
        try:
            while True:
                yield b"more"
                await asyncio.sleep(0.001)
                stays.set()
        finally:
            heard.append("stopped")

    async def read() -> list[dict]:
        return await ask(answer_with(lambda _: StreamingHttpResponse(endless())), scope_of("/"), stays=stays)

    assert asyncio.run(read())[1]["body"] == b"more"
    assert heard == ["started", "stopped", "finished"]


def test_a_stream_that_breaks_is_an_error_of_the_server(heard):
    async def breaks():
        yield b"some"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk is gone"):
        asyncio.run(ask(answer_with(lambda _: StreamingHttpResponse(breaks())), scope_of("/")))
    assert heard == ["started", "finished"]


def test_a_reader_who_leaves_before_the_end_of_the_request_is_no_error(heard):
    async def receive() -> dict:
        return {"type": "http.disconnect"}

    async def send(_: dict) -> None:
        raise AssertionError("nobody is there")

    asyncio.run(answer_with(lambda _: HttpResponse())(scope_of("/"), receive, send))
    assert heard == []
