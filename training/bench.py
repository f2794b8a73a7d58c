"""Benchmarks of training: our way against a plain reference, by turns in one process, at two sizes.

Rows are real text where `BENCH_TEXT` names files of questions and answers (JSON array or JSON lines, .gz
too; several as `a.json:b.json`), else made-up words of lengths as uneven. The process has one thread and
counts its own time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from annotate.bench import Bench, Result, benchmark
from annotate.environment import BASE_DIR

SHAPES, REPEATS = ("2x128", "6x384"), 3
APART = 3.0  # standard errors of the difference: equal, as far as the episodes of one step can tell


def measure(bench: Bench, name: str) -> list[dict]:
    """The rows that `python -m training.rlhf.bench` prints, for each shape; torch stays out of the site."""
    rows = []
    for shape in SHAPES[:1] if bench.quick else SHAPES:
        command = [sys.executable, "-m", "training.rlhf.bench", name, "--shape", shape]
        command += ["--text", os.environ.get("BENCH_TEXT", "")]
        command += ["--quick", "--repeats", "1"] if bench.quick else ["--repeats", str(REPEATS)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        found = subprocess.run(
            command, cwd=BASE_DIR, env=environment, check=True, capture_output=True, text=True
        )
        rows += [json.loads(line) for line in found.stdout.splitlines() if line.startswith("{")]
    return rows


def _results(rows: list[dict], what: str, bars: dict[str, float], equal: float | None = None) -> list[Result]:
    """Speed, ratio against the bar of its case, and how far apart the two losses are."""
    results = []
    for row in rows:
        label = f"{row['shape']}, {row['case']}"
        results.append(Result(f"{what} a second, {label}", row[f"{what}_per_second"], "1/s"))
        results.append(
            Result(f"times the reference, {label}", row["times"], "×", bar=bars[row["case"]], better="higher")
        )
        if equal is not None:
            results.append(Result(f"losses apart, {label}", row["loss_difference"], "", bar=equal))
    return results


@benchmark("training.sft")
def sft(bench: Bench) -> list[Result]:
    """SFT by packing, against padded batches with all logits; rows of uneven and of even length."""
    return _results(measure(bench, "sft"), "tokens", {"uneven": 1.9, "even": 1.0}, equal=1e-5)


@benchmark("training.reward")
def reward(bench: Bench) -> list[Result]:
    """Rankings of 4 and 9 completions, each encoded once and the prompt once, against expanded pairs."""
    return _results(measure(bench, "reward"), "rankings", {"K=4": 2.7, "K=9": 7.0}, equal=1e-5)


@benchmark("training.ppo")
def ppo(bench: Bench) -> list[Result]:
    """Episodes of PPO on prompts of uneven length, against a loop that pads everything to the longest."""
    rows = measure(bench, "ppo")
    results = _results(rows, "episodes", {"64 episodes": 3.0})
    for row in rows:
        shape = row["shape"]
        results += [
            Result(f"{text}, {shape}", row[name], unit, bar=bar)
            for name, text, unit, bar in (
                ("mean_prompt", "prompts, mean", "tokens", None),
                ("longest_prompt", "prompts, longest of a step", "tokens", None),
                ("response", "responses, mean", "tokens", None),
                ("reference_response", "reference: responses, mean", "tokens", None),
                ("share_generation", "share of generation", "", None),
                ("share_scoring", "share of scoring", "", None),
                ("share_update", "share of update", "", None),
                ("score_last", "score at the last step", "", None),
                ("reference_score_last", "reference: score at the last step", "", None),
                ("score_apart", "scores apart", "standard errors", APART),
                ("kl_last", "KL at the last step", "nats", None),
                ("reference_kl_last", "reference: KL at the last step", "nats", None),
                ("kl_apart", "KL apart", "standard errors", APART),
            )
        ]
    return results


@benchmark("training.sample")
def sample(bench: Bench) -> list[Result]:
    """Eight completions of each prompt, against `generate` prompt by prompt."""
    return _results(measure(bench, "sample"), "completions", {"K=8": 2.0})
