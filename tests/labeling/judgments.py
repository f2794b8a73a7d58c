"""Accepted work for dataset tests, put straight into the tables: its way there is tested elsewhere."""

from __future__ import annotations

from django.utils import timezone

from labeling.models import (
    Demonstration,
    Project,
    Prompt,
    Ranking,
    Review,
    ReviewDecision,
    Submission,
    SubmissionStatus,
    TaskKind,
)
from labeling.services.batches import create_demonstration_batch, create_ranking_batch
from tests.factories import make_completions, make_prompt


def make_demonstration(
    project: Project,
    annotator,
    text: str = "A good answer.",
    *,
    prompt: Prompt | None = None,
    status: str = SubmissionStatus.ACCEPTED,
    decision: str | None = None,
    reviewer=None,
    guideline_version=None,
    pk: int | None = None,
) -> Submission:
    prompt = prompt or make_prompt(project)
    batch = create_demonstration_batch(
        project=project, name="batch", prompts=[prompt], acting_user=project.created_by
    )
    submission = Submission.objects.create(
        pk=pk,
        project=project,
        kind=TaskKind.DEMONSTRATION,
        prompt=prompt,
        task=batch.tasks.get(),
        annotator=annotator,
        status=status,
        decided_at=timezone.now(),
    )
    Demonstration.objects.create(
        submission=submission, text=text, author=annotator, guideline_version=guideline_version
    )
    _review(submission, decision, reviewer)
    return submission


def make_ranking(
    project: Project,
    annotator,
    tiers: list[list[int]] | None = None,
    *,
    prompt: Prompt | None = None,
    completions: list | None = None,
    unrankable: tuple[int, ...] = (),
    margins: tuple = (),
    decision: str | None = None,
    reviewer=None,
    pk: int | None = None,
) -> Submission:
    """`tiers` and `unrankable` are indices into the completions."""
    prompt = prompt or make_prompt(project)
    completions = completions or make_completions(prompt, 3)
    tiers = tiers or [[index] for index in range(len(completions))]
    ids = [completion.pk for completion in completions]
    batch = create_ranking_batch(
        project=project, name="batch", completion_sets=[(prompt.pk, ids)], acting_user=project.created_by
    )
    submission = Submission.objects.create(
        pk=pk,
        project=project,
        kind=TaskKind.RANKING,
        prompt=prompt,
        task=batch.tasks.get(),
        annotator=annotator,
        status=SubmissionStatus.ACCEPTED,
        decided_at=timezone.now(),
    )
    Ranking.objects.create(
        submission=submission,
        tiers=[[ids[index] for index in tier] for tier in tiers],
        unrankable=[ids[index] for index in unrankable],
        margins=list(margins),
        presented_order=list(reversed(ids)),
        author=annotator,
    )
    _review(submission, decision, reviewer)
    return submission


def _review(submission: Submission, decision: str | None, reviewer) -> None:
    if decision is not None:
        Review.objects.create(
            submission=submission, revision=1, decision=ReviewDecision(decision), reviewer=reviewer
        )
