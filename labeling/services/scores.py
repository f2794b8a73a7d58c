"""Scores that a reward model gave completions: how the model's opinion comes into the labeling rooms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from annotate.errors import Invalid
from annotate.words import _
from labeling.models import (
    Completion,
    CompletionScore,
    Project,
    Ranking,
    Submission,
    TaskCompletion,
    TaskKind,
)

from .activity import record_event
from .prompts import chunked
from .ranking_signals import STANDING, completion_ids, conflict_of, latest_scores, store_conflict

PER_COMMIT = 200  # scores; each brings the rankings of its task up to date while others wait to write
LARGEST = 1e6  # beyond that a score is an accident


def unscored_completions(*, project: Project, scorer_key: UUID) -> QuerySet[Completion]:
    """Completions of the project's ranking tasks that this reward model has not scored, by prompt."""
    ranked = TaskCompletion.objects.filter(completion=OuterRef("pk"), task__kind=TaskKind.RANKING)
    scored = CompletionScore.objects.filter(completion=OuterRef("pk"), scorer_key=scorer_key)
    rows = Completion.objects.filter(Exists(ranked), ~Exists(scored), project=project)
    return rows.order_by("prompt_id", "pk")


def contradicted_by_models(project: Project) -> QuerySet[Submission]:
    """Rankings that a reward model contradicts with confidence and on which nobody has decided since."""
    return project.submissions.filter(conflict_open=True)


def record_scores(
    *,
    project: Project,
    scorer_key: UUID,
    rows: Iterable[Mapping[str, Any]],
    scorer_name: str = "",
    acting_user=None,
) -> int:
    """Store a reward model's scores of completions, and look which rankings it confidently contradicts.

    A row: {"completion_id", "score"}. The same scorer and completion again changes nothing: a checkpoint does
    not change. Rankings that are contradicted keep their status; reviewers find them as “model disagrees”.
    Number of scores that are new. Raises Invalid for a completion of another project or a score that is no
    number; a chunk that holds one is not stored, those before it are.
    """
    added = 0
    for chunk in chunked(rows, PER_COMMIT):
        added += _record_chunk(project, scorer_key, chunk, scorer_name[:120], acting_user)
    return added


@transaction.atomic
def _record_chunk(project: Project, scorer_key: UUID, rows: list, name: str, acting_user) -> int:
    scores = {_completion_id(row): _checked_score(row) for row in rows}
    known = set(Completion.objects.filter(project=project, pk__in=scores).values_list("pk", flat=True))
    if unknown := sorted(set(scores) - known):
        raise Invalid(
            _("Completion %(name)s is not in this project.") % {"name": unknown[0]}, field="completion_id"
        )
    before = CompletionScore.objects.filter(scorer_key=scorer_key, completion__in=scores)
    new = sorted(set(scores) - set(before.values_list("completion_id", flat=True)))
    CompletionScore.objects.bulk_create(
        [
            CompletionScore(completion_id=pk, scorer_key=scorer_key, scorer_name=name, score=scores[pk])
            for pk in new
        ],
        ignore_conflicts=True,  # two workers that hand the same scores in at once
    )
    if new:
        record_event(
            action="completions.scored",
            actor=acting_user,
            obj=project,
            project=project,
            scorer=str(scorer_key),
            added=len(new),
        )
        _look_for_conflicts(new)
    return len(new)


def _look_for_conflicts(ids: list[int]) -> None:
    """Whoever decides on one of these at the same moment is waited for: what they decided is then seen."""
    tasks = TaskCompletion.objects.filter(completion__in=ids).values("task")
    standing = Submission.objects.filter(task__in=tasks, kind=TaskKind.RANKING, status__in=STANDING)
    for submission in standing.select_for_update(of=("self",)).select_related("project").order_by("pk"):
        ranking = Ranking.objects.get(submission=submission, is_current=True)
        scores = latest_scores(completion_ids(ranking))
        store_conflict(submission, conflict_of(ranking, scores))


def _completion_id(row: Mapping[str, Any]) -> int:
    pk = row.get("completion_id")
    if isinstance(pk, bool) or not isinstance(pk, int):
        raise Invalid("Each score names its completion.", field="completion_id")
    return pk


def _checked_score(row: Mapping[str, Any]) -> float:
    score = row.get("score")
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise Invalid("A score is a finite number.", field="score")
    if abs(score) > LARGEST:
        raise Invalid(_("A score is at most %(most)s in size.") % {"most": f"{LARGEST:g}"}, field="score")
    return float(score)
