"""A whole site of the test's own: web, worker and trainer as `manage.py up` starts them; empty at first."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.servers import RedisServer, free_port
from tests.site_process import ROOT

PATIENCE = 180.0  # seconds that a busy machine may need to start three processes


class WholeSite:
    """`url` is where it listens, `setup_link` makes its first administrator (printed by the site itself)."""

    def __init__(self, folder: Path, database: str, redis: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.data = folder / "data"
        self.log = folder / "up.log"
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "annotate.settings",
            "DATA_DIR": str(self.data),
            "DATABASE_URL": database,
            "REDIS_URL": redis,
            "PORT": str(port),
            "SITE_URL": self.url,
            "OMP_NUM_THREADS": "1",
        }
        self.process: subprocess.Popen | None = None

    def manage(self, *arguments: str) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), *arguments]

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.manage("up"),
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"{self.url}/healthz", timeout=10).close()
                return
            time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"The site did not start:\n{self.words()}")

    @property
    def setup_link(self) -> str:
        found = re.search(r"http\S+/setup/\?token=\S+", self.log.read_text())
        assert found, f"no set-up link was printed:\n{self.words()}"
        return found.group()

    def words(self) -> str:
        return self.log.read_text()[-4000:]

    def run(self, *arguments: str, timeout: float = 60) -> str:
        """A management command beside the running site; what it printed."""
        done = subprocess.run(
            self.manage(*arguments),
            cwd=ROOT,
            env=self.environment,
            timeout=timeout,
            text=True,
            capture_output=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stop(self) -> None:
        """As Ctrl-C does; a site that does not end within its grace is killed with all it started."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(90)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextlib.contextmanager
def whole_site(folder: Path) -> Iterator[WholeSite]:
    """A site on the engines that the suite runs on (TEST_DATABASE, TEST_REDIS), empty at first."""
    with _empty_database(folder) as database, _broker(folder) as redis:
        site = WholeSite(folder, database, redis)
        site.start()
        try:
            yield site
        finally:
            site.stop()


@contextlib.contextmanager
def _empty_database(folder: Path) -> Iterator[str]:
    if os.environ.get("TEST_DATABASE", "sqlite") != "postgres":
        yield f"sqlite:///{folder / 'loop.sqlite3'}"
        return
    from psycopg2.extensions import make_dsn, parse_dsn

    maintenance = make_dsn(**{**parse_dsn(os.environ["DATABASE_URL"]), "dbname": "postgres"})
    name = f"loop_{os.getpid()}_{time.monotonic_ns()}"
    _tell_server(maintenance, f'CREATE DATABASE "{name}"')
    address, _, options = os.environ["DATABASE_URL"].partition("?")
    try:
        yield f"{address.rpartition('/')[0]}/{name}" + (f"?{options}" if options else "")
    finally:
        _tell_server(maintenance, f'DROP DATABASE "{name}" WITH (FORCE)')


def _tell_server(address: str, statement: str) -> None:
    """Outside a transaction, as databases are made and dropped."""
    import psycopg2

    connection = psycopg2.connect(address)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


@contextlib.contextmanager
def _broker(folder: Path) -> Iterator[str]:
    if os.environ.get("TEST_REDIS") != "1":
        yield ""
        return
    server = RedisServer(folder)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
