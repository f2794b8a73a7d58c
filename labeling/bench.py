"""Benchmarks of labeling: server time of its pages."""

from __future__ import annotations

import json
import random
import statistics
import time
from pathlib import Path

from django.test import Client
from django.urls import reverse

from annotate.accounts.models import User
from annotate.bench import Bench, Result, benchmark
from labeling.models import ImportStatus, Project
from labeling.services import imports
from labeling.services.projects import create_project

ROWS, QUICK_ROWS = 100_000, 2_000
PAGES = (
    "project_detail", "work", "history", "guidelines", "review_queue", "prompts", "batches",
    "imports", "people", "datasets", "project_settings",
)  # fmt: skip
PAGE_RUNS = 15


def bench_project(slug: str = "bench") -> Project:
    """A project of this scratch site, with an administrator; made once."""
    user = User.objects.filter(username="bench").first() or User.objects.create_user(
        username="bench", is_staff=True, is_superuser=True
    )
    found = Project.objects.filter(slug=slug).first()
    return found or create_project(name=slug, slug=slug, acting_user=user)


def _prompt_file(folder: Path, rows: int) -> Path:
    """Prompts of 8 to 60 words, about 190 bytes a line; the same every time."""
    path = folder / f"prompts-{rows}.jsonl"
    words = ["answer", "question", "of", "the", "a", "short", "long", "fjord", "river", "why", "how"]
    source = random.Random(1)  # noqa: S311 - made-up text
    with path.open("w") as file:
        for number in range(rows):
            text = f"{number}: " + " ".join(source.choices(words, k=source.randint(8, 60)))
            file.write(json.dumps({"prompt": text, "category": "abcd"[number % 4]}) + "\n")
    return path


def _bring_in(bench: Bench) -> None:
    """Import the prompts, where no benchmark of this run did so already."""
    rows = QUICK_ROWS if bench.quick else ROWS
    project = bench_project()
    if project.prompts.count() >= rows:
        return
    with _prompt_file(bench.folder, rows).open("rb") as file:
        record = imports.upload_file(
            project=project, kind="prompts", file=file, filename="p.jsonl", acting_user=project.created_by
        )
    imports.confirm_import(import_record=record, acting_user=project.created_by)
    record = imports.run_import(import_record=record)
    if record.status != ImportStatus.SUCCEEDED or record.rows_added != rows:
        raise RuntimeError(f"The import stored {record.rows_added} of {rows} rows: {record.error}")


@benchmark("labeling.pages")
def pages(bench: Bench) -> list[Result]:
    """Server time of the project's pages, 100,000 prompts in it; against an empty answer."""
    _bring_in(bench)
    project = bench_project()
    client = Client()
    client.force_login(User.objects.get(username="bench"))
    empty = _page_seconds(client, "/healthz")
    medians = {name: _page_seconds(client, _address(name, project)) for name in PAGES}
    slowest = max(medians, key=lambda name: medians[name])
    middle = statistics.median(medians.values())
    return [
        Result("median page", middle * 1000, "ms", bar=100),
        Result(f"slowest page ({slowest})", medians[slowest] * 1000, "ms"),
        Result("median page, times an empty answer", middle / empty, "×"),
    ]


def _address(name: str, project: Project) -> str:
    return reverse(f"labeling:{name}", args=[project.slug])


def _page_seconds(client: Client, address: str) -> float:
    """Median of PAGE_RUNS requests, the first two (templates are compiled) not counted."""
    seconds = []
    for _ in range(PAGE_RUNS + 2):
        started = time.perf_counter()
        answer = client.get(address, headers={"host": "localhost"})
        seconds.append(time.perf_counter() - started)
        if answer.status_code != 200:  # noqa: PLR2004
            raise RuntimeError(f"{address} answered {answer.status_code}")
    return statistics.median(seconds[2:])
