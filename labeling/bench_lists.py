"""Benchmark of the list pages: each list of a project with 100,000 submissions, in every order, filter and
search, its first and its last page and the beginning of its CSV, held against 150 ms of server time.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotate.accounts.models import User
from annotate.bench import Bench, Result, benchmark
from labeling import bench_lists_site
from labeling.listing import Listing
from labeling.models import Project

SUBMISSIONS, QUICK_SUBMISSIONS = 100_000, 2_000
BAR = 150  # ms of server time
RUNS = 3  # of each page, after one that is not counted; the least counts, as others only add to it
SEARCHES = ("fjord river", "no such words", "Why 003")  # many, none, a person
CSV_PIECES = 2  # the heading, and the first rows
PROJECT_PAGES = (
    "project_detail", "review_queue", "appeals", "comment_threads", "submissions", "quality_items", "people",
    "history", "prompts", "batches", "tasks_skipped", "gold", "datasets", "imports", "audit", "payroll",
    "my_time", "quality", "work",
)  # fmt: skip
SITE_PAGES = ("project_list", "notifications")
REASONS = ("sampled", "model_disagrees", "gold_unscored")  # of the review queue


@dataclass(frozen=True)
class Measured:
    """One page: milliseconds of processor and of the clock, and statements."""

    page: str
    cpu: float
    wall: float
    queries: int


@benchmark("labeling.lists")
def lists(bench: Bench) -> list[Result]:
    """Server time and queries of every list page, worst first: 100,000 submissions of 200 people."""
    started = time.perf_counter()
    project = bench_lists_site.fill(QUICK_SUBMISSIONS if bench.quick else SUBMISSIONS)
    bench.say(f"filled in {time.perf_counter() - started:.0f} s")
    return [
        Result(f"{each.page} ({each.queries} queries, {each.wall:.0f} ms by the clock)", each.cpu, "ms", BAR)
        for each in sorted(measure(project), key=lambda each: -each.cpu)
    ]


def measure(project: Project) -> list[Measured]:
    """Every page in every form."""
    client = Client()
    client.force_login(User.objects.get(username=bench_lists_site.OWNER))
    found = []
    for address in _addresses(project):
        for each in [address, *_forms(client, address)]:
            found.append(_measured(client, each))
    return found


# --- Which pages --------------------------------------------------------------------------------------------
def _addresses(project: Project) -> Iterator[str]:
    for name in PROJECT_PAGES:
        yield reverse(f"labeling:{name}", args=[project.slug])
    for reason in REASONS:
        yield reverse("labeling:review_queue", args=[project.slug]) + f"?reason={reason}"
    yield reverse("labeling:batch_detail", args=[project.slug, project.batches.earliest("pk").pk])
    member = project.memberships.filter(user__skips__isnull=False).earliest("pk")
    for name in ("person", "person_skips", "person_time"):
        yield reverse(f"labeling:{name}", args=[project.slug, member.pk])
    yield reverse("labeling:webhook", args=[project.slug, project.webhooks.get().pk])
    for name in SITE_PAGES:
        yield reverse(f"labeling:{name}")


def _forms(client: Client, address: str) -> Iterator[str]:
    """The forms in which the list of a page can be asked for; none of a page without a list."""
    with listings_made() as seen:
        _get(client, address)
    if not seen:
        return
    listing = seen[-1]
    last = listing.page.paginator.num_pages
    for sort in listing.sorts:
        for page in (None, last) if last > 1 else (None,):
            yield _with(address, listing.query_string(sort=sort, page=page))
    for each in listing.filters:
        for value in _some([value for value, _ in each.choices if value]):
            if not each.is_hidden:
                yield _with(address, listing.query_string(**{each.name: value}))
        if each.is_date:
            yield _with(address, listing.query_string(**{each.name: "2026-01-01"}))
    for text in SEARCHES if listing.is_searchable else ():
        yield _with(address, listing.query_string(q=text))
    if listing.views is not None:
        yield _with(address, listing.csv_query)


def _some(values: list[str]) -> list[str]:
    """All of a few; the ends and the middle of many."""
    return values if len(values) <= 6 else [values[0], values[len(values) // 2], values[-1]]  # noqa: PLR2004


def _with(address: str, query: str) -> str:
    path, _, old = address.partition("?")
    return f"{path}{query}&{old}" if old else f"{path}{query}"


@contextlib.contextmanager
def listings_made() -> Iterator[list[Listing]]:
    """The lists that pages make meanwhile."""
    seen: list[Listing] = []
    make = Listing.__post_init__

    def remember(listing: Listing) -> None:
        make(listing)
        seen.append(listing)

    with mock.patch.object(Listing, "__post_init__", remember):
        yield seen


# --- What they cost -----------------------------------------------------------------------------------------
def _measured(client: Client, address: str) -> Measured:
    with CaptureQueriesContext(connection) as queries:
        _get(client, address)
        count = len(queries)  # the log is emptied by the next request
    runs = []
    for _ in range(RUNS):
        clock, cpu = time.perf_counter(), _cpu_seconds()
        _get(client, address)
        runs.append((1000 * (_cpu_seconds() - cpu), 1000 * (time.perf_counter() - clock)))
    return Measured(address, min(cpu for cpu, _ in runs), min(wall for _, wall in runs), count)


def _get(client: Client, address: str) -> Any:
    answer: Any = client.get(address, headers={"host": "localhost"})
    if answer.status_code != 200:  # noqa: PLR2004
        raise RuntimeError(f"{address} answered {answer.status_code}")
    if answer.streaming:
        pieces: Any = answer
        return b"".join(itertools.islice(pieces.streaming_content, CSV_PIECES))
    return answer.content


def _cpu_seconds() -> float:
    """Of this process, which is SQLite's too, or with that of the PostgreSQL server process behind the
    connection; where that one's cannot be read (another machine), the clock's.
    """
    if connection.vendor != "postgresql":
        return time.process_time()
    schedule = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat")
    if not schedule.exists():
        return time.perf_counter()
    return time.process_time() + int(schedule.read_text().split()[0]) / 1e9
