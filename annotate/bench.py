"""Benchmarks: rooms register functions, `manage.py bench` runs them and holds their results against bars.

    from annotate.bench import Bench, Result, benchmark

    @benchmark("labeling.import_prompts")
    def import_prompts(bench: Bench) -> list[Result]:
        '''100,000 prompts from JSONL.'''
        ...
        return [Result("seconds", seconds, "s", bar=60, better="lower")]

They live in `labeling/bench.py` and `training/bench.py`, and always run on a scratch database in a scratch
folder. Prefer ratios against a plain reference measured in the same run: machines differ, ratios less so.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from django.db import connection

MODULES = (
    "annotate.bench_platform",
    "labeling.bench",
    "labeling.bench_datasets",
    "labeling.bench_handout",
    "labeling.bench_lists",
    "labeling.bench_people",
    "labeling.bench_quality",
    "training.bench",
    "training.bench_learning",
    "training.bench_memory",
)


@dataclass(frozen=True)
class Result:
    """One number. `bar` is what it has to keep: at most where lower is better, at least where higher is."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    better: Literal["lower", "higher"] = "lower"
    note: str = ""

    @property
    def holds(self) -> bool | None:
        if self.bar is None:
            return None
        return self.value <= self.bar if self.better == "lower" else self.value >= self.bar


@dataclass
class Bench:
    """What a benchmark is given: a folder to write to, whether to be quick, and a way to say how it goes.

    `results` outlasts the run: what takes long to make is kept there and found again.
    """

    folder: Path
    quick: bool = False
    rows: int = 0  # instead of the size a benchmark of many rows has
    say: Callable[[str], None] = print
    results: Path | None = None

    @property
    def kept(self) -> Path:
        return self.results or self.folder


Function = Callable[[Bench], Iterable[Result]]


@dataclass
class Registry:
    functions: dict[str, Function] = field(default_factory=dict)

    def load(self) -> None:
        for module in MODULES:
            if find_spec(module):
                import_module(module)

    def chosen(self, words: list[str]) -> dict[str, Function]:
        """Those whose name contains a word; all without words. KeyError for a word that finds none."""
        for word in words:
            if not any(word in name for name in self.functions):
                raise KeyError(word)
        return {
            name: function
            for name, function in sorted(self.functions.items())
            if not words or any(word in name for word in words)
        }


registry = Registry()


def benchmark(name: str) -> Callable[[Function], Function]:
    """Register a function under `room.what`; its docstring's first line is the description."""

    def register(function: Function) -> Function:
        if name in registry.functions:
            raise ValueError(f"There are two benchmarks called {name}.")
        registry.functions[name] = function
        return function

    return register


def settle_statistics() -> None:
    """What a site that has run for days has: autovacuum's statistics on PostgreSQL, none on SQLite."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def describe_machine() -> dict[str, str | int | float]:
    """What the numbers were measured on."""
    revision = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision.stdout.strip() or "unknown",
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count() or 0,
        "load": round(os.getloadavg()[0], 2),
    }


def run(functions: dict[str, Function], bench: Bench) -> list[dict]:
    """Run in order; a failing benchmark raises, because a missing number must not look like a passed one."""
    rows = []
    for name, function in functions.items():
        bench.say(f"{name} …")
        started = time.perf_counter()
        for result in function(bench):
            rows.append({"benchmark": name, **asdict(result), "holds": result.holds})
        bench.say(f"{name} took {time.perf_counter() - started:.1f} s")
    return rows


def write_json(folder: Path, machine: dict, rows: list[dict]) -> Path:
    """One file per run, and `latest.json` beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine, "results": rows}, indent=2) + "\n"
    path = folder / f"{machine['time'].replace(':', '')}.json"
    path.write_text(text)
    (folder / "latest.json").write_text(text)
    return path


def as_table(rows: list[dict]) -> str:
    """The results as aligned columns."""
    cells = [("benchmark", "what", "value", "unit", "bar", "", "")]
    for row in rows:
        sign = "≤" if row["better"] == "lower" else "≥"
        bar = "" if row["bar"] is None else f"{sign} {row['bar']:g}"
        verdict = {None: "", True: "holds", False: "MISSED"}[row["holds"]]
        value = f"{row['value']:,.4g}"
        cells.append((row["benchmark"], row["name"], value, row["unit"], bar, verdict, row["note"]))
    widths = [max(len(line[column]) for line in cells) for column in range(7)]
    return "\n".join(
        "  ".join(text.rjust(width) if column == 2 else text.ljust(width)
                  for column, (text, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in cells
    )  # fmt: skip
