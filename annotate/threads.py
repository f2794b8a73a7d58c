"""Threads that outlive a request, so that a database connection does too.

Django's ASGI handler gives each request a thread of its own and ends it with the request. Connections belong
to threads, so each request would open one: a few milliseconds, and a new server process on PostgreSQL. Here
requests take turns on a few lasting threads, first come, first served: more of them only take the
interpreter from one another. Where slow requests hold them all, another is added, and given up once there is
no use for it; where even these are held, a request gets a thread of its own in the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from django.db import connections

# A process; each may hold one database connection.
LASTING_THREADS, MOST_THREADS = 2, 12
# Seconds after which a request is slow, and after which one that waits gets a thread for itself.
SLOW_AFTER, ALONE_AFTER = 0.5, 5.0
LOOK_AGAIN = 0.1

Answer = TypeVar("Answer")


class _Job:
    """One call of a function, and the future of the event loop that waits for what comes of it."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments
        self.context = contextvars.copy_context()
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()
        self.since = time.monotonic()
        self.found: Any = None
        self.error: BaseException | None = None

    def do(self) -> None:
        """In a thread. What nobody waits for any more is not begun."""
        if self.answer.cancelled():
            return
        try:
            self.found = self.context.run(self.function, *self.arguments)
        except StopIteration as raised:  # no future takes it: whoever waits would wait for ever
            self.error = RuntimeError("StopIteration was raised in a thread")
            self.error.__cause__ = raised
        except BaseException as raised:  # noqa: BLE001 - it is raised where the answer is awaited
            self.error = raised

    def tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody is there to be told
            self.loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        if self.answer.done():
            return
        if self.error is None:
            self.answer.set_result(self.found)
        else:
            self.answer.set_exception(self.error)


class _Thread:
    """One that lasts; its jobs come one at a time, and None is its end."""

    def __init__(self, shared: SharedThreads) -> None:
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.shared = weakref.ref(shared)
        self.is_started = False

    def give(self, job: _Job) -> None:
        """Raises RuntimeError where the system has no thread left; the job is not taken then."""
        if not self.is_started:
            threading.Thread(target=self._work, name="requests", daemon=True).start()
            self.is_started = True
        self.jobs.put(job)

    def _work(self) -> None:
        while (job := self.jobs.get()) is not None:
            while job is not None:
                job.do()
                shared = self.shared()
                following = shared.next_job(self) if shared is not None else None
                if shared is None:  # whoever lent it is gone: nobody else ends it
                    self.jobs.put(None)
                del shared  # an idle thread keeps nobody alive
                job.tell()  # last: whoever is told may come again, and finds this thread at hand
                job = following
        connections.close_all()


class SharedThreads:
    """Runs functions in threads. For one event loop.

    The thread used last is lent first: quiet sites keep few connections.
    """

    def __init__(self) -> None:
        self.guard = threading.Lock()  # around all below: threads look for their next job themselves
        self.idle: list[_Thread] = [_Thread(self) for _ in range(LASTING_THREADS)]
        self.lent: dict[_Thread, float] = {}  # since when
        self.waiting: deque[_Job] = deque()
        self._looks = False
        weakref.finalize(self, _end_all, self.idle)

    async def run(self, function: Callable[..., Answer], *arguments: Any) -> Answer:
        """What the function returns or raises. One that has begun is not interrupted where its caller is."""
        job = _Job(function, arguments)
        with self.guard:
            if self.idle and self._lend(self.idle[-1], job):
                self.idle.pop()
            else:
                self.waiting.append(job)
                self._look_later(job.loop)
        return await job.answer

    def next_job(self, thread: _Thread) -> _Job | None:
        """For a thread that has done one: the next, or None where it is to wait for what it is given. With
        nothing to do for more than the lasting ones, that is its end.
        """
        with self.guard:
            del self.lent[thread]
            if self._quick() >= LASTING_THREADS:
                thread.jobs.put(None)
                return None
            while self.waiting:
                job = self.waiting.popleft()
                if not job.answer.cancelled():
                    self.lent[thread] = time.monotonic()
                    return job
            self.idle.append(thread)
            return None

    def _lend(self, thread: _Thread, job: _Job) -> bool:
        """Whether it has begun; where the system has no thread left, the job waits and is looked at again."""
        try:
            thread.give(job)
        except RuntimeError:
            return False
        self.lent[thread] = time.monotonic()
        return True

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._looks:
            self._looks = True
            loop.call_later(LOOK_AGAIN, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """A new thread for who waits where too few are left beside slow requests."""
        with self.guard:
            self._looks = False
            while self.waiting and (self.idle or self._may_add() or self._waits_too_long()):
                thread = self.idle[-1] if self.idle else _Thread(self)
                if not self._lend(thread, self.waiting[0]):
                    break
                self.waiting.popleft()
                if self.idle:
                    self.idle.pop()
            if self.waiting:
                self._look_later(loop)

    def _may_add(self) -> bool:
        return len(self.lent) < MOST_THREADS and self._quick() < LASTING_THREADS

    def _waits_too_long(self) -> bool:
        return time.monotonic() > self.waiting[0].since + ALONE_AFTER

    def _quick(self) -> int:
        """How many are idle, or with a request that is not slow so far."""
        slow = time.monotonic() - SLOW_AFTER
        return len(self.idle) + sum(since > slow for since in self.lent.values())


def _end_all(idle: list[_Thread]) -> None:
    for thread in idle:
        thread.jobs.put(None)
