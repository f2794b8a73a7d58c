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

from .told import Remark, as_dict

SEAL_AFTER = timedelta(minutes=1)
# A transaction may commit its row long after the row's own time: a large import, a database that hung.
LONGEST_TRANSACTION = timedelta(hours=1)
ROWS_PER_SEAL = 5_000
SALT = "labeling.audit_seal"
ERASED = "person.erased"
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
    # Locked: nobody blanks a row (services.audit_blanking) between our reading and our seal.
    rows = AuditEvent.objects.filter(seal=None, created_at__lt=until).select_for_update().order_by("pk")
    events = list(rows.values_list(*COLUMNS)[:ROWS_PER_SEAL])
    if not events:
        return 0
    digest = digest_of(last.sha256 if last else START, events)
    seal = AuditSeal.objects.create(
        number=last.number + 1 if last else 1,
        event_count=len(events),
        sha256=digest,
        signature=signature_of(digest, settings.SECRET_KEY),
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
        events = events_under(seal)
        problems = _misfits(seal, digest_of(before, events))
        if problems:  # read again: an address may have been taken out of its rows just now
            seal.refresh_from_db()
            events = events_under(seal)
            problems = _misfits(seal, digest_of(before, events))
        if seal.number != expected:
            problems.append(f"seals {expected:,} to {seal.number - 1:,} before it are missing")
        if len(events) != seal.event_count:
            problems.append(f"{seal.event_count:,} rows were put under it, {len(events):,} are")
        if not is_signed(seal.sha256, seal.signature):
            problems.append(
                "it was not signed with this site's SECRET_KEY (former keys belong into SECRET_KEY_FALLBACKS)"
            )
        if sealed_at is not None:
            problems += _backdated(events, sealed_at)
        yield f"seal {seal.number:,}", problems
        before, expected, sealed_at = seal.sha256, seal.number + 1, seal.created_at


def events_under(seal: AuditSeal) -> list[tuple]:
    return list(seal.events.order_by("pk").values_list(*COLUMNS))


def _misfits(seal: AuditSeal, found: str) -> list[str]:
    """What is wrong with the rows under a seal, whose digest is `found`.

    A seal out of whose rows an erased person's address was taken fits by a second digest, signed as the first
    one is, and an audit row of the erasure, under a seal of its own, says the same.
    """
    if not seal.blanked_sha256:
        if found == seal.sha256:
            return []
        return ["rows under it, or the seal before it, were changed, removed or added"]
    if not is_signed(blanked_text(seal.sha256, seal.blanked_sha256), seal.blanked_signature):
        return ["an address was taken out of its rows, but not signed with this site's SECRET_KEY"]
    if _told_blankings().get(str(seal.number)) != seal.blanked_sha256:
        return ["an address was taken out of its rows, but no audit row of an erasure says so"]
    if found != seal.blanked_sha256:
        return ["rows under it were changed, removed or added since an address was taken out of them"]
    return [Remark("the e-mail address of somebody who was erased was taken out of its rows; nothing else")]


def _told_blankings() -> dict[str, str]:
    """{number of a seal: digest of its rows without the address} as the newest erasure of each tells it."""
    told: dict[str, str] = {}
    for data in AuditEvent.objects.filter(action=ERASED).order_by("pk").values_list("data", flat=True):
        told |= as_dict(as_dict(data).get("blanked"))
    return told


def _backdated(events: Iterable[tuple], sealed_at: datetime) -> list[str]:
    """Rows that claim to be older than the seal before theirs would have been put under that one."""
    oldest = sealed_at - SEAL_AFTER - LONGEST_TRANSACTION
    return [
        f"row {event[0]} says {event[-1]:%Y-%m-%d %H:%M:%S}, but was not there when that time was sealed"
        for event in events
        if event[-1] < oldest
    ]


def digest_of(before: str, events: Iterable[tuple]) -> str:
    """SHA-256 (hex) of the digest before and the rows as canonical JSON lines."""
    digest = hashlib.sha256(before.encode())
    for *values, created_at in events:
        row = [*values, created_at.isoformat(timespec="microseconds")]
        digest.update(canonical_line({"row": row}))
    return digest.hexdigest()


def blanked_text(sha256: str, blanked: str) -> str:
    """What is signed where rows were blanked: that these rows stand for those."""
    return f"{sha256} {blanked}"


def signature_of(digest: str, key: str) -> str:
    return salted_hmac(SALT, digest, secret=key, algorithm="sha256").hexdigest()


def is_signed(text: str, signature: str) -> bool:
    return any(hmac.compare_digest(signature_of(text, key), signature) for key in _keys())


def _keys() -> list[str]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
