"""`manage.py up`: the whole site on one machine, in one terminal."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from annotate.accounts import setup_token
from annotate.environment import BASE_DIR
from annotate.management.first_admin import address_of, invitation, shown_host
from annotate.supervisor import AlreadyRunning, FolderLock, Service, Supervisor


def manage(*arguments: str) -> list[str]:
    return [sys.executable, str(BASE_DIR / "manage.py"), *arguments]


# In a container everything is root's; celery says so at length, each time, amid what people should read.
NO_ROOT_WARNING = "ignore:You're running the worker with superuser privileges"


def celery_worker(name: str, queue: str, concurrency: int, *extra: str) -> list[str]:
    return [
        sys.executable, "-W", NO_ROOT_WARNING,
        "-m", "celery", "--quiet", "-A", "annotate", "worker", "--hostname", f"{name}@%h",
        "--queues", queue, "--concurrency", str(concurrency), "--loglevel", "INFO",
        "--without-gossip", "--without-mingle", "--without-heartbeat", *extra,
    ]  # fmt: skip


def require_free_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Port {port} on {host} cannot be used: {error.strerror}. Choose another: PORT=8001 ./dev run"
            ) from error


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((shown_host(host), port), timeout=0.2).close()
    except OSError:
        return False
    return True


class Command(BaseCommand):
    help = "Run web, worker and trainer together; migrates, collects static files, prints the set-up link."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--no-jobs", action="store_true", help="web only; jobs run elsewhere, or wait")

    def handle(self, *args, host: str, port: int, no_jobs: bool, **options) -> None:
        lock = FolderLock(Path(settings.DATA_DIR) / "up.lock")
        try:
            lock.acquire()
        except AlreadyRunning as running:
            raise CommandError(
                f"This site is already running on {settings.DATA_DIR} (process {running.pid}). "
                "Stop that one first, or set another DATA_DIR and PORT."
            ) from None
        try:
            require_free_port(host, port)
            self.prepare()
            address = address_of(host, port)
            setup_token.note_address(address)
            self.announce(address)
            services = [Service("web", manage("runserver", "--noreload", f"{host}:{port}"))]
            if not no_jobs:
                services.append(Service("worker", celery_worker("worker", "default", 2, "--beat")))
                slots = int(os.environ.get("TRAINING_SLOTS", "1"))
                services.append(Service("trainer", celery_worker("trainer", "training", slots)))
            supervisor = Supervisor(services, say=self.say, grace=settings.TRAINING_GRACE_SECONDS + 10)
            supervisor.run(is_up=lambda: answers(host, port), when_up=lambda: self.announce(address))
        finally:
            lock.release()

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def prepare(self) -> None:
        """Tables and static files. Collecting runs apart: it decides which storage later processes use."""
        call_command("migrate", interactive=False, verbosity=0)
        subprocess.run(
            manage("collectstatic", "--noinput", "--verbosity", "0"),
            check=True,
            env={**os.environ, "COLLECT_STATIC": "1"},
        )

    def announce(self, address: str) -> None:
        """Said before the start and again after it, so that it is what stands last on the screen."""
        self.say(f"annotate serves {address}/  (data in {settings.DATA_DIR}; Ctrl-C stops it)")
        for line in invitation(address):
            self.say(line)
