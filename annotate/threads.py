"""Threads that outlive a request, so that a database connection does too.

Django's ASGI handler gives each request a thread of its own and ends it with the request. Connections belong
to threads, so each request would open one: a few milliseconds, and a new server process on PostgreSQL. Here
a request borrows one of a few lasting threads; only where all are busy does it get one for itself, as it
would have without this.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

LASTING_THREADS = 12  # a process; each may hold one database connection

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class SharedThreads:
    """ASGI middleware around Django's handler.

    asgiref keeps one thread per ThreadSensitiveContext. Entering a context inside another is a no-op, so a
    lasting one set here is what the handler inside uses. The one used last is lent first: quiet sites keep
    few connections.
    """

    def __init__(self, application: Application) -> None:
        self.application = application
        self.idle: list[ThreadSensitiveContext] = [ThreadSensitiveContext() for _ in range(LASTING_THREADS)]

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if not self.idle:
            await self.application(scope, receive, send)
            return
        lent = self.idle.pop()
        token = SyncToAsync.thread_sensitive_context.set(lent)
        try:
            await self.application(scope, receive, send)
        finally:
            SyncToAsync.thread_sensitive_context.reset(token)
            self.idle.append(lent)
