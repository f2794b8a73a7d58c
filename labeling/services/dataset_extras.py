"""What rows of a dataset carry beside the judgment: notes on stretches, edits of a model's draft as pairs,
and why there is no row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import F

from labeling.formats import comparison_row
from labeling.models import SpanNote, TaskKind

from .prompts import LOOKUP, chunked


def notes_by_judgment(judgments: Iterable[tuple[int, int]], kind: str) -> dict[int, list[dict[str, Any]]]:
    """{submission id: its notes, ready for a row} for (submission id, current revision) pairs.

    On an answer only the notes on the revision that the row holds: an older one's stretches lie in another
    text. Of a ranking's author those of the revision that stands; the completions never change, so that
    reviewers' notes stay true.
    """
    revisions = dict(judgments)
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for ids in chunked(sorted(revisions), LOOKUP):
        rows = SpanNote.objects.filter(submission__in=ids).annotate(annotator=F("submission__annotator"))
        for note in rows.select_related("author").order_by("completion_id", "start", "end", "pk"):
            is_own = note.author_id == note.annotator  # type: ignore[attr-defined]
            is_bound = kind == TaskKind.DEMONSTRATION or is_own
            if is_bound and note.revision != revisions[note.submission_id]:
                continue
            row: dict[str, Any] = {
                "start": note.start,
                "end": note.end,
                "quote": note.quote,
                "comment": note.comment,
                "author": note.author.pseudonym,
                "by": "author" if is_own else "reviewer",
            }
            if note.completion_id is not None:
                row["completion"] = str(note.completion_id)
            found[note.submission_id].append(row)
    return found


def with_notes(row: dict[str, Any], notes: list[dict[str, Any]] | None) -> dict[str, Any]:
    """The row with its notes; a row without any is the same bytes as ever."""
    return {**row, "notes": notes} if notes else row


def edit_row(
    *,
    submission_id: int,
    prompt_id: int,
    messages: list[dict[str, str]],
    draft: tuple[int, str, str],
    text: str,
    source: dict[str, Any],
) -> dict[str, Any]:
    """A pair: the person's answer is better than the model's draft (id, text, generator) it was made of."""
    pk, draft_text, generator = draft
    row = comparison_row(
        id=str(submission_id),
        prompt_id=str(prompt_id),
        messages=messages,
        completions=[
            {"id": str(pk), "text": draft_text, "generator": generator},
            {"id": f"demonstration-{submission_id}", "text": text, "generator": ""},
        ],
        ranks=[2, 1],
        source=source,
    )
    return {**row, "edited_draft": True}


def none_ranked(reasons: dict[str, Any]) -> str:
    """What a manifest counts work by that ranks nothing: "none can be ranked: wrong_language"."""
    given = sorted({each["reason"] for each in reasons.values()})
    return f"none can be ranked: {', '.join(given)}" if given else "fewer than two completions ranked"
