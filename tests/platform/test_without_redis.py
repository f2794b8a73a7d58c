"""Redis gone: pages keep working at once, limits still limit, doorbells are dropped and not waited for."""

from __future__ import annotations

import time

import pytest

from annotate import cache as cache_module
from annotate.cache import JsonSerializer, TolerantRedisCache

pytestmark = pytest.mark.redis


@pytest.fixture
def cache(redis_server, monkeypatch):
    monkeypatch.setattr(cache_module, "PAUSE_SECONDS", 0.2)
    options = {"serializer": JsonSerializer, "socket_connect_timeout": 1.0, "socket_timeout": 1.0}
    cache = TolerantRedisCache(redis_server.url, {"OPTIONS": options})
    yield cache
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
    import signal

    monkeypatch.setattr(cache_module, "PAUSE_SECONDS", 600)  # no second try, however slow the machine is
    redis_server.process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    for number in range(20):
        cache.set(f"key{number}", number)
    assert time.monotonic() - started < 8  # one wait of a second, and not twenty


def test_redis_is_used_again_when_it_is_back(cache, redis_server):
    redis_server.stop()
    cache.set("key", 1)
    redis_server.start()
    deadline = time.monotonic() + 30
    while cache._cache.get_client().get(cache.make_key("key")) != b"2":
        assert time.monotonic() < deadline, "it still remembers for itself"
        time.sleep(0.05)
        cache.set("key", 2)


def test_whether_it_answers_is_asked_anew_each_time(cache, redis_server):
    assert cache.is_reachable()
    redis_server.stop()
    assert not cache.is_reachable()
