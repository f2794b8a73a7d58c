"""Benchmarks of datasets: files in, versions frozen, files out, near duplicates; people working meanwhile.

Speeds are shares of the plainest code that moves the same rows in the same run (bench_datasets_plain), so
that they hold on a busy machine too.
"""

from __future__ import annotations

import json
import random
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from annotate.bench import Bench, Result, benchmark, settle_statistics
from labeling import bench_datasets_plain as plain
from labeling.bench import _project
from labeling.formats import SPLITS
from labeling.models import DatasetKind, DatasetVersion, ImportRecord, ImportStatus, Project
from labeling.preparation.near import NearIndex
from labeling.services import datasets, imports

ROWS, QUICK_ROWS = 1_000_000, 2_000
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
    project = _project(slug)
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
        Result("growth after the first tenth", memory.growth, "MiB", bar=60),
    ]


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
    project = _project("bench-comparisons")
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


@benchmark("datasets.4_near_duplicates")
def near_duplicates(bench: Bench) -> list[Result]:
    """Near-duplicate groups among 100,000 texts, a tenth of them nearly one that is there."""
    count = QUICK_NEAR_TEXTS if bench.quick else NEAR_TEXTS
    texts = list(_texts(count))
    memory = Memory()
    started = time.perf_counter()
    with NearIndex() as index:
        for text in texts:
            index.add(text)
        groups = index.groups()
    seconds = time.perf_counter() - started
    memory.look(1, 1)
    return [
        Result("seconds", seconds, "s", bar=120),
        Result("groups", len(groups), ""),
        Result("growth of memory", memory.growth, "MiB", bar=200),
    ]
