"""Requests share a few lasting threads, and with them their database connections."""

from __future__ import annotations

import asyncio
import threading

from asgiref.sync import ThreadSensitiveContext, sync_to_async

from annotate.threads import LASTING_THREADS, SharedThreads


def handler(seen: list[int], started: threading.Semaphore, go_on: threading.Event):
    def work() -> None:
        seen.append(threading.get_ident())
        started.release()
        go_on.wait(20)

    async def application(scope, receive, send) -> None:
        async with ThreadSensitiveContext():  # as Django's ASGI handler does
            await sync_to_async(work)()

    return application


async def serve(count: int, application, *, at_once: bool, go_on: threading.Event, started) -> None:
    requests = [application({"type": "http"}, None, None) for _ in range(count)]
    if not at_once:
        for request in requests:
            await request
        return
    running = asyncio.gather(*requests)
    for _ in range(count):
        await asyncio.to_thread(started.acquire, timeout=20)
    go_on.set()
    await running


def run(count: int, *, at_once: bool) -> list[int]:
    seen: list[int] = []
    started, go_on = threading.Semaphore(0), threading.Event()
    if not at_once:
        go_on.set()
    application = SharedThreads(handler(seen, started, go_on))
    asyncio.run(serve(count, application, at_once=at_once, go_on=go_on, started=started))
    assert len(application.idle) == LASTING_THREADS
    return seen


def test_one_request_after_the_other_uses_one_thread():
    assert len(set(run(5, at_once=False))) == 1


def test_requests_at_once_have_a_thread_each_also_beyond_the_lasting_ones():
    count = LASTING_THREADS + 3
    assert len(set(run(count, at_once=True))) == count


def test_a_request_that_fails_gives_its_thread_back():
    async def fails(scope, receive, send) -> None:
        raise ValueError("broken")

    application = SharedThreads(fails)

    async def call() -> None:
        try:
            await application({"type": "http"}, None, None)
        except ValueError:
            return
        raise AssertionError("the error was swallowed")

    asyncio.run(call())
    assert len(application.idle) == LASTING_THREADS
