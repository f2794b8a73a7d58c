"""Benchmarks of datasets: files in, versions frozen, files out, near duplicates; people working meanwhile.

Speeds are shares of the plainest code that moves the same rows in the same run (bench_datasets_plain), so
that they hold on a busy machine too.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from django.db import connection

from annotate.bench import Bench, Result, benchmark, settle_statistics
from annotate.environment import BASE_DIR
from annotate.prepared.loads import CACHE_KIB
from labeling import bench_datasets_plain as plain
from labeling.bench import bench_project
from labeling.bench_handout import (
    ANNOTATORS,
    add_backlog,
    drive,
    make_people,
    percentile,
    production_site,
)
from labeling.formats import SPLITS
from labeling.models import (
    DatasetKind,
    DatasetVersion,
    ImportRecord,
    ImportStatus,
    Project,
    Ranking,
)
from labeling.preparation import Options, Unit
from labeling.preparation.duplicates import NearDuplicates
from labeling.services import datasets, imports
from labeling.services.recipes import Recipe
from labeling.services.selection_counts import preview_counts

ROWS, QUICK_ROWS = 1_000_000, 2_000
PAUSE = 4.0  # seconds that a person reads and thinks before each submission
# Freezes and exports again and again, so that something of both is going on all the time.
FREEZE_UNTIL_STOPPED = """
from collections import deque
from labeling.models import Project
from labeling.services import datasets
project = Project.objects.get(pk={project})
dataset = datasets.create_dataset(project=project, kind="comparison", name="beside", acting_user=None)
while True:
    version = datasets.freeze_dataset(dataset=dataset, acting_user=None, in_background=False)
    deque(datasets.export_version(version=version, format="preference"), maxlen=0)
"""
NEAR_TEXTS, QUICK_NEAR_TEXTS = 100_000, 2_000
PAGE_BYTES = resource.getpagesize()
WORDS = [
    "answer", "question", "of", "the", "a", "short", "long", "fjord", "river", "why", "how", "mountain",
    "water", "cold", "north", "because", "people", "old", "when", "said", "many", "small", "house", "light",
    "never", "always", "stone", "wind", "begin", "end", "other", "little",
]  # fmt: skip


class Memory:
    """Resident memory of this process while something runs: `look` as often as there is an occasion."""

    def __init__(self) -> None:
        self.early = self.peak = self._now()
        self.looks = 0

    @staticmethod
    def _now() -> float:
        """MiB."""
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / 2**20

    def look(self, done: int, total: int) -> None:
        now = self._now()
        self.peak = max(self.peak, now)
        if done <= total / 10:
            self.early = max(self.early, now)

    @property
    def growth(self) -> float:
        """How much more than in the first tenth of the rows."""
        return self.peak - self.early


def _sentence(source: random.Random, least: int, most: int) -> str:
    return " ".join(source.choices(WORDS, k=source.randint(least, most)))


def _comparison_file(folder: Path, rows: int) -> Path:
    """Pairs of answers to different prompts, about 420 bytes a line; the same every time."""
    path = folder / f"comparisons-{rows}.jsonl"
    source = random.Random(1)  # noqa: S311 - made-up text
    with path.open("w") as file:
        for number in range(rows):
            row = {
                "prompt": f"{number}: {_sentence(source, 8, 30)}",
                "chosen": f"{_sentence(source, 8, 40)} a",
                "rejected": f"{_sentence(source, 8, 40)} b",
                "category": "abcd"[number % 4],
            }
            file.write(json.dumps(row) + "\n")
    return path


def _prompt_file(folder: Path, rows: int) -> Path:
    path = folder / f"prompts-{rows}.jsonl"
    source = random.Random(2)  # noqa: S311 - made-up text
    with path.open("w") as file:
        for number in range(rows):
            row = {"prompt": f"{number}: {_sentence(source, 8, 60)}", "category": "abcd"[number % 4]}
            file.write(json.dumps(row) + "\n")
    return path


def _imported(path: Path, kind: str, slug: str, rows: int) -> tuple[ImportRecord, float, Memory]:
    """Bring the file in; (its record, seconds, memory). From the confirmation on: the upload is not in it."""
    project = bench_project(slug)
    with path.open("rb") as file:
        record = imports.upload_file(
            project=project, kind=kind, file=file, filename=path.name, acting_user=project.created_by
        )
    path.unlink()
    imports.confirm_import(import_record=record, acting_user=project.created_by)
    memory = Memory()

    def tell(phase: str, done: int, total: int | None) -> None:
        memory.look(done if phase == "reading" else rows, rows)

    started = time.perf_counter()
    record = imports.run_import(import_record=record, progress=tell)
    seconds = time.perf_counter() - started
    if record.status != ImportStatus.SUCCEEDED or record.rows_added != rows:
        raise RuntimeError(f"The import stored {record.rows_added} of {rows} rows: {record.error}")
    return record, seconds, memory


def _import_results(bench: Bench, kind: str, make: Callable[[Path, int], Path], slug: str) -> list[Result]:
    rows = bench.rows or (QUICK_ROWS if bench.quick else ROWS)
    record, seconds, memory = _imported(make(bench.folder, rows), kind, slug, rows)
    bench.say(f"  {rows:,} in after {seconds:.1f} s; now the same by the database's own means")
    reference = plain.bulk_load_seconds(record)
    return [
        Result("rows", rows, ""),
        Result("seconds", seconds, "s"),
        Result("rows a second", rows / seconds, "1/s"),
        Result("share of the bulk load's speed", reference / seconds, "", bar=0.25, better="higher"),
        Result("peak memory of the process", memory.peak, "MiB", bar=400),
        Result("growth after the first tenth", memory.growth, "MiB", bar=60 + _page_cache()),
    ]


def _page_cache() -> int:
    """MiB that SQLite may fill with pages while rows are stored, however many there are."""
    return CACHE_KIB // 1024 if connection.vendor == "sqlite" else 0


@benchmark("datasets.1_import_prompts")
def import_prompts(bench: Bench) -> list[Result]:
    """1,000,000 prompts from JSON lines, against the database's own bulk load of the rows it stored."""
    return _import_results(bench, "prompts", _prompt_file, "bench-prompts")


@benchmark("datasets.2_import_comparisons")
def import_comparisons(bench: Bench) -> list[Result]:
    """1,000,000 pairs from JSON lines (a prompt, two completions, a judgment, a ranking each), likewise."""
    return _import_results(bench, "comparisons", _comparison_file, "bench-comparisons")


def _comparisons(bench: Bench) -> tuple[Project, int]:
    """The project with the comparisons of this run; brought in where no benchmark has done so."""
    rows = bench.rows or (QUICK_ROWS if bench.quick else ROWS)
    project = bench_project("bench-comparisons")
    if not project.submissions.exists():
        _imported(_comparison_file(bench.folder, rows), "comparisons", "bench-comparisons", rows)
    settle_statistics()
    return project, rows


def _frozen(project: Project, name: str) -> DatasetVersion:
    dataset = datasets.create_dataset(
        project=project, kind=DatasetKind.COMPARISON, name=name, acting_user=project.created_by
    )
    return datasets.freeze_dataset(dataset=dataset, acting_user=project.created_by, in_background=False)


@benchmark("datasets.3_freeze_and_export")
def freeze_and_export(bench: Bench) -> list[Result]:
    """1,000,000 comparisons frozen, then exported as pairs, each against a plain loop with orjson."""
    project, rows = _comparisons(bench)
    memory = Memory()
    started = time.perf_counter()
    version = _frozen(project, "Frozen")
    freezing = time.perf_counter() - started
    memory.look(rows, rows)
    reading = plain.freeze_seconds(project, bench.folder / "plain.jsonl")
    exporting, export_memory = _exported(version, "preference", bench.folder / "export.jsonl")
    paths = [datasets.split_path(version=version, split=split) for split in SPLITS]
    plain_export = plain.export_seconds(paths, bench.folder / "plain-export.jsonl")
    return [
        Result("freezing, seconds", freezing, "s"),
        Result("freezing, share of the plain loop's speed", reading / freezing, "", 0.6, "higher"),
        Result("freezing, growth of memory", memory.growth, "MiB", bar=100),
        Result("exporting, seconds", exporting, "s"),
        Result("exporting, share of the plain loop's speed", plain_export / exporting, "", 0.6, "higher"),
        Result("exporting, growth of memory", export_memory.growth, "MiB", bar=20),
        Result(
            "both together, share of the plain loops' speed",
            (reading + plain_export) / (freezing + exporting), "", 0.6, "higher",
        ),
    ]  # fmt: skip


def _exported(version: DatasetVersion, format: str, path: Path) -> tuple[float, Memory]:
    memory = Memory()
    started = time.perf_counter()
    with path.open("wb") as file:
        for piece in datasets.export_version(version=version, format=format):
            file.write(piece)
            memory.look(1, 1)
    return time.perf_counter() - started, memory


def _texts(count: int) -> Iterator[str]:
    """Texts of 20 to 120 words, a tenth of them a few words changed of one before."""
    source = random.Random(3)  # noqa: S311 - made-up text
    vocabulary = [f"{word}{number}" for word in WORDS for number in range(300)]
    last: list[str] = []
    for number in range(count):
        if number % 10 == 9:  # noqa: PLR2004
            text = [*last]
            text[source.randrange(len(text))] = source.choice(vocabulary)
        else:
            text = last = source.choices(vocabulary, k=source.randint(20, 120))
        yield " ".join(text)


@benchmark("datasets.3_selection")
def counted_by_reason(bench: Bench) -> list[Result]:
    """1,000,000 comparisons counted for the form of a recipe that restricts them in nine ways, all of which
    each row meets, against one plain count of the same rows."""
    project, rows = _comparisons(bench)
    record = project.imports.latest("pk")
    recipe = Recipe(
        imports=(record.pk,),
        exclude_imports=(record.pk + 1,),
        categories=tuple("abcd"),
        submitted_from="2020-01-01",
        submitted_until="2120-01-01",
        exclude_guideline_versions=(0,),
        exclude_annotators=("nobody",),
        decisions=("accepted",),
    )
    started = time.perf_counter()
    plain_rows = Ranking.objects.filter(submission__project=project, submission__status="accepted").count()
    counting = time.perf_counter() - started
    started = time.perf_counter()
    counts = preview_counts(project, DatasetKind.COMPARISON, recipe)
    seconds = time.perf_counter() - started
    if not counts["rows"] == plain_rows == rows:
        raise RuntimeError(f"{counts['rows']} rows were counted, {plain_rows} plainly, of {rows}.")
    return [
        Result("counted by reason, seconds", seconds, "s"),
        Result("counted by reason, times a plain count", seconds / counting, "×"),
    ]


@benchmark("datasets.4_near_duplicates")
def near_duplicates(bench: Bench) -> list[Result]:
    """The near-duplicate report on 100,000 texts, a tenth of them nearly one that is there."""
    count = QUICK_NEAR_TEXTS if bench.quick else NEAR_TEXTS
    units = [Unit(number, ({"role": "user", "content": text},)) for number, text in enumerate(_texts(count))]
    memory = Memory()
    look = NearDuplicates(Options(count_tokens=len))
    started = time.perf_counter()
    try:
        for index, unit in enumerate(units):
            look.see(index, unit)
        [finding] = look.findings()
    finally:
        look.close()
    seconds = time.perf_counter() - started
    memory.look(1, 1)
    return [
        Result("seconds", seconds, "s", bar=120),
        Result("texts found that nearly repeat another", finding.count, "", count / 12, "higher"),
        Result("growth of memory", memory.growth, "MiB", bar=200),
    ]


@benchmark("datasets.5_people_meanwhile")
def people_meanwhile(bench: Bench) -> list[Result]:
    """32 annotators at work over HTTP, alone and while comparisons are frozen and exported beside them."""
    project, _rows = _comparisons(bench)
    seconds = 4 if bench.quick else 40
    room = bench_project("people-meanwhile")
    add_backlog(room, 2_000 if bench.quick else 20_000, with_completions=2_000 if bench.quick else 20_000)
    people = make_people(room, 4 if bench.quick else ANNOTATORS)
    with production_site(bench) as site:
        pause = 1.0 if bench.quick else PAUSE
        alone = drive(site, room, people, seconds, pause=pause)
        freezing = subprocess.Popen(
            [sys.executable, "manage.py", "shell", "-c", FREEZE_UNTIL_STOPPED.format(project=project.pk)],
            cwd=BASE_DIR,
        )
        try:
            beside = drive(site, room, people, seconds, pause=pause)
            if freezing.poll() is not None:
                raise RuntimeError("Nothing was frozen beside the people.")
        finally:
            freezing.terminate()
            freezing.wait()
    results = [Result("errors", len(alone["errors"]) + len(beside["errors"]), "", bar=0)]
    for request in ("next", "submit"):
        before, after = percentile(alone[request], 0.95), percentile(beside[request], 0.95)
        results += [
            Result(f"{request} p95 alone", before, "ms"),
            Result(f"{request} p95 beside a freeze and an export", after, "ms"),
            Result(f"{request} p95, times that alone", after / before, "×", bar=2),
        ]
    return results
