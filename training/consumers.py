"""The socket of a live run.

What is new since the page's cursor, pushed as it happens, resumable at any event.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import InterfaceError, OperationalError
from redis.exceptions import RedisError

from annotate.errors import DomainError
from labeling.permissions import Action, load_project
from training.live_watch import Watcher, run_watch
from training.models import TrainingRun
from training.services.event_log import live_message
from training.services.live import GROUP

log = structlog.get_logger(__name__)
NOT_SIGNED_IN, NOT_ALLOWED, BAD_MESSAGE = 4401, 4403, 4400
ASK_AGAIN_SECONDS = 30.0  # how soon a person who was removed from the project stops seeing its runs
LONGEST_MESSAGE = 1_000  # characters of what a page may send us


class RunConsumer(AsyncWebsocketConsumer):
    """Waits for {"since": n}, then sends messages of event_log.live_message until the page leaves.

    Closes with 4401 (sign in), 4403 (not for you) or 4400 (that was no message); a page stops trying then.
    """

    async def connect(self) -> None:
        self.watcher: Watcher | None = None
        self.pump: asyncio.Task | None = None
        await self.accept()  # a code can only be sent over an open socket
        refusal = await self._refusal()
        if refusal:
            await self.close(code=refusal)
            return
        self.watcher = Watcher(self.run_id)
        if settings.REDIS_URL:
            await self._join_group()

    async def disconnect(self, code: int) -> None:
        if self.pump is not None:
            self.pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.pump
        if self.watcher is not None:
            await run_watch().leave(self.watcher)
            if settings.REDIS_URL:
                with contextlib.suppress(RedisError, OSError):
                    await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.watcher is None:
            return
        since = _since(text_data)
        if since is None:
            await self.close(code=BAD_MESSAGE)
            return
        self.watcher.seen = since
        self.watcher.bell.set()
        if self.pump is None:
            run_watch().join(self.watcher)
            self.pump = asyncio.get_running_loop().create_task(self._pump())

    async def run_changed(self, message: dict[str, Any]) -> None:
        """The doorbell through Redis (services/live.py)."""
        if self.watcher is not None and message["run"] == str(self.watcher.run_id):
            self.watcher.bell.set()

    async def _pump(self) -> None:
        assert self.watcher is not None  # noqa: S101 - for the type checker
        asked_at = time.monotonic()
        while True:
            await self.watcher.bell.wait()
            self.watcher.bell.clear()
            if time.monotonic() - asked_at > ASK_AGAIN_SECONDS:
                asked_at = time.monotonic()
                refusal = await self._refusal()
                if refusal:
                    await self.close(code=refusal)
                    return
            await self._catch_up()

    async def _catch_up(self) -> None:
        """Send page after page until nothing newer is left."""
        assert self.watcher is not None  # noqa: S101 - for the type checker
        while True:
            try:
                message = await _message(self.watcher.run_id, self.watcher.seen)
            except (OperationalError, InterfaceError) as error:
                log.warning("live_page_waits_for_database", cause=str(error))
                return  # the watch rings again when the database is back
            self.watcher.seen = message["cursor"]
            await self.send(text_data=json.dumps(message))
            if "run" in message:
                return

    async def _join_group(self) -> None:
        try:
            await self.channel_layer.group_add(GROUP, self.channel_name)
        except (RedisError, OSError) as error:
            log.info("live_page_without_redis", cause=str(error))

    async def _refusal(self) -> int:
        user = self.scope.get("user")
        if user is None or not user.is_authenticated:
            return NOT_SIGNED_IN
        kwargs = self.scope["url_route"]["kwargs"]
        found = await _visible_run(user.pk, kwargs["slug"], kwargs["number"])
        if found is None:
            return NOT_ALLOWED
        self.run_id = found
        return 0


def _since(text: str | None) -> int | None:
    """The cursor in a page's message; None where it is no such message."""
    try:
        message = json.loads(text or "") if len(text or "") <= LONGEST_MESSAGE else None
    except ValueError:
        return None
    since = message.get("since") if isinstance(message, dict) else None
    if isinstance(since, bool) or not isinstance(since, int):
        return None
    return max(0, since)


@database_sync_to_async
def _visible_run(user_id: int, slug: str, number: int):
    """The run's id if this person may see the project's runs right now."""
    user = get_user_model().objects.filter(pk=user_id).first()
    if user is None:
        return None
    try:
        project, _ = load_project(user, slug, Action.VIEW_RUNS)
    except DomainError:
        return None
    return TrainingRun.objects.filter(project=project, number=number).values_list("pk", flat=True).first()


@database_sync_to_async
def _message(run_id, cursor: int) -> dict[str, Any]:
    return live_message(TrainingRun.objects.get(pk=run_id), cursor)
