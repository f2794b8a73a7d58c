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


def remove() -> None:
    """It worked once, and that is all it may do."""
    _path().unlink(missing_ok=True)
