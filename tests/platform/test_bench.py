"""Benchmarks run on a scratch site, and a missed bar fails the command."""

from __future__ import annotations

import json

import pytest

from annotate.bench import Bench, Registry, Result, as_table, run, write_json


@pytest.mark.parametrize(
    ("value", "bar", "better", "holds"),
    [(1, 2, "lower", True), (3, 2, "lower", False), (3, 2, "higher", True), (1, 2, "higher", False),
     (1, None, "lower", None)],
)  # fmt: skip
def test_a_bar_is_kept_from_the_right_side(value, bar, better, holds):
    assert Result("x", value, "s", bar=bar, better=better).holds is holds


def test_a_word_that_finds_no_benchmark_is_refused():
    with pytest.raises(KeyError):
        Registry({"labeling.import": lambda bench: []}).chosen(["trainning"])


def test_words_choose_by_part_of_the_name():
    registry = Registry({"labeling.import": len, "training.sft": len})
    assert list(registry.chosen(["train"])) == ["training.sft"]


def test_a_benchmark_that_breaks_is_not_passed_over(tmp_path):
    def broken(bench):
        raise RuntimeError("no number")

    with pytest.raises(RuntimeError):
        run({"x.broken": broken}, Bench(tmp_path, say=lambda line: None))


def test_results_are_written_and_shown(tmp_path):
    functions = {"x.slow": lambda bench: [Result("seconds", 3.0, "s", bar=2, note="2.5 to 3.5")]}
    rows = run(functions, Bench(tmp_path, say=lambda line: None))
    write_json(tmp_path / "bench", {"time": "2026-01-01T00:00:00"}, rows)
    stored = json.loads((tmp_path / "bench" / "latest.json").read_text())
    assert stored["results"][0]["holds"] is False
    assert as_table(rows).splitlines()[1].split()[-4:] == ["MISSED", "2.5", "to", "3.5"]
