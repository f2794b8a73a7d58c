"""One look at the database for all live pages of this process.

Every half second the numbers of events of the watched runs are read, in one query however many pages are
open, and the pages whose run has moved are woken. Redis, where it is, only wakes them sooner.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from channels.db import database_sync_to_async
from django.db import InterfaceError, OperationalError

from training.models import TrainingRun

log = structlog.get_logger(__name__)
LOOK_SECONDS = 0.5


@dataclass(eq=False)
class Watcher:
    """One open page: which run, what it has seen, and the bell that wakes it."""

    run_id: UUID
    seen: int = 0
    bell: asyncio.Event = field(default_factory=asyncio.Event)


class RunWatch:
    """All watchers of one event loop and the task that looks for them. It ends when the last one leaves."""

    def __init__(self) -> None:
        self.watchers: set[Watcher] = set()
        self._task: asyncio.Task | None = None

    def join(self, watcher: Watcher) -> None:
        self.watchers.add(watcher)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look_for_ever())

    async def leave(self, watcher: Watcher) -> None:
        self.watchers.discard(watcher)
        if not self.watchers and self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                counts = await _event_counts({watcher.run_id for watcher in self.watchers})
            except (OperationalError, InterfaceError) as error:
                log.warning("live_pages_wait_for_database", cause=str(error))
                continue
            for watcher in list(self.watchers):
                if counts.get(watcher.run_id, 0) > watcher.seen:
                    watcher.bell.set()


@database_sync_to_async
def _event_counts(run_ids: set[UUID]) -> dict[UUID, int]:
    return dict(TrainingRun.objects.filter(pk__in=run_ids).values_list("pk", "event_count"))


_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, RunWatch] = weakref.WeakKeyDictionary()


def run_watch() -> RunWatch:
    """The watch of the running event loop."""
    return _watches.setdefault(asyncio.get_running_loop(), RunWatch())
