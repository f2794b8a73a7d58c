"""Workers in processes of their own (tests/concurrency/worker.py), started together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from tests.site_process import ROOT, database_url


class Crew:
    """`Crew(orders)` starts a process per order; `go()` lets them loose; `facts()` is all they said."""

    def __init__(self, orders: Sequence[dict[str, Any]]) -> None:
        environment = {
            **os.environ,
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
        }
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.concurrency.worker", json.dumps(order)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for order in orders
        ]
        for process in self.processes:
            assert json.loads(process.stdout.readline()) == {"ready": True}

    def go(self) -> None:
        for process in self.processes:
            process.stdin.write("go\n")
            process.stdin.flush()

    def next_fact(self) -> dict[str, Any]:
        """What the first of them says next; `facts` leaves it out."""
        return json.loads(self.processes[0].stdout.readline())

    def facts(self, timeout: float = 400) -> list[dict[str, Any]]:
        """Wait for all; fails for a worker that did not come to its end."""
        facts = []
        for process in self.processes:
            said, _ = process.communicate(timeout=timeout)
            lines = [json.loads(line) for line in said.splitlines()]
            assert process.returncode == 0 and lines[-1] == {"done": True}, "a worker broke"
            facts += lines[:-1]
        return facts

    def kill(self) -> None:
        """SIGKILL: no goodbye to the database."""
        for process in self.processes:
            process.kill()
            process.communicate()
