"""Writing a judgment: each is a revision of its submission, and one of them is current."""

from __future__ import annotations

from dataclasses import asdict

from annotate.prepared import PreparedInsert
from labeling.models import (
    Assignment,
    Demonstration,
    FormVersion,
    JudgmentOrigin,
    Ranking,
    Submission,
    TaskKind,
)

from .answer_index import reindex_answer
from .judgments import Content, RankingContent

STORED_RANKING = PreparedInsert(Ranking)


def begin_revision(submission: Submission) -> None:
    """Make room for the next revision: none is current until it is written."""
    revisions = (
        submission.demonstrations if submission.kind == TaskKind.DEMONSTRATION else submission.rankings
    )
    revisions.filter(is_current=True).update(is_current=False)
    submission.revision_count += 1


def add_judgment(
    submission: Submission,
    content: Content,
    origin: JudgmentOrigin,
    author,
    slot: Assignment | None,
    version_id: int | None,
    active_seconds: int,
    form: FormVersion,
) -> Demonstration | Ranking:
    """Write the current revision of a submission (its number is `revision_count`)."""
    common = {
        "submission": submission,
        "revision": submission.revision_count,
        "origin": origin,
        "author": author,
        "guideline_version_id": version_id,
        "form_version": form,
        "active_seconds": active_seconds,
    }
    if isinstance(content, RankingContent):
        shown = slot.presentation if slot is not None else {}
        return STORED_RANKING.create(
            **common,
            **asdict(content),
            presented_order=shown.get("order", []),
            shuffle_seed=shown.get("seed"),
        )
    reindex_answer(submission, content.text)
    started_from = submission.task.starting_draft_id if submission.task is not None else None
    return Demonstration.objects.create(**common, **asdict(content), started_from_id=started_from)
