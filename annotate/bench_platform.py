"""Benchmarks of the platform itself: how soon a process serves, how soon a doorbell is heard."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from queue import Empty

from kombu import Connection

from annotate import transport
from annotate.bench import Bench, Result, benchmark
from annotate.environment import BASE_DIR

BOOT = """
import time; start = time.perf_counter()
import annotate.asgi
from django.urls import get_resolver; get_resolver().url_patterns
import resource, sys
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(time.perf_counter() - start, peak, int("torch" in sys.modules))
"""


@benchmark("platform.boot")
def boot(bench: Bench) -> list[Result]:
    """A web process from nothing to all routes loaded, as `up` and every worker start."""
    samples = []
    for _ in range(2 if bench.quick else 5):
        output = subprocess.run(
            [sys.executable, "-c", BOOT], cwd=BASE_DIR, check=True, capture_output=True, text=True
        )
        samples.append([float(word) for word in output.stdout.split()[-3:]])
    seconds, peak, torch = (statistics.median(column) for column in zip(*samples, strict=True))
    return [
        Result("seconds to all routes", seconds, "s", bar=5),
        Result("memory", peak, "MiB", bar=200),
        Result("torch loaded", torch, "", bar=0),
    ]


@benchmark("platform.doorbell")
def doorbell(bench: Bench) -> list[Result]:
    """Messages through the folder broker: time from ring to hearing it, and messages per second."""
    options = transport.folder_options(bench.folder / "broker")
    transport.register()
    count = 20 if bench.quick else 60
    latencies: list[float] = []

    def listen() -> None:
        with Connection("filesystem://localhost/", transport_options=options) as connection:
            queue = connection.SimpleQueue("bench")
            for _ in range(count):
                message = queue.get(timeout=30)
                latencies.append(time.time() - message.payload)
                message.ack()

    listener = threading.Thread(target=listen)
    listener.start()
    with Connection("filesystem://localhost/", transport_options=options) as connection:
        queue = connection.SimpleQueue("bench")
        for _ in range(count):
            queue.put(time.time())
            time.sleep(0.01)
        listener.join()
        channel = connection.channel()
        rate = _drain_rate(channel, 200 if bench.quick else 2000)
    return [
        Result("ring to hearing, median", statistics.median(latencies), "s", bar=1.0),
        Result("put and take", rate, "messages/s", bar=100, better="higher"),
    ]


def _drain_rate(channel, count: int) -> float:
    started = time.perf_counter()
    for number in range(count):
        channel._put("drain", {"body": number})
    taken = 0
    try:
        while True:
            channel._get("drain")
            taken += 1
    except Empty:
        if taken != count:
            raise RuntimeError(f"{count} messages went in and {taken} came out") from None
    return count / (time.perf_counter() - started)
