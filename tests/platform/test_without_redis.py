"""Redis gone: pages keep working at once, limits still limit, doorbells are dropped and not waited for."""

from __future__ import annotations

import signal
import time
from types import SimpleNamespace

import pytest
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

from annotate import cache as cache_module
from annotate.cache import JsonSerializer, TolerantRedisCache

pytestmark = pytest.mark.redis

OPTIONS = {"serializer": JsonSerializer, "socket_connect_timeout": 1.0, "socket_timeout": 1.0}


@pytest.fixture
def cache(redis_server, monkeypatch):
    monkeypatch.setattr(cache_module, "PAUSE_SECONDS", 0.2)
    cache_module.servers.clear()
    cache = TolerantRedisCache(redis_server.url, {"OPTIONS": OPTIONS})
    yield cache
    cache_module.servers.clear()
    cache._memory.clear()


def test_values_and_counters_live_in_redis(cache, redis_server):
    cache.set("answer", {"a": [1, None, "é"]})
    cache.set("count", 1)
    cache.incr("count")
    other = TolerantRedisCache(redis_server.url, {"OPTIONS": {"serializer": JsonSerializer}})
    assert (other.get("answer"), other.get("count"), other.get("nothing", 7)) == ({"a": [1, None, "é"]}, 2, 7)


def test_what_is_stored_is_json_which_runs_no_code(cache):
    cache.set("key", [1.5, "x"])
    raw = cache._cache.get_client().get(cache.make_key("key"))
    assert raw == b'[1.5, "x"]'


def test_a_dead_redis_costs_little_and_the_process_remembers_for_itself(cache, redis_server):
    redis_server.stop()
    started = time.monotonic()
    cache.set("key", 1)
    assert cache.get("key") == 1
    assert cache.incr("key") == 2
    assert time.monotonic() - started < 3


def test_a_frozen_redis_costs_one_timeout_not_one_each(cache, redis_server, monkeypatch):
    monkeypatch.setattr(cache_module, "PAUSE_SECONDS", 600)  # no second try, however slow the machine is
    redis_server.process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    for number in range(20):
        cache.set(f"key{number}", number)
    assert time.monotonic() - started < 8  # one wait of a second, and not twenty


def test_the_next_request_knows_that_redis_is_away(cache, redis_server, monkeypatch):
    monkeypatch.setattr(cache_module, "PAUSE_SECONDS", 600)
    redis_server.process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    for number in range(20):  # Django makes a cache object for each request
        TolerantRedisCache(redis_server.url, {"OPTIONS": OPTIONS}).set(f"key{number}", number)
    assert time.monotonic() - started < 8


def test_requests_share_the_open_connections(cache, redis_server):
    first, second = (TolerantRedisCache(redis_server.url, {"OPTIONS": OPTIONS}) for _ in range(2))
    first.set("key", 1)
    assert second.get("key") == 1
    assert first._cache is second._cache


class Clock:
    """The clock of annotate.cache, and a Redis that is gone: each question takes `wait` seconds."""

    def __init__(self, monkeypatch, wait: float) -> None:
        self.now, self.wait, self.asked = 1000.0, wait, 0
        monkeypatch.setattr(cache_module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(RedisCache, "get", self.ask)

    def ask(self, cache, key, default=None, version=None):
        self.asked += 1
        self.now += self.wait
        raise RedisError("gone")


def test_waiting_for_a_host_that_is_gone_takes_a_small_part_of_the_time(cache, monkeypatch):
    clock = Clock(monkeypatch, wait=10)
    while clock.now < 2000:
        clock.now += 0.5
        cache.get("key")
    # 1000 seconds: one question of 10 seconds after each 100 of none, not one after another.
    assert clock.asked == 10


def test_while_one_asks_whether_redis_is_back_the_others_go_on(cache, monkeypatch):
    clock = Clock(monkeypatch, wait=0)
    cache.get("key")
    clock.now += 10
    inner = []

    def ask_while_another_comes(*_args, **_kwargs):
        inner.append(1)
        cache.get("key")  # another thread's, in the middle of our question
        raise RedisError("gone")

    monkeypatch.setattr(RedisCache, "get", ask_while_another_comes)
    cache.get("key")
    assert inner == [1]


def test_redis_is_used_again_when_it_is_back(cache, redis_server):
    redis_server.stop()
    cache.set("key", 1)
    redis_server.start()
    deadline = time.monotonic() + 30
    while cache._cache.get_client().get(cache.make_key("key")) != b"2":
        assert time.monotonic() < deadline, "it still remembers for itself"
        time.sleep(0.05)
        cache.set("key", 2)
    for number in range(3, 6):  # not now and then: each time
        cache.set("key", number)
        assert cache._cache.get_client().get(cache.make_key("key")) == str(number).encode()


def test_whether_it_answers_is_asked_anew_each_time(cache, redis_server):
    assert cache.is_reachable()
    redis_server.stop()
    assert not cache.is_reachable()
