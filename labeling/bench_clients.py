"""Annotators as programs, for the benchmark of the hand-out: each asks for a ranking, submits it, and asks
again.

    python -m labeling.bench_clients < order.json > measured.json

The order names the site, project, tokens and seconds; what comes back is the time of every request. It runs
in processes of its own, so that the clients' work is not the server's, and uses the standard library's HTTP,
which costs less than the requests it measures.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

# Seconds between two people who come in the morning: connections opened in one moment would all be taken by
# whichever server process looks first, and stay with it.
COME_AFTER = 0.1


@dataclass
class Measured:
    """Milliseconds of every request after the warm-up, whole loops, and what went wrong."""

    next: list[float] = field(default_factory=list)
    submit: list[float] = field(default_factory=list)
    loops: int = 0
    errors: list[str] = field(default_factory=list)


class Annotator:
    """One account on one connection. `measure_from` and `until` are times of time.monotonic()."""

    def __init__(self, order: dict[str, Any], token: str) -> None:
        self.address = urlsplit(order["site"]).netloc
        self.root = f"/api/projects/{order['project']}/assignments/"
        self.headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
        self.measured = Measured()
        self.measure_from = order["measure_from"]
        self.until = order["until"]
        self.pause = order.get("pause", 0)
        self.connection = http.client.HTTPConnection(self.address, timeout=60)

    def run(self) -> None:
        try:
            while time.monotonic() < self.until:
                if not self.loop():
                    return
        except (OSError, http.client.HTTPException) as error:
            self.measured.errors.append(f"{type(error).__name__}: {error}")
        finally:
            self.connection.close()

    def loop(self) -> bool:
        """One task from asking to the receipt; False once there is none, or after an error."""
        assignment = self.post("next/", {}, self.measured.next, expected=200)
        if assignment is None:
            return False
        if self.pause:
            time.sleep(self.pause)
        ids = [completion["id"] for completion in assignment["completions"]]
        body = {
            "fence": assignment["fence"],
            "idempotency_key": str(uuid.uuid4()),
            "tiers": [[each] for each in ids],
            "scores": {each: max(1, 7 - place) for place, each in enumerate(ids)},
            "touched": ids,
            "active_seconds": 1,
        }
        if self.post(f"{assignment['id']}/submit/", body, self.measured.submit, expected=201) is None:
            return False
        if time.monotonic() >= self.measure_from:
            self.measured.loops += 1
        return True

    def post(self, path: str, body: dict, times: list[float], expected: int) -> Any:
        started = time.monotonic()
        self.connection.request("POST", self.root + path, orjson.dumps(body), self.headers)
        answer = self.connection.getresponse()
        content = answer.read()
        ended = time.monotonic()
        if answer.status != expected:
            self.measured.errors.append(f"{path}: {answer.status} {content[:200].decode(errors='replace')}")
            return None
        if started >= self.measure_from:
            times.append((ended - started) * 1000)
        return orjson.loads(content)


def main() -> None:
    order = json.load(sys.stdin)
    crew = [Annotator(order, token) for token in order["tokens"]]
    threads = [threading.Thread(target=each.run) for each in crew]
    for thread in threads:
        thread.start()
        time.sleep(COME_AFTER)
    for thread in threads:
        thread.join()
    total = Measured()
    for each in crew:
        total.next += each.measured.next
        total.submit += each.measured.submit
        total.loops += each.measured.loops
        total.errors += each.measured.errors
    json.dump(asdict(total), sys.stdout)


if __name__ == "__main__":
    main()
