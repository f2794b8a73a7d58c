"""Fields of the work and review forms, from what browsers and drafts send."""

from __future__ import annotations

import json
from typing import Any

from django.http import QueryDict

from annotate.errors import Invalid
from labeling.services.answer_checks import UnconfirmedWarnings


def initial_inputs(fields: dict[str, Any]) -> dict[str, str]:
    """The hidden inputs of the ranking widget: JSON text, whether it came from a form or from the API."""
    names = ("tiers", "unrankable", "unrankable_reasons", "scores", "flags", "margins", "touched")
    given = {name: fields[name] for name in names if name in fields}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}


def flat_fields(sent: QueryDict) -> dict[str, Any]:
    """A form's fields as drafts keep them: one value is text, several are a list."""
    return {name: values[0] if len(values) == 1 else values for name, values in sent.lists()}


def to_confirm(error: Invalid | None, *, confirmed: str) -> str:
    """The names of the checks that "submit anyway" confirms: what was warned of now, and what the person has
    confirmed before (else two checks would be asked in turns without end). "" where nobody is asked.
    """
    if not isinstance(error, UnconfirmedWarnings):
        return ""
    before = [name for name in confirmed.split(",") if name]
    return ",".join(dict.fromkeys(before + [each["check"] for each in error.details]))


def stretches_of(error: Invalid | None, fields: dict[str, Any]) -> list[dict[str, Any]]:
    """Where in the answer, or in the prompt written with it, something was refused or warned of, with the
    words there ("" for all of them).
    """
    found = []
    for each in error.details if error is not None else []:
        if "check" in each:
            text = str(fields.get(each["field"], "")).replace("\r\n", "\n")  # as the checks have read it
            start, end = each["start"], each["end"]
            found.append({**each, "quote": "" if end - start >= len(text) else text[start:end]})
    return found
