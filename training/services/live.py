"""The bell of live pages.

Where Redis is, it wakes the pages of other processes at once; else they look twice a second.
"""

from __future__ import annotations

import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)
GROUP = "runs"


def announce(run_id) -> None:
    """Say that a run has new events.

    A lost announcement costs half a second: every process looks by itself.
    """
    if not settings.REDIS_URL:
        return
    try:
        async_to_sync(get_channel_layer().group_send)(GROUP, {"type": "run.changed", "run": str(run_id)})
    except (RedisError, OSError) as error:
        log.info("announcement_failed", cause=str(error))
