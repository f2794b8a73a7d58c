"""Benchmarks of labeling: imports, exports, pages. Each beside the plainest code that does the same."""

from __future__ import annotations

import json
import random
import resource
import statistics
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from annotate.accounts.models import User
from annotate.bench import Bench, Result, benchmark
from labeling.formats import SPLITS
from labeling.models import DatasetKind, ImportStatus, Project, Prompt
from labeling.services import datasets, imports
from labeling.services.projects import create_project

ROWS, QUICK_ROWS = 100_000, 2_000
PAGES = (
    "project_detail", "work", "history", "guidelines", "review_queue", "prompts", "batches",
    "imports", "people", "datasets", "project_settings",
)  # fmt: skip
PAGE_RUNS = 15


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _timed(function: Callable) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _project(slug: str = "bench") -> Project:
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


def _bring_in(bench: Bench, slug: str = "bench") -> float:
    """Import the prompts; seconds. 0 where an earlier benchmark of this run did so already."""
    rows = QUICK_ROWS if bench.quick else ROWS
    project = _project(slug)
    if project.prompts.count() >= rows:
        return 0.0
    with _prompt_file(bench.folder, rows).open("rb") as file:
        record = imports.upload_file(
            project=project, kind="prompts", file=file, filename="p.jsonl", acting_user=project.created_by
        )
    imports.confirm_import(import_record=record, acting_user=project.created_by)
    started = time.perf_counter()
    record = imports.run_import(import_record=record)
    seconds = time.perf_counter() - started
    if record.status != ImportStatus.SUCCEEDED or record.rows_added != rows:
        raise RuntimeError(f"The import stored {record.rows_added} of {rows} rows: {record.error}")
    return seconds


def _plain_insert_seconds(project: Project) -> float:
    """The stored prompts again through one `executemany` in one transaction, into a table without keys."""
    columns = ", ".join(str(field.column) for field in Prompt._meta.concrete_fields)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM labeling_prompt WHERE project_id = %s", [project.pk])  # noqa: S608
        rows = [[_plain(value) for value in row] for row in cursor.fetchall()]
        cursor.execute(f"CREATE TEMPORARY TABLE plain AS SELECT {columns} FROM labeling_prompt WHERE 1 = 0")  # noqa: S608
        marks = ", ".join(["%s"] * len(rows[0]))
        seconds = _timed(lambda: cursor.executemany(f"INSERT INTO plain VALUES ({marks})", rows))  # noqa: S608
        cursor.execute("DROP TABLE plain")
    return seconds


def _plain(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else value


@benchmark("labeling.import_prompts")
def import_prompts(bench: Bench) -> list[Result]:
    """100,000 prompts from JSON lines: read, checked, hashed, stored; against a bare executemany."""
    seconds = _bring_in(bench, slug="bench-import")
    peak = _peak_mib()
    return [
        Result("seconds", seconds, "s", bar=60),
        Result("peak memory of the process", peak, "MiB", bar=300),
        Result("times a bare executemany", seconds / _plain_insert_seconds(_project("bench-import")), "×"),
    ]


@benchmark("labeling.export_rows")
def export_rows(bench: Bench) -> list[Result]:
    """A version of 100,000 rows exported as a stream; against reading and writing its lines with orjson."""
    _bring_in(bench)
    project = _project()
    dataset = datasets.create_dataset(
        project=project, kind=DatasetKind.PROMPTS, name="Prompts", recipe=None, acting_user=project.created_by
    )
    version = datasets.freeze_dataset(dataset=dataset, acting_user=project.created_by, in_background=False)
    before = _peak_mib()
    seconds = _timed(lambda: deque(datasets.export_version(version=version, format="prompts"), maxlen=0))
    grown = _peak_mib() - before
    paths = [datasets.split_path(version=version, split=split) for split in SPLITS]
    plain = _timed(lambda: [deque(map(_line_again, path.open("rb")), maxlen=0) for path in paths])
    return [
        Result("seconds", seconds, "s"),
        Result("growth of peak memory", grown, "MiB", bar=20),
        Result("times a bare orjson loop", seconds / plain, "×"),
    ]


def _line_again(line: bytes) -> bytes:
    row = orjson.loads(line)
    return orjson.dumps({"messages": row["messages"]}) + b"\n"


@benchmark("labeling.pages")
def pages(bench: Bench) -> list[Result]:
    """Server time of the project's pages, 100,000 prompts in it; against an empty answer."""
    _bring_in(bench)
    project = _project()
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
