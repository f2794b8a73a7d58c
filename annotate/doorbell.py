"""Ringing a background worker. The database row decides what happens; this only makes it happen sooner."""

from __future__ import annotations

import time
from functools import partial

import structlog
from django.db import transaction
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)

# After a failed ring the broker is left alone for so long: a page must not wait for a dead Redis each time.
PAUSE_SECONDS = 5.0
_silent_until = 0.0


def ring(task_name: str, *args) -> bool:
    """Send a message now. False where the broker is away: the sweeper will find the row instead."""
    from annotate.celery import app

    global _silent_until
    if time.monotonic() < _silent_until:
        return False
    try:
        app.send_task(task_name, args=args, retry=False)
    except (OperationalError, OSError) as error:
        _silent_until = time.monotonic() + PAUSE_SECONDS
        log.warning("doorbell_unreachable", task=task_name, cause=str(error))
        return False
    return True


def ring_on_commit(task_name: str, *args) -> None:
    """Send a message once the surrounding transaction is durable; nothing if it rolls back."""
    transaction.on_commit(partial(ring, task_name, *args))
