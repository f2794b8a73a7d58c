"""Threads that outlive a request, so that a database connection does too.

Django's ASGI handler gives each request a thread of its own and ends it with the request. Connections belong
to threads, so each request would open one: a few milliseconds, and a new server process on PostgreSQL. Here
requests take turns on a few lasting threads, first come, first served: more of them only take the
interpreter from one another. Where slow requests hold them all, another is added, and given up once there is
no use for it; where even these are held, a request gets a thread of its own in the end.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import connections

# A process; each may hold one database connection.
LASTING_THREADS, MOST_THREADS = 2, 12
# Seconds after which a request is slow, and after which one that waits gets a thread for itself.
SLOW_AFTER, ALONE_AFTER = 0.5, 5.0
LOOK_AGAIN = 0.1

Answer = TypeVar("Answer")


class SharedThreads:
    """Runs functions in threads. For one event loop.

    asgiref keeps one thread per ThreadSensitiveContext. The one used last is lent first: quiet sites keep few
    connections.
    """

    def __init__(self) -> None:
        self.idle: list[ThreadSensitiveContext] = [ThreadSensitiveContext() for _ in range(LASTING_THREADS)]
        self.lent: dict[ThreadSensitiveContext, float] = {}  # since when
        self.waiting: deque[asyncio.Future[ThreadSensitiveContext]] = deque()

    async def run(self, function: Callable[..., Answer], *arguments: Any) -> Answer:
        """What the function returns or raises."""
        async with self._thread() as context:
            token = SyncToAsync.thread_sensitive_context.set(context)
            try:
                return await sync_to_async(function)(*arguments)
            finally:
                SyncToAsync.thread_sensitive_context.reset(token)

    @asynccontextmanager
    async def _thread(self) -> AsyncIterator[ThreadSensitiveContext]:
        context = self.idle.pop() if self.idle else await self._wait()
        self.lent[context] = time.monotonic()
        try:
            yield context
        finally:
            await self._give_back(context)

    async def _wait(self) -> ThreadSensitiveContext:
        """One that comes free; a new one where too few are left beside slow requests."""
        since = time.monotonic()
        place = asyncio.get_running_loop().create_future()
        self.waiting.append(place)
        try:
            while True:
                await asyncio.wait([place], timeout=LOOK_AGAIN)
                if place.done():
                    return place.result()
                if self._may_add() or time.monotonic() > since + ALONE_AFTER:
                    return ThreadSensitiveContext()
        except asyncio.CancelledError:
            if place.done():  # handed over at this very moment
                await self._give_back(place.result())
            raise
        finally:
            if place in self.waiting:
                self.waiting.remove(place)

    def _may_add(self) -> bool:
        return len(self.lent) < MOST_THREADS and self._quick() < LASTING_THREADS

    def _quick(self) -> int:
        """How many are idle, or with a request that is not slow so far."""
        slow = time.monotonic() - SLOW_AFTER
        return len(self.idle) + sum(since > slow for since in self.lent.values())

    async def _give_back(self, context: ThreadSensitiveContext) -> None:
        del self.lent[context]
        if self._quick() >= LASTING_THREADS:
            await _end(context)
        elif self.waiting:
            self.lent[context] = time.monotonic()
            self.waiting.popleft().set_result(context)
        else:
            self.idle.append(context)


async def _end(context: ThreadSensitiveContext) -> None:
    """Close the thread's connection and let it go."""
    token = SyncToAsync.thread_sensitive_context.set(context)
    try:
        await sync_to_async(connections.close_all)()
    finally:
        SyncToAsync.thread_sensitive_context.reset(token)
        executor = SyncToAsync.context_to_thread_executor.pop(context, None)
        if executor is not None:
            executor.shutdown(wait=False)
