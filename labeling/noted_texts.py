"""Read side of notes on stretches: the texts of a submission with the notes on them, ready to be shown.

Whoever may see a submission may see its notes: its author and leads. Nobody else is ever handed them.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q, QuerySet

from labeling import queues
from labeling.models import SpanNote, Submission, TaskKind

ANSWER = "answer"  # the key of a demonstration's own text; completions go by their public id


@dataclass(frozen=True)
class PlacedNote:
    """A note with its number on the page, and where it stands in the text shown now (None: only its quote is
    left, because the text has been rewritten there)."""

    note: SpanNote
    number: int
    start: int | None
    end: int | None


@dataclass(frozen=True)
class RawPiece:
    """A stretch of the raw text under the same notes; `numbers` is empty where there is none."""

    text: str
    numbers: list[int]


@dataclass(frozen=True)
class NotedText:
    key: str
    letter: str  # "" for an answer
    text: str
    notes: list[PlacedNote]

    @property
    def pieces(self) -> list[RawPiece]:
        placed = [each for each in self.notes if each.start is not None and each.end is not None]
        edges = {0, len(self.text)} | {
            edge for each in placed for edge in (each.start, each.end) if edge is not None
        }
        cuts = sorted(edges)
        return [
            RawPiece(
                self.text[start:end],
                [each.number for each in placed if (each.start or 0) <= start and end <= (each.end or 0)],
            )
            for start, end in zip(cuts, cuts[1:], strict=False)
        ]

    @property
    def quotes(self) -> list[str]:
        return [each.note.quote for each in self.notes]


def notes_of(submission: Submission) -> QuerySet[SpanNote]:
    """The notes that stand: the author's of the current revision (each revision of a ranking carries its
    own), and everybody else's."""
    own_earlier = Q(author=submission.annotator_id, revision__lt=submission.revision_count)
    rows = SpanNote.objects.filter(submission=submission).select_related("author", "completion")
    if submission.kind == TaskKind.RANKING and submission.annotator_id is not None:
        rows = rows.exclude(own_earlier)
    return rows.order_by("start", "end", "id")


def noted_texts(submission: Submission) -> list[NotedText]:
    """Every text of the submission in the order it was shown. Three queries."""
    notes = list(notes_of(submission))
    if submission.kind == TaskKind.DEMONSTRATION:
        text = submission.demonstrations.get(is_current=True).text
        return [NotedText(ANSWER, "", text, _placed(notes, text, submission.revision_count))]
    completions = {each.pk: each for each in queues.completions_of(submission)}
    order = submission.rankings.order_by("revision").values_list("presented_order", flat=True).first()
    texts = []
    for index, pk in enumerate(order or sorted(completions)):
        text = completions[pk].text
        mine = [note for note in notes if note.completion_id == pk]
        letter = chr(ord("A") + index)
        texts.append(NotedText(str(completions[pk].public_id), letter, text, _placed(mine, text, None)))
    return texts


def _placed(notes: list[SpanNote], text: str, revision: int | None) -> list[PlacedNote]:
    placed = []
    for number, note in enumerate(notes, start=1):
        start: int | None = note.start
        if text[note.start : note.end] != note.quote or (revision is not None and note.revision != revision):
            # Rewritten since: shown where the quote stands once, else by its quote alone.
            start = text.find(note.quote) if text.count(note.quote) == 1 else None
        placed.append(PlacedNote(note, number, start, None if start is None else start + len(note.quote)))
    return placed
