"""What a person had written on a task that is no longer theirs, in words they can read and copy."""

from __future__ import annotations

from typing import Any

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import Draft, Task, TaskKind
from labeling.services.blind import public_ids, ranking_from_public
from labeling.services.draft_shapes import readable_fields
from labeling.services.pairwise import NEITHER, STRENGTHS
from labeling.services.slots import shown_order


def kept_words(draft: Draft | None, task: Task) -> str:
    """The text of an answer; of a ranking its order in letters, its scores and its words. "" for none."""
    if draft is None:
        return ""
    body = readable_fields(draft)
    if task.kind == TaskKind.DEMONSTRATION:
        asked = str(body.get("prompt", ""))
        return "\n\n".join(filter(None, [asked, str(body.get("text", ""))]))
    try:
        fields = ranking_from_public(body, public_ids(task))
    except Invalid:
        return str(body.get("rationale", ""))  # a draft is whatever a program has sent
    order, _seed = shown_order(task=task, user=draft.user)
    letters = {pk: chr(ord("A") + index) for index, pk in enumerate(order)}
    said = body.get("strength")
    strength = next((str(each.label) for each in (*STRENGTHS, NEITHER) if each.value == said), "")
    return "\n".join(filter(None, [strength, *_lines(fields, letters)]))


def _lines(fields: dict[str, Any], letters: dict[int, str]) -> list[str]:
    tiers = [" = ".join(sorted(letters[pk] for pk in tier)) for tier in fields.get("tiers", [])]
    unrankable = ", ".join(sorted(letters[pk] for pk in fields.get("unrankable", [])))
    scores = fields.get("scores") or {}
    return [
        " > ".join(tiers),
        _("Cannot be ranked: %(which)s") % {"which": unrankable} if unrankable else "",
        ", ".join(
            f"{letters[pk]}: {score}"
            for pk, score in sorted(scores.items(), key=lambda item: letters[item[0]])
        ),
        str(fields.get("rationale", "")),
    ]
