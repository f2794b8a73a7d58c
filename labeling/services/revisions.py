"""Writing a judgment: each is a revision of its submission, and one of them is current."""

from __future__ import annotations

from dataclasses import asdict

from annotate.prepared import PreparedInsert
from labeling.models import (
    Assignment,
    Demonstration,
    FormVersion,
    JudgmentOrigin,
    Project,
    Ranking,
    Submission,
    Task,
    TaskKind,
)

from .answer_index import reindex_answer
from .judgments import Content, RankingContent
from .written_prompts import language_of_batch, settle_prompts, store_prompt

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
            **vars(content),
            presented_order=shown.get("order", []),
            shuffle_seed=shown.get("seed"),
        )
    reindex_answer(submission, content.text)
    started_from = submission.task.starting_draft_id if submission.task is not None else None
    values = asdict(content)
    wrote_prompt = values.pop("prompt") is not None
    del values["category"]
    demonstration = Demonstration.objects.create(
        **common,
        **values,
        started_from_id=started_from,
        prompt_id=submission.prompt_id if wrote_prompt else None,
    )
    settle_prompts(submission)
    return demonstration


def prompt_for(content: Content, project: Project, prompt_id: int, author, task: Task | None) -> int:
    """The prompt this judgment belongs to: the task's, or the one that was written with it."""
    if isinstance(content, RankingContent) or content.prompt is None:
        return prompt_id
    language = language_of_batch(task.batch) if task is not None else ""
    written = store_prompt(
        project=project, text=content.prompt, category=content.category, language=language, author=author
    )
    return written.pk
