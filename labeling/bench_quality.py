"""Benchmark of the quality pages: a project with 100,000 rankings, its report and the lists behind it."""

from __future__ import annotations

import random
import time
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotate.accounts.models import User
from annotate.bench import Bench, Result, benchmark, settle_statistics
from labeling.models import (
    Batch,
    Completion,
    CompletionOrigin,
    Project,
    Prompt,
    Ranking,
    Submission,
    SubmissionStatus,
    Task,
    TaskCompletion,
    TaskKind,
)
from labeling.services.projects import add_member
from labeling.services.quality_reports import refresh_report

from .bench import _page_seconds, bench_project

RANKINGS, QUICK_RANKINGS = 100_000, 2_000
OVERLAP, K, PEOPLE, BATCHES = 2, 4, 32, 20
BAR = 150  # ms of server time
STEP = 2_000


@benchmark("labeling.quality")
def quality(bench: Bench) -> list[Result]:
    """Quality pages and the list of work with 100,000 rankings by 32 people; and computing the report."""
    project = bench_project("bench-quality")
    if not project.submissions.exists():
        _fill(project, QUICK_RANKINGS if bench.quick else RANKINGS)
    started = time.perf_counter()
    report = refresh_report(project=project)
    seconds = time.perf_counter() - started
    if report is None:
        raise RuntimeError("Somebody else computes the report.")
    client = Client()
    client.force_login(User.objects.get(username="bench"))
    person = project.submissions.values_list("annotator", flat=True)[0]
    pages = {
        "quality": "",
        "quality, pairs": "?by=pair",
        "quality, meters": "?tab=meters",
        "quality_items": "",
        "submissions": "",
        "submissions, of one": f"?person={person}&shared=yes&agreement=below-50",
    }
    results = [Result("computing the report", seconds, "s")]
    for name, query in pages.items():
        address = reverse(f"labeling:{name.split(',')[0]}", args=[project.slug]) + query
        results.append(Result(name, 1000 * _page_seconds(client, address), "ms", bar=BAR))
    return results


def _fill(project: Project, rankings: int) -> None:
    source = random.Random(1)  # noqa: S311 - made-up judgments
    people = [_person(project, number) for number in range(PEOPLE)]
    batches = [
        Batch.objects.create(project=project, kind=TaskKind.RANKING, name=f"Batch {n}", overlap=OVERLAP)
        for n in range(BATCHES)
    ]
    for start in range(0, rankings // OVERLAP, STEP):
        _fill_tasks(project, people, batches, range(start, min(start + STEP, rankings // OVERLAP)), source)
    settle_statistics()


def _person(project: Project, number: int) -> User:
    user = User.objects.create_user(
        username=f"bench-{number}", email=f"bench-{number}@example.org", display_name=f"Person {number}"
    )
    add_member(project=project, user=user, role="annotator", acting_user=project.created_by)
    return user


def _fill_tasks(project: Project, people: list[User], batches: list[Batch], numbers: range, source) -> None:
    prompts = Prompt.objects.bulk_create(
        Prompt(
            project=project,
            messages=[{"role": "user", "content": f"Question {number}?"}],
            digest=f"{number:064}",
            preview=f"Question {number}?",
            category="abcdefgh"[number % 8],
        )
        for number in numbers
    )
    tasks = Task.objects.bulk_create(
        Task(
            project=project,
            batch=batches[number % BATCHES],
            kind=TaskKind.RANKING,
            prompt=prompt,
            overlap=OVERLAP,
            status="done",
        )
        for number, prompt in zip(numbers, prompts, strict=True)
    )
    completions = Completion.objects.bulk_create(
        Completion(
            project=project,
            prompt=prompt,
            text="word " * source.randint(4, 60),
            origin=CompletionOrigin.MODEL,
        )
        for prompt in prompts
        for _ in range(K)
    )
    TaskCompletion.objects.bulk_create(
        TaskCompletion(task=task, completion=completions[K * n + place], position=place)
        for n, task in enumerate(tasks)
        for place in range(K)
    )
    _fill_rankings(project, people, tasks, completions, source)


def _fill_rankings(project: Project, people, tasks, completions, source) -> None:
    submissions = Submission.objects.bulk_create(
        Submission(
            project=project,
            kind=TaskKind.RANKING,
            prompt_id=task.prompt_id,
            task=task,
            annotator=person,
            status=SubmissionStatus.ACCEPTED,
            decided_at=timezone.now(),
            active_seconds=source.randint(20, 240),
        )
        for task in tasks
        for person in source.sample(people, OVERLAP)
    )
    Ranking.objects.bulk_create(
        Ranking(submission=submission, author_id=submission.annotator_id, **_judgment(n, completions, source))
        for n, submission in enumerate(submissions)
    )


def _judgment(number: int, completions, source) -> dict[str, Any]:
    """The true order of a task's completions is that of their making; people are noisy about it."""
    ids = [each.pk for each in completions[number // OVERLAP * K : number // OVERLAP * K + K]]
    order = sorted(ids, key=lambda pk: pk + source.gauss(0, 1.5))
    shown = source.sample(ids, K)
    scores = {str(pk): 7 - place for place, pk in enumerate(order)}
    return {"tiers": [[pk] for pk in order], "scores": scores, "presented_order": shown, "touched": order}
