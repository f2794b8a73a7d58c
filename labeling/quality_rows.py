"""Read side of the quality report: judgments as the records that labeling.quality computes from.

What counts is what a person said: their own last revision, not a reviewer's fix of it. Rejected and imported
work is left out, and screening: it is not the project's work. What was held against a known answer or oneself
is marked as a test; agreement passes over it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Length

from .flag_words import flags_of
from .models import (
    CompletionOrigin,
    Demonstration,
    FormDefinition,
    FormVersion,
    GoldResult,
    Project,
    Ranking,
    SubmissionStatus,
    TaskCompletion,
    TaskKind,
    TaskPurpose,
)
from .quality.records import Asked, DemonstrationRecord, RankingRecord, Vocabulary

EPOCH = date(1970, 1, 1)
Completions = tuple[tuple[int, ...], tuple[int, ...], tuple[bool, ...]]  # ids, lengths, written by people


def vocabulary(project: Project) -> Vocabulary:
    flags = flags_of(project)
    return Vocabulary(tuple(flag.key for flag in flags.completion), tuple(flag.key for flag in flags.prompt))


def _own(rows: QuerySet, project: Project) -> QuerySet:
    """Revisions that their submission's annotator wrote, oldest first within each submission."""
    return (
        rows.filter(submission__project=project, submission__task__isnull=False)
        .filter(author=F("submission__annotator"))
        .exclude(submission__status=SubmissionStatus.REJECTED)
        .exclude(submission__task__purpose=TaskPurpose.SCREENING)
        .annotate(is_test=_is_test())
        .order_by("submission_id", "revision")
    )


def _is_test() -> Combinable:
    """As datasets leave it out: judged when the answer was known, or for the second time.

    Work of before a task became gold stays work, so that what leads choose for gold changes no measure.
    """
    held = GoldResult.objects.filter(submission=OuterRef("submission"))
    return Case(
        When(Q(Exists(held)) | Q(submission__task__purpose=TaskPurpose.REPEAT), then=True), default=False
    )


def rankings_of(project: Project) -> list[RankingRecord]:
    """Three queries."""
    completions, asked = _completions(project), _asked(project)
    rows = _own(Ranking.objects.all(), project).values_list(
        "submission_id", "submission__task_id", "submission__annotator_id", "tiers", "margins", "scores",
        "flags", "presented_order", "guideline_version__number", "submission__task__batch_id",
        "submission__prompt__category", "submission__prompt_flags", "submission__active_seconds",
        "submission__created_at", "form_version_id", "is_test",
    )  # fmt: skip
    newest = {row[0]: row for row in rows.iterator(chunk_size=5_000)}
    return [_ranking(row, completions[row[1]], asked) for row in newest.values()]


def _asked(project: Project) -> dict[int | None, Asked]:
    """What each version of the project's forms had a place for. One query."""
    versions = FormVersion.objects.filter(form__project=project)
    return {version.pk: _asked_by(version.definition) for version in versions}


def _asked_by(form: FormDefinition) -> Asked:
    return Asked(
        scale=(form.scale.lowest, form.scale.highest),
        completion_flags=frozenset(flag.key for flag in form.completion_flags),
        prompt_flags=frozenset(flag.key for flag in form.prompt_flags),
    )


def _completions(project: Project) -> dict[int, Completions]:
    """Of each ranking task, in the task's own order."""
    rows = (
        TaskCompletion.objects.filter(task__project=project, task__kind=TaskKind.RANKING)
        .order_by("task_id", "position")
        .annotate(length=Length("completion__text"))
        .values_list("task_id", "completion_id", "length", "completion__origin")
    )
    found: dict[int, list[tuple[int, int, bool]]] = {}
    for task, completion, length, origin in rows.iterator(chunk_size=5_000):
        found.setdefault(task, []).append((completion, length, origin == CompletionOrigin.PERSON))
    return {task: tuple(zip(*parts, strict=True)) for task, parts in found.items()}  # type: ignore[misc]


def _ranking(row: tuple, completions: Completions, asked: dict[int | None, Asked]) -> RankingRecord:
    ids, lengths, by_people = completions
    (submission, task, person, tiers, margins, scores, flags, shown, guideline, batch, category,
     prompt_flags, seconds, created_at, form, is_test) = row  # fmt: skip
    rank = {completion: number for number, tier in enumerate(tiers, start=1) for completion in tier}
    place = {completion: number for number, completion in enumerate(ids)}
    is_whole = len(shown) == len(ids) and all(completion in place for completion in shown)
    return RankingRecord(
        submission=submission,
        task=task,
        person=person,
        completions=ids,
        ranks=tuple(rank.get(completion) for completion in ids),
        margins=tuple(margins),
        scores=tuple(scores.get(str(completion)) for completion in ids),
        flags=tuple(frozenset(flags.get(str(completion), ())) for completion in ids),
        prompt_flags=frozenset(prompt_flags),
        shown=tuple(place[completion] for completion in shown) if is_whole else (),
        lengths=lengths,
        by_people=by_people,
        batch=batch,
        category=category,
        guideline=guideline,
        seconds=seconds,
        day=(created_at.date() - EPOCH).days,
        asked=asked.get(form),
        is_test=is_test,
    )


def demonstrations_of(project: Project) -> list[DemonstrationRecord]:
    """Two queries."""
    asked = _asked(project)
    rows = (
        _own(Demonstration.objects.all(), project)
        .annotate(characters=Length("text"))
        .values_list(
            "submission_id", "submission__task_id", "submission__annotator_id", "characters",
            "pasted_characters", "submission__prompt_flags", "submission__active_seconds", "form_version_id",
            "is_test",
        )
    )  # fmt: skip
    return list(_newest(rows, asked))


def _newest(rows: QuerySet, asked: dict[int | None, Asked]) -> Iterator[DemonstrationRecord]:
    for row in {row[0]: row for row in rows.iterator(chunk_size=5_000)}.values():
        submission, task, person, characters, pasted, prompt_flags, seconds, form, is_test = row
        yield DemonstrationRecord(
            submission, task, person, characters, pasted, frozenset(prompt_flags), seconds, asked.get(form),
            is_test,
        )  # fmt: skip
