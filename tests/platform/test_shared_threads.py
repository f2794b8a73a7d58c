"""Requests share a few lasting threads, and with them their database connections."""

from __future__ import annotations

import asyncio
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
    order: list[int] = []

    def work(number: int) -> int:
        order.append(number)
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
    # Two threads may write their numbers down the wrong way round, and no more.
    assert all(abs(place - number) < LASTING_THREADS for place, number in enumerate(order))


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


def test_one_that_is_given_up_as_its_turn_comes_passes_it_on():
    async def serve() -> None:
        shared = SharedThreads()
        contexts = [shared.idle.pop() for _ in range(LASTING_THREADS)]
        shared.lent = dict.fromkeys(contexts, time.monotonic())
        waiting = asyncio.create_task(shared.run(int))
        await asyncio.sleep(0)
        await shared._give_back(contexts[0])  # hands it over; the waiter has not woken up yet
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert shared.idle == [contexts[0]]
        assert contexts[0] not in shared.lent

    asyncio.run(serve())
