"""What makes a submit repeatable: a key of the sender's, and the hash of what was sent under it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import Assignment

LONGEST_KEY = 80


def checked_key(key: str) -> str:
    if not isinstance(key, str) or not key.strip() or len(key) > LONGEST_KEY or not key.isprintable():
        raise Invalid(
            _("Send an idempotency key: 1 to %(most)s characters, a new one unless you send the same again.")
            % {"most": LONGEST_KEY},
            field="idempotency_key",
        )
    return key.strip()


def with_answers(fields: dict[str, Any], answers: Any) -> dict[str, Any]:
    """For the hash of what was sent: without answers it is what it was before there were any."""
    return {**fields, "answers": answers} if answers else fields


def sha256_of(asked: Mapping[str, Any]) -> str:
    """(hex) Of what was asked for: alike, however its names are ordered."""
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def body_hash(assignment: Assignment, prompt_flags: Any, fields: dict[str, Any]) -> str:
    """SHA-256 (hex) of what was sent. Times are left out: a retry may carry later ones."""
    return sha256_of({"assignment": assignment.pk, "prompt_flags": list(prompt_flags), **fields})
