"""Seals over the audit trail: whoever changes, removes or slips in a row behind the site's back leaves a
trace.

A minute after they were written, rows are put under a seal: SHA-256 over the digest of the seal before it
and over each row. Rewriting one row means rewriting every seal since, and each carries an HMAC with
SECRET_KEY, which does not lie in the database. Rows are sealed afterwards and not as they are written,
because a chain row by row would make every write of the site wait for every other.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from labeling.formats import canonical_line
from labeling.models import AuditEvent, AuditSeal

SEAL_AFTER = timedelta(minutes=1)
# A transaction may commit its row long after the row's own time: a large import, a database that hung.
LONGEST_TRANSACTION = timedelta(hours=1)
ROWS_PER_SEAL = 5_000
SALT = "labeling.audit_seal"
START = "0" * 64  # what stands for the digest before the first seal
COLUMNS = ("pk", "project_id", "actor_id", "action", "object_type", "object_id", "data", "created_at")


def seal_events(*, now: datetime | None = None) -> int:
    """Put the rows that are older than a minute and under no seal yet under new ones; how many rows.

    Safe to call from several processes: the last seal is locked while the next one is made.
    """
    until = (now or timezone.now()) - SEAL_AFTER
    sealed = 0
    while AuditEvent.objects.filter(seal=None, created_at__lt=until).exists():
        try:
            count = _seal_some(until)
        except IntegrityError:  # another process made the seal of this number: the rows are under it
            break
        sealed += count
        if count < ROWS_PER_SEAL:
            break
    return sealed


@transaction.atomic
def _seal_some(until: datetime) -> int:
    last = _locked_last_seal()
    rows = AuditEvent.objects.filter(seal=None, created_at__lt=until).order_by("pk")
    events = list(rows.values_list(*COLUMNS)[:ROWS_PER_SEAL])
    if not events:
        return 0
    digest = _digest(last.sha256 if last else START, events)
    seal = AuditSeal.objects.create(
        number=last.number + 1 if last else 1,
        event_count=len(events),
        sha256=digest,
        signature=_signature(digest, settings.SECRET_KEY),
    )
    AuditEvent.objects.filter(pk__in=[event[0] for event in events]).update(seal=seal)
    return len(events)


def _locked_last_seal() -> AuditSeal | None:
    """The newest seal. Two sealers at once meet here: the first seal of all has no row to lock, but a number
    that is unique.
    """
    newest = AuditSeal.objects.order_by("-number")
    if connection.features.has_select_for_update:
        newest = newest.select_for_update()
        if newest.first() is None:
            return None
    return AuditSeal.objects.order_by("-number").first()  # again: another may have made one while we waited


def verify_audit_trail() -> Iterator[tuple[str, list[str]]]:
    """For `manage.py verify`: (which seal, what is wrong with it) for every seal, oldest first."""
    before, expected = START, 1
    sealed_at: datetime | None = None
    for seal in AuditSeal.objects.order_by("number").iterator():
        events = list(seal.events.order_by("pk").values_list(*COLUMNS))
        problems = []
        if seal.number != expected:
            problems.append(f"seals {expected:,} to {seal.number - 1:,} before it are missing")
        if len(events) != seal.event_count:
            problems.append(f"{seal.event_count:,} rows were put under it, {len(events):,} are")
        if _digest(before, events) != seal.sha256:
            problems.append("rows under it, or the seal before it, were changed, removed or added")
        if not any(hmac.compare_digest(_signature(seal.sha256, key), seal.signature) for key in _keys()):
            problems.append(
                "it was not signed with this site's SECRET_KEY (former keys belong into SECRET_KEY_FALLBACKS)"
            )
        if sealed_at is not None:
            problems += _backdated(events, sealed_at)
        yield f"seal {seal.number:,}", problems
        before, expected, sealed_at = seal.sha256, seal.number + 1, seal.created_at


def _backdated(events: Iterable[tuple], sealed_at: datetime) -> list[str]:
    """Rows that claim to be older than the seal before theirs would have been put under that one."""
    oldest = sealed_at - SEAL_AFTER - LONGEST_TRANSACTION
    return [
        f"row {event[0]} says {event[-1]:%Y-%m-%d %H:%M:%S}, but was not there when that time was sealed"
        for event in events
        if event[-1] < oldest
    ]


def _digest(before: str, events: Iterable[tuple]) -> str:
    """SHA-256 (hex) of the digest before and the rows as canonical JSON lines."""
    digest = hashlib.sha256(before.encode())
    for *values, created_at in events:
        row = [*values, created_at.isoformat(timespec="microseconds")]
        digest.update(canonical_line({"row": row}))
    return digest.hexdigest()


def _signature(digest: str, key: str) -> str:
    return salted_hmac(SALT, digest, secret=key, algorithm="sha256").hexdigest()


def _keys() -> list[str]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
