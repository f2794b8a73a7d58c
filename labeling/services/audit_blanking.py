"""Taking the e-mail address of a person who is erased out of the audit trail, without breaking its seals.

Invitations once left the invited address in their audit row. A sealed row cannot change unseen, so each seal
whose rows are blanked gets a second digest, over the rows as they are then, signed with SECRET_KEY together
with the first one; the audit row of the erasure repeats it, and lies under a later seal. A seal that did not
fit before is given none: `manage.py verify` goes on saying so.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.db.models import Q, TextField
from django.db.models.functions import Cast

from annotate.accounts.erasure import renamed
from labeling.models import AuditEvent, AuditSeal

from . import audit_seals


def as_json_holds(text: str) -> Q:
    """For a column `as_text`: JSON that holds the text, in either way of writing letters beyond ASCII."""
    plain, escaped = json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]
    return Q(as_text__icontains=plain) | Q(as_text__icontains=escaped)


def find_rows_with(text: str) -> list[int]:
    """Ids of the audit rows whose data hold the text. Reads the whole trail, so outside a transaction."""
    rows = AuditEvent.objects.annotate(as_text=Cast("data", TextField())).filter(as_json_holds(text))
    return list(rows.order_by("pk").values_list("pk", flat=True))


def blank_rows(ids: list[int], *, text: str, by: str) -> tuple[list[int], dict[str, str]]:
    """Put `by` in place of the text in these rows; (the rows that held it, {number of a seal: its second
    digest} of the seals they were under). In the caller's transaction, which writes the answer into the audit
    row of the erasure.
    """
    rows = [
        row
        for row in AuditEvent.objects.select_for_update().filter(pk__in=ids).order_by("pk")
        if replaced(row.data, text, by) != row.data  # it may only hold a longer address
    ]
    numbers = {row.seal_id for row in rows if row.seal_id is not None}
    seals = list(AuditSeal.objects.select_for_update().filter(pk__in=numbers).order_by("number"))
    sound = [(seal, before) for seal in seals if _is_sound(seal, before := _before(seal))]
    for row in rows:
        row.data = replaced(row.data, text, by)
        row.save(update_fields=["data"])
    signed = {str(seal.number): _sign_again(seal, before) for seal, before in sound}
    return [row.pk for row in rows], signed


def _before(seal: AuditSeal) -> str:
    former = AuditSeal.objects.filter(number=seal.number - 1).first()
    return former.sha256 if former is not None else audit_seals.START


def _is_sound(seal: AuditSeal, before: str) -> bool:
    """Whether the rows under it are those that were put there: nobody's change is signed along with ours."""
    events = audit_seals.events_under(seal)
    expected = seal.blanked_sha256 or seal.sha256
    is_ours = audit_seals.is_signed(seal.sha256, seal.signature)
    if seal.blanked_sha256:
        text = audit_seals.blanked_text(seal.sha256, seal.blanked_sha256)
        is_ours = is_ours and audit_seals.is_signed(text, seal.blanked_signature)
    return is_ours and audit_seals.digest_of(before, events) == expected


def _sign_again(seal: AuditSeal, before: str) -> str:
    seal.blanked_sha256 = audit_seals.digest_of(before, audit_seals.events_under(seal))
    text = audit_seals.blanked_text(seal.sha256, seal.blanked_sha256)
    seal.blanked_signature = audit_seals.signature_of(text, settings.SECRET_KEY)
    seal.save(update_fields=["blanked_sha256", "blanked_signature"])
    return seal.blanked_sha256


def replaced(value: Any, text: str, by: str) -> Any:
    """JSON with another address in place of this one, in every value and name."""
    if isinstance(value, str):
        return renamed(value, [text], by)
    if isinstance(value, list):
        return [replaced(each, text, by) for each in value]
    if isinstance(value, dict):
        return {renamed(name, [text], by): replaced(each, text, by) for name, each in value.items()}
    return value
