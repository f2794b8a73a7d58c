"""The one-time token that proves "I can see the terminal (or the disk) of this site".

A file in DATA_DIR readable by its owner only, so that the process which prints the link and the web process
that checks it need not talk to each other.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from django.conf import settings


def _path() -> Path:
    return Path(settings.DATA_DIR) / "setup-token"


def read() -> str | None:
    """The token that is good now, or None."""
    try:
        return _path().read_text().strip() or None
    except FileNotFoundError:
        return None


def ensure() -> str:
    """The token, made first where there is none."""
    existing = read()
    if existing:
        return existing
    token = secrets.token_urlsafe(24)
    temporary = _path().with_name(f".setup-token.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token)
    os.replace(temporary, _path())
    return token


def note_address(address: str) -> None:
    """Remember where the site is served, for a command that is run beside it."""
    _path().with_name("served-at").write_text(address)


def address() -> str:
    """Where the link points: SITE_URL or PORT where they are set, else where the site was served last."""
    is_default = f"http://127.0.0.1:{settings.PORT}" == settings.SITE_URL
    noted = _path().with_name("served-at")
    if is_default and "PORT" not in os.environ and noted.exists():
        return noted.read_text().strip()
    return settings.SITE_URL


def remove() -> None:
    """It worked once, and that is all it may do."""
    _path().with_name("served-at").unlink(missing_ok=True)
    _path().unlink(missing_ok=True)
