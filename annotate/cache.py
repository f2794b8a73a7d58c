"""The cache on Redis: JSON instead of pickle, and a page goes on when Redis does not.

The cache holds rate limits and other things that may be lost; labeling must never fail for it (DESIGN.md
section 4, promise 7). While Redis is away each process keeps its own memory, so limits still limit.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import structlog
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)
PAUSE_SECONDS = 5.0
LONGEST_QUESTION_SECONDS = 30.0


class JsonSerializer:
    """Integers stay plain, so that Redis can count with them; everything else is JSON, which runs no code."""

    def __init__(self, protocol=None):
        self.protocol = protocol

    def dumps(self, value):
        if type(value) is int:
            return value
        return json.dumps(value).encode()

    def loads(self, data):
        try:
            return int(data)
        except ValueError:
            return json.loads(data)


@dataclass
class Server:
    """What all cache objects of a process know of one Redis: Django makes a new object for every request."""

    client: Any = None
    is_away: bool = False
    ask_again_at: float = 0.0


servers: dict[str, Server] = {}


def _tolerant(name: str):
    def call(self, *args, **kwargs):
        server, started = self._server, time.monotonic()
        if started >= server.ask_again_at:
            if server.is_away:  # one asks whether it is back, the others go on meanwhile
                server.ask_again_at = started + LONGEST_QUESTION_SECONDS
            try:
                answer = getattr(RedisCache, name)(self, *args, **kwargs)
            except (RedisError, OSError) as error:
                # Looking up the name of a host that is gone can take seconds that no timeout of ours ends.
                took = time.monotonic() - started
                server.is_away = True
                server.ask_again_at = time.monotonic() + max(PAUSE_SECONDS, 10 * took)
                log.warning("cache_unreachable", cause=str(error), seconds=round(took, 1))
            else:
                server.is_away, server.ask_again_at = False, 0.0
                return answer
        return getattr(self._memory, name)(*args, **kwargs)

    call.__name__ = name
    return call


class TolerantRedisCache(RedisCache):
    def __init__(self, server, params):
        super().__init__(server, params)
        memory_params = {key: value for key, value in params.items() if key.upper() != "OPTIONS"}
        self._memory = LocMemCache(f"fallback:{server}", memory_params)
        self._server = servers.setdefault(f"{server} {params.get('OPTIONS')}", Server())

    @property
    def _cache(self):
        """The client with its open connections, which threads may share; not one more for each request."""
        if self._server.client is None:
            self._server.client = super()._cache
        return self._server.client

    def is_reachable(self) -> bool:
        """Whether Redis answers right now; asked by /readyz, whatever was remembered of it."""
        try:
            return bool(self._cache.get_client(None).ping())
        except (RedisError, OSError):
            return False

    add = _tolerant("add")
    get = _tolerant("get")
    set = _tolerant("set")
    touch = _tolerant("touch")
    delete = _tolerant("delete")
    get_many = _tolerant("get_many")
    has_key = _tolerant("has_key")
    incr = _tolerant("incr")
    set_many = _tolerant("set_many")
    delete_many = _tolerant("delete_many")
    clear = _tolerant("clear")
