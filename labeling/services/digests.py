"""What an audit row keeps of a judgment or a review: a digest, by which `manage.py verify` sees later whether
the row in the table still says what it said then.

A digest is SHA-256 over the row's values as canonical JSON, an aspect a line. Beside it stand four hex digits
of a CRC for each aspect: they vouch for nothing, and tell which of them is another one.

The names belong to a digest as much as the values do. Whoever adds a column to these tables writes new
aspects under a new VERSION and keeps the old: by them the digests of old rows are recomputed.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import attrgetter
from typing import Any

import orjson

from labeling.models import Demonstration, JudgmentOrigin, Ranking, Review, Submission, TaskKind

VERSION = 1
Aspects = dict[str, tuple[str, ...]]  # what people call it: the columns

# Of the submission, the same for all its revisions; "prompt" but for revisions that wrote their own.
_SUBMISSION = ("submission_id", "task_id", "annotator_id", "prompt")
_ROW = ("revision", "origin", "author_id", "active_seconds")
JUDGMENT: dict[str, Aspects] = {
    TaskKind.DEMONSTRATION: {
        "whose it is, its prompt, its time or its origin": (*_SUBMISSION, *_ROW, "prompt_id"),
        "the guideline or form version": ("guideline_version_id", "form_version_id"),
        "the answers to the form's questions": ("answers",),
        "the text": ("text",),
        "what the checks said, what was pasted or begun from": (
            "pasted_characters", "warnings", "started_from_id",
        ),
    },
    TaskKind.RANKING: {
        "whose it is, its prompt, its time or its origin": (*_SUBMISSION, *_ROW),
        "the guideline or form version": ("guideline_version_id", "form_version_id"),
        "the answers to the form's questions": ("answers",),
        "the order": ("tiers", "unrankable", "unrankable_reasons", "margins"),
        "the scores or flags": ("scores", "flags"),
        "what was shown and touched": ("presented_order", "shuffle_seed", "touched"),
        "the rationale": ("rationale",),
    },
}  # fmt: skip
REVIEW: Aspects = {
    "the decision": ("submission_id", "revision", "decision", "queue_reason", "status_before"),
    "the reasons": ("reasons",),
    "the note": ("note",),
    "whose it is or its time": ("reviewer_id", "active_seconds"),
}


def columns(aspects: Aspects) -> tuple[str, ...]:
    """All names, in the order in which a digest takes their values."""
    return tuple(name for names in aspects.values() for name in names)


def _bounds(aspects: Aspects) -> tuple[tuple[int, int], ...]:
    return tuple(pairwise(accumulate(map(len, aspects.values()), initial=0)))


# Columns of the judgment itself; the four of its submission come before them.
ROW = {kind: columns(aspects)[len(_SUBMISSION) :] for kind, aspects in JUDGMENT.items()}
_row_of = {kind: attrgetter(*names) for kind, names in ROW.items()}
_review_of = attrgetter(*columns(REVIEW))
_judgment_bounds = {kind: _bounds(aspects) for kind, aspects in JUDGMENT.items()}
_review_bounds = _bounds(REVIEW)
_MARGINS = columns(JUDGMENT[TaskKind.RANKING]).index("margins")  # numbers where a file brought them in
_LINE = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
_parts_format = {count: "%04x" * count for count in range(1, 10)}


def _row_by_default(kind: str, model: type[Demonstration | Ranking]) -> dict[str, Any]:
    """In the order of ROW."""
    defaults = {field.attname: field.get_default() for field in model._meta.concrete_fields}
    return {name: defaults[name] for name in ROW[kind]}


_imported_row = {
    kind: _row_by_default(kind, model) | {"origin": JudgmentOrigin.IMPORT.value}
    for kind, model in ((TaskKind.DEMONSTRATION.value, Demonstration), (TaskKind.RANKING.value, Ranking))
}


def of_judgment(judgment: Demonstration | Ranking, submission: Submission) -> dict[str, Any]:
    """The digest of a revision that was just written, for the data of its audit row. No query."""
    sha256, parts = judgment_digest(submission.kind, _values(judgment, submission))
    return {"v": VERSION, "revision": judgment.revision, "sha256": sha256, "parts": parts}


def of_review(review: Review) -> dict[str, Any]:
    sha256, parts = review_digest(_review_of(review))
    return {"v": VERSION, "id": review.pk, "sha256": sha256, "parts": parts}


def _values(judgment: Demonstration | Ranking, submission: Submission) -> tuple:
    written = judgment.prompt_id if isinstance(judgment, Demonstration) else None
    prompt = submission.prompt_id if written is None else written
    return (
        submission.pk,
        submission.task_id,
        submission.annotator_id,
        prompt,
        *_row_of[submission.kind](judgment),
    )


def judgment_digest(kind: str, values: Sequence[Any]) -> tuple[str, str]:
    """(SHA-256 in hex, digits of the aspects). values: of the submission, then of ROW. Raises TypeError for
    what JSON cannot hold."""
    return _digest(_plain(kind, values), _judgment_bounds[kind])


def _plain(kind: str, values: Sequence[Any]) -> Sequence[Any]:
    """With margins as every database gives them back: jsonb has no -0.0, and makes an int of 1e16."""
    if kind != TaskKind.RANKING or all(type(margin) is str for margin in values[_MARGINS]):
        return values
    margins = [float(each) + 0.0 if isinstance(each, int | float) else each for each in values[_MARGINS]]
    return [*values[:_MARGINS], margins, *values[_MARGINS + 1 :]]


def review_digest(values: Sequence[Any]) -> tuple[str, str]:
    return _digest(values, _review_bounds)


def _digest(values: Sequence[Any], bounds: tuple[tuple[int, int], ...]) -> tuple[str, str]:
    lines = [orjson.dumps(values[start:end], option=orjson.OPT_SORT_KEYS) for start, end in bounds]
    parts = _parts_format[len(lines)] % tuple([zlib.crc32(line) & 0xFFFF for line in lines])
    return hashlib.sha256(b"\n".join(lines)).hexdigest(), parts


def changed(aspects: Aspects, before: str, after: str) -> list[str]:
    """The aspects whose digits differ; none where the digits cannot tell."""
    return [name for n, name in enumerate(aspects) if before[4 * n : 4 * n + 4] != after[4 * n : 4 * n + 4]]


class ImportDigest:
    """One digest over all judgments of an import, in the order of their submissions: as JSON, one a line."""

    def __init__(self) -> None:
        self.count = 0
        self._sha = hashlib.sha256()

    def add(self, kind: str, submission_id: int, prompt_id: int, content: dict[str, Any]) -> None:
        """A judgment that was just brought in: content are the columns that differ from their default."""
        row = _imported_row[kind] | content
        self.add_values(kind, (submission_id, None, None, prompt_id, *row.values()))

    def add_values(self, kind: str, values: Sequence[Any]) -> None:
        """values: as judgment_digest takes them; raises as it does."""
        self.count += 1
        self._sha.update(orjson.dumps(_plain(kind, values), option=_LINE))

    def to_json(self) -> dict[str, Any]:
        return {"v": VERSION, "count": self.count, "sha256": self._sha.hexdigest()}
