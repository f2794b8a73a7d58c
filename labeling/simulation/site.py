"""A site to work on: the one that runs already, or one of our own for the while."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import requests

START_SECONDS = 300  # on a busy machine; a site that ends is noticed at once


def answers(site: str) -> bool:
    """Whether a site is alive at this address."""
    try:
        return requests.get(f"{site}/healthz", timeout=2).ok
    except requests.RequestException:
        return False


def wait_for(site: str, process: subprocess.Popen, seconds: float = START_SECONDS) -> None:
    """Return once the site answers. Raises RuntimeError if its process ends or the time is over."""
    give_up_at = time.monotonic() + seconds
    while not answers(site):
        if process.poll() is not None:
            raise RuntimeError(f"The site ended with code {process.returncode} before it answered.")
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"The site did not answer at {site} within {seconds:.0f} seconds.")
        time.sleep(0.1)


@contextlib.contextmanager
def own_site(folder: Path) -> Iterator[str]:
    """A web process on a free port of this machine, with the environment's database, for the block's
    while.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    site = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "annotate.asgi:application", "--port", str(port),
               "--lifespan", "off", "--no-access-log", "--log-level", "warning"]  # fmt: skip
    process = subprocess.Popen(command, cwd=folder, env=os.environ, stdin=subprocess.DEVNULL)
    try:
        wait_for(site, process)
        yield site
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
