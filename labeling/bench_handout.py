"""Benchmarks of the hand-out: 32 annotators at once over HTTP, and what a long backlog costs."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models import Count

from annotate.accounts.models import User
from annotate.accounts.services import create_api_token
from annotate.bench import Bench, Result, benchmark, settle_statistics
from annotate.environment import BASE_DIR
from labeling.models import (
    Assignment,
    Batch,
    Completion,
    CompletionOrigin,
    Membership,
    Project,
    Prompt,
    Role,
    Submission,
    Task,
    TaskCompletion,
    TaskKind,
)
from labeling.services import assignments
from labeling.services.projects import create_project
from labeling.simulation.site import wait_for

ANNOTATORS = 32
K = 4
WARM_UP_SECONDS, SECONDS = 5, 20
# Label Studio 1.23.2 with PostgreSQL, uwsgi and nginx on two such cores: loops a second with 32 annotators.
PEER_LOOPS = {10_000: 11.0, 100_000: 6.0}
BACKLOGS = (10_000, 100_000)
SHORT_BACKLOG, LONG_BACKLOG = 1_000, 1_000_000
CHUNK = 5_000


def make_people(project: Project, count: int) -> list[User]:
    people = [
        User(username=f"{project.slug}-{number}", email=f"{project.slug}-{number}@example.org")
        for number in range(count)
    ]
    people = User.objects.bulk_create(people)
    Membership.objects.bulk_create(
        Membership(project=project, user=person, role=Role.ANNOTATOR) for person in people
    )
    return people


def make_project(slug: str) -> Project:
    owner, _ = User.objects.get_or_create(
        username="bench-handout", defaults={"is_staff": True, "is_superuser": True}
    )
    return create_project(name=slug, slug=slug, acting_user=owner)


def add_backlog(project: Project, count: int, with_completions: int) -> None:
    """`count` ranking tasks with one slot each. The first `with_completions` can be worked on; those behind
    them, which nobody reaches in the time, only wait.
    """
    batch = Batch.objects.create(project=project, kind=TaskKind.RANKING, name=f"{count} tasks", overlap=1)
    words = "An answer of some words, as a small model gives it, that says a thing or two and then stops. "
    made = 0
    while made < count:
        size = min(CHUNK, count - made)
        with transaction.atomic():
            prompts = Prompt.objects.bulk_create(
                Prompt(
                    project=project,
                    messages=[{"role": "user", "content": f"Question {made + number}?"}],
                    digest=f"{project.slug}-{made + number}",
                    preview=f"Question {made + number}?",
                )
                for number in range(size)
            )
            tasks = Task.objects.bulk_create(
                Task(project=project, batch=batch, kind=TaskKind.RANKING, prompt=prompt, overlap=1)
                for prompt in prompts
            )
            Assignment.objects.bulk_create(
                Assignment(task=task, slot=1, project=project, batch=batch, kind=TaskKind.RANKING)
                for task in tasks
            )
            real = tasks[: max(0, with_completions - made)]
            completions = Completion.objects.bulk_create(
                Completion(
                    project=project,
                    prompt_id=task.prompt_id,
                    text=f"{words * 3}{letter}",
                    origin=CompletionOrigin.IMPORTED,
                )
                for task in real
                for letter in "abcd"[:K]
            )
            TaskCompletion.objects.bulk_create(
                TaskCompletion(task=real[index // K], completion=each, position=index % K)
                for index, each in enumerate(completions)
            )
        made += size
    settle_statistics()


@contextlib.contextmanager
def production_site(bench: Bench) -> Iterator[str]:
    """The site as docs/operating.md starts it on a server: two uvicorn processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    site = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "annotate.asgi:application", "--port", str(port),
               "--workers", "2", "--lifespan", "off", "--no-access-log",
               "--log-level", "warning"]  # fmt: skip
    environment = {**os.environ, "ALLOWED_HOSTS": "127.0.0.1", "LOG_LEVEL": "WARNING"}
    process = subprocess.Popen(command, cwd=BASE_DIR, env=environment, stdin=subprocess.DEVNULL)
    try:
        wait_for(site, process)
        yield site
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def drive(
    site: str, project: Project, people: list[User], seconds: float, *, pause: float = 0
) -> dict[str, Any]:
    """All annotators in a closed loop, out of two client processes; their measurements together. `pause`:
    seconds that each thinks before submitting."""
    tokens = [create_api_token(user=person, name="bench")[1] for person in people]
    measure_from = time.monotonic() + WARM_UP_SECONDS
    processes = []
    for part in (tokens[::2], tokens[1::2]):
        order = {
            "site": site, "project": project.slug, "tokens": part,
            "measure_from": measure_from, "until": measure_from + seconds, "pause": pause,
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "labeling.bench_clients"],
            cwd=BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdin is not None  # noqa: S101 - a pipe was asked for
        process.stdin.write(json.dumps(order))
        process.stdin.close()
        processes.append(process)
    total: dict[str, Any] = {"next": [], "submit": [], "loops": 0, "errors": []}
    for process in processes:
        assert process.stdout is not None  # noqa: S101
        answer = json.loads(process.stdout.read())
        process.wait()
        for name in total:
            total[name] += answer[name]
    return total


def _over_assigned(project: Project) -> int:
    """Tasks with more live slots or submissions than their overlap, and people with a task twice."""
    too_many = (
        project.tasks.annotate(
            judged=Count("submissions__annotator", distinct=True), slots=Count("assignments", distinct=True)
        )
        .filter(judged__gt=1)
        .count()
    )
    twice = (
        Submission.objects.filter(project=project)
        .values("task", "annotator")
        .annotate(times=Count("pk"))
        .filter(times__gt=1)
        .count()
    )
    return too_many + twice


def percentile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=100)[round(share * 100) - 1] if len(values) > 1 else float("nan")


@benchmark("labeling.handout_loop")
def handout_loop(bench: Bench) -> list[Result]:
    """32 annotators, one account each, in a closed loop of next task and submitted ranking, over HTTP."""
    results = []
    for backlog in (2_000,) if bench.quick else BACKLOGS:
        project = make_project(f"loop-{backlog}")
        bench.say(f"  making {backlog:,} waiting tasks")
        add_backlog(project, backlog, with_completions=min(backlog, 10_000))
        people = make_people(project, 4 if bench.quick else ANNOTATORS)
        with production_site(bench) as site:
            total = drive(site, project, people, 3 if bench.quick else SECONDS)
        seconds = 3 if bench.quick else SECONDS
        if total["errors"]:
            bench.say(f"  {total['errors'][:3]}")
        loops = total["loops"] / seconds
        name = f"{backlog:,} waiting"
        bar = None if bench.quick else PEER_LOOPS[backlog] * 10
        results += [
            Result(f"{name}: loops", loops, "1/s", bar=bar, better="higher"),
            Result(f"{name}: errors", len(total["errors"]), "", bar=0),
            Result(f"{name}: over-assigned tasks", _over_assigned(project), "", bar=0),
        ]
        for request in ("next", "submit"):
            for share in (0.5, 0.95, 0.99):
                value = percentile(total[request], share)
                limit = 150 if share == 0.95 and not bench.quick else None  # noqa: PLR2004
                results.append(Result(f"{name}: {request} p{share * 100:.0f}", value, "ms", bar=limit))
    return results


@benchmark("labeling.handout_backlog")
def handout_backlog(bench: Bench) -> list[Result]:
    """Handing out one task with 1,000,000 waiting, against 1,000 waiting (medians, in one process)."""
    long = 20_000 if bench.quick else LONG_BACKLOG
    medians = {}
    for backlog in (SHORT_BACKLOG, long):
        project = make_project(f"backlog-{backlog}")
        bench.say(f"  making {backlog:,} waiting tasks")
        add_backlog(project, backlog, with_completions=500)
        medians[backlog] = _median_claim(project)
    return [
        Result(f"hand-out, {SHORT_BACKLOG:,} waiting", medians[SHORT_BACKLOG] * 1000, "ms"),
        Result(f"hand-out, {long:,} waiting", medians[long] * 1000, "ms"),
        Result("ratio", medians[long] / medians[SHORT_BACKLOG], "×", bar=1.3),
    ]


def _median_claim(project: Project) -> float:
    """Median seconds of claim_next over 200 people, each of whom gets the next free task."""
    people = make_people(project, 220)
    seconds = []
    for person in people:
        started = time.perf_counter()
        claimed = assignments.claim_next(user=person, project=project, kind=TaskKind.RANKING)
        seconds.append(time.perf_counter() - started)
        if claimed is None:
            raise RuntimeError("Nothing was handed out.")
    return statistics.median(seconds[20:])
