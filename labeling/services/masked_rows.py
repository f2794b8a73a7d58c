"""What people wrote beside the texts of a row: comments on stretches, answers to the form's questions, why
something could not be ranked; and the fields of prompts that a recipe includes. A mask of personal data
reaches all of it (docs/decisions/0036)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Mask = Callable[[str], str]


def with_masked_words(row: dict[str, Any], mask: Mask) -> dict[str, Any]:
    """The row with all that `words_beside` names put through `mask`; the same object where there are none."""
    changed: dict[str, Any] = {}
    if "notes" in row:
        changed["notes"] = [{**note, "comment": mask(note["comment"])} for note in row["notes"]]
    if "unrankable_reasons" in row:
        changed["unrankable_reasons"] = mask_within(row["unrankable_reasons"], mask)
    if "answers" in row.get("source", {}):
        changed["source"] = {**row["source"], "answers": mask_within(row["source"]["answers"], mask)}
    if "fields" in row:
        changed["fields"] = mask_within(row["fields"], mask)
    return {**row, **changed} if changed else row


def mask_within(value: Any, mask: Mask) -> Any:
    """JSON with every text in it put through `mask`; names of fields stay."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {name: mask_within(each, mask) for name, each in value.items()}
    return [mask_within(each, mask) for each in value] if isinstance(value, list | tuple) else value
