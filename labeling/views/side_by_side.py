"""All answers to one task beside each other, with what differs, and the whole history of each.

Only what was submitted is read: drafts and slots in hand never are, so nobody's unfinished work shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labeling import queues
from labeling.models import (
    Adjudication,
    Appeal,
    Completion,
    Demonstration,
    Ranking,
    Review,
    Submission,
    TaskKind,
)
from labeling.services.ranking_signals import ranks_of
from labeling.textdiff import Piece, word_diff

from .presenting import with_labels


@dataclass(frozen=True)
class Event:
    """One line of a submission's history: a revision, a decision or an appeal."""

    at: datetime
    revision: Demonstration | Ranking | None = None
    review: Review | None = None
    appeal: Appeal | None = None


@dataclass(frozen=True)
class Answer:
    """One person's answer: the judgment that stands, and its history."""

    submission: Submission
    judgment: Any  # Demonstration or Ranking, as the submission's kind
    history: list[Event]
    is_this: bool
    changes: list[Piece]  # of a demonstration, from the one under review to this

    @property
    def name(self) -> str:
        return str(self.submission.annotator) if self.submission.annotator else "—"


@dataclass(frozen=True)
class Cell:
    rank: int | None  # None: could not be ranked
    score: int | None
    is_different: bool  # another rank than most people gave


@dataclass(frozen=True)
class GridRow:
    """One completion: the rank each person gave it, and the settled one (None without)."""

    letter: str
    text: str
    cells: list[Cell]
    settled: Cell | None

    @property
    def is_disputed(self) -> bool:
        return any(cell.is_different for cell in self.cells)


def answers_of(submission: Submission) -> list[Answer]:
    """The piece under review first, then all others on its task, oldest first. Four queries or five."""
    rows = [submission]
    if submission.task is not None:
        # Where people write the prompt too, only answers to the same one stand beside each other.
        others = submission.task.submissions.filter(prompt=submission.prompt_id).exclude(pk=submission.pk)
        others = others.select_related("annotator")
        rows += list(others.order_by("pk"))
    model = Demonstration if submission.kind == TaskKind.DEMONSTRATION else Ranking
    judgments = _grouped(
        model.objects.filter(submission__in=rows).select_related("author", "guideline_version")
    )
    decisions = Review.objects.filter(submission__in=rows).select_related("reviewer")
    reviews = _grouped(with_labels(decisions, submission.project.settings.return_reasons))
    appeals = _grouped(Appeal.objects.filter(submission__in=rows).select_related("decided_by"))
    answers: list[Answer] = []
    for row in rows:
        standing = next(each for each in judgments[row.pk] if each.is_current)
        changes: list[Piece] = []
        if answers and model is Demonstration:
            changes = word_diff(answers[0].judgment.text, standing.text)
        history = _history(judgments[row.pk], reviews.get(row.pk, []), appeals.get(row.pk, []))
        answers.append(Answer(row, standing, history, row.pk == submission.pk, changes))
    return answers


def rank_grid(
    answers: Sequence[Answer], completions: Sequence[Completion], settled: Adjudication | None = None
) -> list[GridRow]:
    """A row for each completion, in the order given; letters as the page under review shows them."""
    ids = [completion.pk for completion in completions]
    columns = [ranks_of(answer.judgment, ids) for answer in answers]
    final = ranks_of(settled, ids) if settled is not None else [None] * len(ids)
    grid = []
    for index, completion in enumerate(completions):
        ranks = [column[index] for column in columns]
        usual = _most_common(ranks)
        cells = [
            Cell(
                rank,
                answer.judgment.scores.get(str(completion.pk)),
                len(set(ranks)) > 1 and rank not in usual,
            )
            for rank, answer in zip(ranks, answers, strict=True)
        ]
        end = Cell(final[index], None, final[index] not in usual) if settled is not None else None
        grid.append(GridRow(chr(ord("A") + index), completion.text, cells, end))
    return grid


def as_shown(submission: Submission, judgment: Any) -> list[Completion]:
    """What was ranked, in the order its author saw: the letters of the page. Empty for a demonstration."""
    found = {each.pk: each for each in queues.completions_of(submission)}
    order = getattr(judgment, "presented_order", None) or sorted(found)
    return [found[pk] for pk in order if pk in found]


def _most_common(ranks: Sequence[int | None]) -> set[int | None]:
    """The rank that most gave; empty where no rank has more people than another: then all differ."""
    counts = Counter(ranks).most_common()
    if len(counts) > 1 and counts[0][1] == counts[1][1]:
        return set()
    return {counts[0][0]} if counts else set()


def _history(judgments: list, reviews: list, appeals: list) -> list[Event]:
    events = [Event(each.created_at, revision=each) for each in judgments]
    events += [Event(each.created_at, review=each) for each in reviews]
    events += [Event(each.created_at, appeal=each) for each in appeals]
    return sorted(events, key=lambda event: event.at)


def _grouped(rows: Any) -> dict[int, list]:
    groups: dict[int, list] = {}
    for row in rows:
        groups.setdefault(row.submission_id, []).append(row)
    return groups
