"""The cache on Redis: JSON instead of pickle, and a page goes on when Redis does not.

The cache holds rate limits and other things that may be lost; labeling must never fail for it (DESIGN.md
section 4, promise 7). While Redis is away each process keeps its own memory, so limits still limit.
"""

from __future__ import annotations

import json
import time

import structlog
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)
PAUSE_SECONDS = 5.0


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


def _tolerant(name: str):
    def call(self, *args, **kwargs):
        if time.monotonic() >= self._away_until:
            try:
                return getattr(RedisCache, name)(self, *args, **kwargs)
            except (RedisError, OSError) as error:
                self._away_until = time.monotonic() + PAUSE_SECONDS
                log.warning("cache_unreachable", cause=str(error))
        return getattr(self._memory, name)(*args, **kwargs)

    call.__name__ = name
    return call


class TolerantRedisCache(RedisCache):
    def __init__(self, server, params):
        super().__init__(server, params)
        memory_params = {key: value for key, value in params.items() if key.upper() != "OPTIONS"}
        self._memory = LocMemCache(f"fallback:{server}", memory_params)
        self._away_until = 0.0

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
