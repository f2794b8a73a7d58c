"""`manage.py runserver`: Django's command, answered by uvicorn, so that WebSockets work as in production."""

from __future__ import annotations

import os
import re

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from annotate.accounts import setup_token
from annotate.environment import BASE_DIR
from annotate.management.first_admin import address_of, invitation

ADDRESS = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:]+\]|[^:]+):)?(?P<port>\d{1,5})")
ROOMS = ("annotate", "labeling", "training")


class Command(BaseCommand):
    help = "Serve the site with uvicorn. Background jobs need `celery -A annotate worker -B`, or use `up`."
    requires_system_checks: list[str] = []  # the server process runs them itself when the site loads

    def add_arguments(self, parser) -> None:
        parser.add_argument("addrport", nargs="?", help="port, or host:port")
        parser.add_argument("--noreload", action="store_true", help="do not restart when code changes")

    def handle(self, *args, addrport: str | None, noreload: bool, **options) -> None:
        host, port = os.environ.get("HOST", "127.0.0.1"), settings.PORT
        if addrport:
            match = ADDRESS.fullmatch(addrport)
            if match is None:
                raise CommandError(f"{addrport!r} is not a port or host:port.")
            host, port = (match["host"] or host).strip("[]"), int(match["port"])
        if not noreload:
            self.check_migrations_and_say(host, port)
        reload = settings.DEBUG and not noreload
        uvicorn.run(
            "annotate.asgi:application",
            host=host,
            port=port,
            log_config=None,  # the settings have configured logging
            access_log=False,  # our middleware writes a line per request
            lifespan="off",
            timeout_graceful_shutdown=5,
            ws_max_size=64 * 1024,
            reload=reload,
            reload_dirs=[str(BASE_DIR / room) for room in ROOMS] if reload else None,
        )

    def check_migrations_and_say(self, host: str, port: int) -> None:
        self.check_migrations()
        address = address_of(host, port)
        setup_token.note_address(address)
        self.stdout.write(f"Serving {address}/ (Ctrl-C stops it)")
        for line in invitation(address):
            self.stdout.write(line)
