"""Benchmarks of the pages leads live on: people, overview, hours and pay, with 100,000 submissions."""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotate.accounts.models import User
from annotate.bench import Bench, Result, benchmark, settle_statistics
from labeling.models import (
    Assignment,
    Batch,
    Completion,
    LedgerDay,
    LedgerEntry,
    Membership,
    Project,
    Prompt,
    Ranking,
    Rate,
    Review,
    Role,
    Skip,
    Submission,
    Task,
    TaskCompletion,
)
from labeling.services.projects import create_project
from labeling.services.quality_reports import refresh_report

SUBMISSIONS, QUICK_SUBMISSIONS = 100_000, 4_000
PEOPLE, QUICK_PEOPLE = 200, 20
DAYS, OVERLAP, COMPLETIONS = 60, 2, 4
STATES = ("accepted",) * 16 + ("awaiting_review", "returned", "rejected", "accepted")
PAGE_RUNS = 12
Rows = list[tuple[Any, Any, datetime]]
Sums = Counter[tuple[int, int, date]]


def fill(submissions: int, people: int) -> Project:
    """A project with so many rankings, two to a task, over the last weeks; written past the services."""
    source = random.Random(1)  # noqa: S311 - made-up rows
    admin = User.objects.create_user("bench-people", is_staff=True, is_superuser=True)
    project = create_project(name="People", slug="people-bench", acting_user=admin)
    users = User.objects.bulk_create(
        User(username=f"person{n}", email=f"person{n}@example.com", display_name=f"Person {n:03}")
        for n in range(people)
    )
    now = timezone.now()
    Membership.objects.bulk_create(
        Membership(project=project, user=user, role=Role.ANNOTATOR, last_active_at=now) for user in users
    )
    batches = [_batch(project, admin, n) for n in range(6)]
    prompts = Prompt.objects.bulk_create(
        Prompt(
            project=project,
            messages=[{"role": "user", "content": f"{n}?"}],
            digest=f"{n:064}",
            preview=f"{n}?",
        )
        for n in range(1000)
    )
    tasks = Task.objects.bulk_create(
        (
            Task(
                project=project,
                batch=batches[n % 5],
                kind="ranking",
                prompt=prompts[n % 1000],
                overlap=OVERLAP,
            )
            for n in range(submissions // OVERLAP)
        ),
        batch_size=5000,
    )
    shown = _completions(project, prompts, tasks)
    _work(project, admin, tasks, users, now, source, shown)
    Assignment.objects.bulk_create(
        (
            Assignment(task=task, slot=9, project=project, batch_id=task.batch_id, kind="ranking")
            for task in tasks[: submissions // 10]
        ),
        batch_size=5000,
    )
    Rate.objects.create(
        project=project, work="ranking", unit="hour", amount="18.50", currency="EUR", created_by=admin,
        valid_from=(now - timedelta(days=400)).date(),
    )  # fmt: skip
    refresh_report(project=project)
    settle_statistics()
    return project


def _batch(project: Project, admin: User, number: int) -> Batch:
    return Batch.objects.create(
        project=project, kind="ranking", name=f"Batch {number}", overlap=OVERLAP, priority=-number,
        created_by=admin,
    )  # fmt: skip


def _completions(project: Project, prompts: list[Prompt], tasks: list[Task]) -> dict[int, list[int]]:
    """{key of a prompt: keys of its completions}, which each task of that prompt shows."""
    made = Completion.objects.bulk_create(
        (
            Completion(project=project, prompt=prompt, text="An answer. " * (n + 1), origin="imported")
            for prompt in prompts
            for n in range(COMPLETIONS)
        ),
        batch_size=5000,
    )
    shown: dict[int, list[int]] = {}
    for each in made:
        shown.setdefault(each.prompt_id, []).append(each.pk)
    TaskCompletion.objects.bulk_create(
        (
            TaskCompletion(task=task, completion_id=pk, position=position)
            for task in tasks
            for position, pk in enumerate(shown[task.prompt_id])
        ),
        batch_size=5000,
    )
    return shown


def _work(
    project, admin, tasks, users, now: datetime, source: random.Random, shown: dict[int, list[int]]
) -> None:
    sums: Sums = Counter()
    for start in range(0, len(tasks), 2500):
        rows: Rows = []
        for task in tasks[start : start + 2500]:
            for who in source.sample(users, OVERLAP):
                rows.append((task, who, now - timedelta(days=source.uniform(0, DAYS))))
        slots = Assignment.objects.bulk_create(
            Assignment(
                task=task, slot=n % OVERLAP + 1, project=project, batch_id=task.batch_id, kind="ranking",
                status="submitted", annotator=who, leased_at=when, submitted_at=when,
            )
            for n, (task, who, when) in enumerate(rows)
        )  # fmt: skip
        made = Submission.objects.bulk_create(
            Submission(
                project=project, kind="ranking", prompt_id=task.prompt_id, task=task, assignment=slot,
                annotator=who, status=source.choice(STATES), active_seconds=90, decided_at=when,
                verdict="" if n % 4 else "accepted",
            )
            for n, (slot, (task, who, when)) in enumerate(zip(slots, rows, strict=True))
        )  # fmt: skip
        Ranking.objects.bulk_create(_ranking(each, source, shown[each.prompt_id]) for each in made)
        Review.objects.bulk_create(
            Review(submission=each, revision=1, decision="accepted", reviewer=admin) for each in made[::4]
        )
        Skip.objects.bulk_create(
            Skip(task=task, user=admin, reason="unclear") for task, _, _ in rows[:: 100 * OVERLAP]
        )
        _entries(project, made, rows, sums)
    LedgerDay.objects.bulk_create(
        (
            LedgerDay(
                project=project,
                user_id=who,
                batch_id=batch,
                day=day,
                work="ranking",
                seconds=90 * n,
                pieces=n,
            )
            for (who, batch, day), n in sums.items()
        ),
        batch_size=5000,
    )


def _ranking(submission: Submission, source: random.Random, shown: list[int]) -> Ranking:
    order = source.sample(shown, len(shown))
    return Ranking(
        submission=submission, tiers=[[each] for each in order], presented_order=shown,
        author=submission.annotator,
    )  # fmt: skip


def _entries(project: Project, made: list[Submission], rows: Rows, sums: Sums) -> None:
    entries = []
    for submission, (task, who, when) in zip(made, rows, strict=True):
        day = when.astimezone(UTC).date()
        entries.append(
            LedgerEntry(
                project=project, user=who, batch_id=task.batch_id, submission=submission, work="ranking",
                activity="submission", source=f"submission:{submission.pk}:1", day=day, timezone="UTC",
                seconds=90, claimed_seconds=90, pieces=1,
            )
        )  # fmt: skip
        sums[who.pk, task.batch_id, day] += 1
    LedgerEntry.objects.bulk_create(entries)


@benchmark("labeling.people_pages")
def people_pages(bench: Bench) -> list[Result]:
    """Server time of people, overview, hours and pay: 100,000 submissions of 200 people."""
    project = fill(*((QUICK_SUBMISSIONS, QUICK_PEOPLE) if bench.quick else (SUBMISSIONS, PEOPLE)))
    client = Client()
    client.force_login(User.objects.get(username="bench-people"))
    results = []
    for name, query in (
        ("people", ""), ("people", "?sort=acceptance_low"), ("people", "?sort=pace"), ("project_detail", ""),
        ("payroll", ""), ("my_time", ""),
    ):  # fmt: skip
        address = reverse(f"labeling:{name}", args=[project.slug]) + query
        results.append(Result(f"{name}{query}", _seconds(client, address) * 1000, "ms", bar=150))
    results.append(Result("an empty answer", _seconds(client, "/healthz") * 1000, "ms"))
    return results


def _seconds(client: Client, address: str) -> float:
    seconds = []
    for _ in range(PAGE_RUNS + 2):
        started = time.perf_counter()
        answer = client.get(address, headers={"host": "localhost"})
        seconds.append(time.perf_counter() - started)
        if answer.status_code != 200:  # noqa: PLR2004
            raise RuntimeError(f"{address} answered {answer.status_code}")
    return statistics.median(seconds[2:])
