"""Requests share a few lasting threads, and with them their database connections."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time

import pytest

from annotate import threads
from annotate.threads import LASTING_THREADS, MOST_THREADS, SharedThreads


@pytest.fixture
def hurried(monkeypatch):
    """The same waits, shorter."""
    monkeypatch.setattr(threads, "SLOW_AFTER", 0.05)
    monkeypatch.setattr(threads, "LOOK_AGAIN", 0.01)
    monkeypatch.setattr(threads, "ALONE_AFTER", 0.3)


def test_one_request_after_the_other_uses_one_thread():
    async def serve() -> list[int]:
        shared = SharedThreads()
        return [await shared.run(threading.get_ident) for _ in range(5)]

    assert len(set(asyncio.run(serve()))) == 1


def test_many_quick_requests_at_once_take_turns_first_come_first_served():
    order: dict[int, list[int]] = {}

    def work(number: int) -> int:
        order.setdefault(threading.get_ident(), []).append(number)
        time.sleep(0.005)
        return threading.get_ident()

    async def serve() -> list[int]:
        shared = SharedThreads()
        used = await asyncio.gather(*(shared.run(work, number) for number in range(60)))
        assert len(shared.idle) == LASTING_THREADS
        assert not shared.lent
        assert not shared.waiting
        return used

    assert len(set(asyncio.run(serve()))) <= LASTING_THREADS
    # Of two threads one may be held up by the system for any time; each takes what came first.
    assert all(numbers == sorted(numbers) for numbers in order.values())


def test_slow_requests_do_not_hold_up_the_quick_ones(hurried):
    go_on = threading.Event()

    async def serve() -> None:
        shared = SharedThreads()
        slow = [asyncio.create_task(shared.run(go_on.wait, 20)) for _ in range(LASTING_THREADS)]
        await asyncio.sleep(0.1)
        for _ in range(3):
            await asyncio.wait_for(shared.run(int), 5)
        assert not any(each.done() for each in slow)
        go_on.set()
        await asyncio.gather(*slow)
        assert len(shared.idle) == LASTING_THREADS  # what was added is given up again
        assert not shared.lent

    asyncio.run(serve())


def test_where_all_are_held_a_request_gets_a_thread_in_the_end(hurried):
    go_on = threading.Event()

    async def serve() -> None:
        shared = SharedThreads()
        slow = [asyncio.create_task(shared.run(go_on.wait, 20)) for _ in range(MOST_THREADS + 3)]
        await asyncio.wait_for(shared.run(int), 10)
        assert not any(each.done() for each in slow)
        go_on.set()
        await asyncio.gather(*slow)
        assert len(shared.idle) == LASTING_THREADS
        assert not shared.lent

    asyncio.run(serve())


def test_one_that_fails_or_is_given_up_gives_its_thread_back():
    def fail() -> None:
        raise ValueError("broken")

    async def serve() -> None:
        shared = SharedThreads()
        with pytest.raises(ValueError, match="broken"):
            await shared.run(fail)
        go_on = threading.Event()
        holding = [asyncio.create_task(shared.run(go_on.wait, 20)) for _ in range(LASTING_THREADS)]
        waiting = asyncio.create_task(shared.run(int))
        await asyncio.sleep(0.02)
        waiting.cancel()
        go_on.set()
        await asyncio.gather(*holding)
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        assert await asyncio.wait_for(shared.run(int), 5) == 0
        assert len(shared.idle) == LASTING_THREADS
        assert not shared.lent
        assert not shared.waiting

    asyncio.run(serve())


def test_one_that_is_given_up_while_it_runs_keeps_its_thread_until_it_is_done():
    """Its database connection is in use: nobody else may have the thread."""

    async def serve() -> None:
        shared = SharedThreads()
        begun, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            begun.set()
            go_on.wait(20)

        running = asyncio.create_task(shared.run(hold))
        await asyncio.to_thread(begun.wait, 20)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert running.cancelled()
        assert len(shared.lent) == 1
        go_on.set()
        while shared.lent:
            await asyncio.sleep(0.005)
        assert len(shared.idle) == LASTING_THREADS

    asyncio.run(serve())


def test_one_that_was_given_up_is_not_begun_and_the_next_one_is():
    done: list[str] = []

    async def serve() -> None:
        shared = SharedThreads()
        go_on = threading.Event()
        holding = [asyncio.create_task(shared.run(go_on.wait, 20)) for _ in range(LASTING_THREADS)]
        given_up = asyncio.create_task(shared.run(done.append, "given up"))
        next_one = asyncio.create_task(shared.run(done.append, "next"))
        await asyncio.sleep(0.02)
        given_up.cancel()
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait_for(asyncio.gather(*holding, next_one), 20)

    asyncio.run(serve())
    assert done == ["next"]


def test_what_the_request_said_of_itself_is_known_in_its_thread_and_stays_there():
    name = contextvars.ContextVar("name", default="nobody")

    def in_thread() -> str:
        known = name.get()
        name.set("changed")
        return known

    async def serve() -> list[str]:
        shared = SharedThreads()
        name.set("ann")
        return [await shared.run(in_thread), name.get()]

    assert asyncio.run(serve()) == ["ann", "ann"]


def test_threads_end_with_whoever_shared_them():
    def here() -> threading.Thread:
        return threading.current_thread()

    async def serve() -> threading.Thread:
        return await SharedThreads().run(here)

    thread = asyncio.run(serve())
    gc.collect()
    thread.join(20)
    assert not thread.is_alive()


def test_an_error_that_no_future_takes_is_told_as_another():
    """asyncio refuses StopIteration: whoever waits for the answer would wait for ever."""

    async def serve() -> None:
        shared = SharedThreads()
        with pytest.raises(RuntimeError, match="StopIteration") as raised:
            await asyncio.wait_for(shared.run(next, iter(())), 5)
        assert isinstance(raised.value.__cause__, StopIteration)

    asyncio.run(serve())


def test_where_the_system_has_no_thread_left_it_is_asked_again_and_nobody_is_lost(hurried, monkeypatch):
    go_on = threading.Event()
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def serve() -> None:
        shared = SharedThreads()
        slow = [asyncio.create_task(shared.run(go_on.wait, 20)) for _ in range(LASTING_THREADS)]
        await asyncio.sleep(0.1)
        monkeypatch.setattr(threading.Thread, "start", refuse)
        waiting = [asyncio.create_task(shared.run(int)) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert not any(each.done() for each in waiting)
        assert len(shared.lent) == LASTING_THREADS
        monkeypatch.setattr(threading.Thread, "start", start)
        assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [0, 0, 0]
        go_on.set()
        await asyncio.gather(*slow)
        assert len(shared.idle) == LASTING_THREADS
        assert not shared.lent

    asyncio.run(serve())


def test_the_first_request_waits_for_the_first_thread(hurried, monkeypatch):
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def serve() -> None:
        shared = SharedThreads()
        monkeypatch.setattr(threading.Thread, "start", refuse)
        waiting = asyncio.create_task(shared.run(int))
        await asyncio.sleep(0.1)
        monkeypatch.setattr(threading.Thread, "start", start)
        assert await asyncio.wait_for(waiting, 5) == 0
        assert len(shared.idle) == LASTING_THREADS
        assert not shared.lent

    asyncio.run(serve())


def test_a_thread_ends_whose_last_request_outlives_whoever_shared_it():
    go_on, begun, found = threading.Event(), threading.Event(), []

    def hold() -> None:
        found.append(threading.current_thread())
        begun.set()
        go_on.wait(20)

    async def serve() -> None:
        running = asyncio.create_task(SharedThreads().run(hold))
        await asyncio.to_thread(begun.wait, 20)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(serve())
    gc.collect()
    go_on.set()
    found[0].join(5)
    assert not found[0].is_alive()
