"""The key under which a program sends the same thing again: what was asked for under it is done once."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

FIELD, HEADER = "idempotency_key", "Idempotency-Key"
LONGEST_KEY = 80


def key_field(help_text: str) -> serializers.CharField:
    """For the body, beside the header."""
    return serializers.CharField(max_length=LONGEST_KEY, required=False, help_text=help_text)


def sent_key(request, data: dict[str, Any]) -> str:
    """That of the header, else of the body, out of which it is taken; "" without one."""
    in_body: str = data.pop(FIELD, "")
    return request.headers.get(HEADER) or in_body
