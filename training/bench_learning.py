"""Does it learn: the sample project's loop over five seeds, each from its own base model.

It takes minutes a seed, so the runs are kept beside the results (DATA_DIR/bench/learning), seed by seed and
run by run: stopped, it goes on where it was. A folder is named by what decides its runs (the recipe, the
sample project, the library), so that changed code never shows old ones; figures are made of them each time.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from pathlib import Path
from typing import Any

from annotate.bench import Bench, Result, benchmark
from annotate.environment import BASE_DIR
from training.learning_figures import figures
from training.learning_loop import Loop, Sizes

SEEDS = range(5)
SOURCES = ("labeling/sample_project", "training/rlhf", "training/learning_loop.py")
MOST_BEHIND, LEAST_WINS, LEAST_VARIED = 3.0, 0.70, 0.8
STUDENT = {5: 2.776}  # 97.5 % quantile of Student's t for the mean of so many seeds
QUICK = Sizes(
    pages=200,
    learning=24,
    choosing=6,
    held_out=10,
    judged=4,
    changes={"pretrain": {"epochs": 1}, "ppo": {"steps": 2, "evaluate_every": 1}},
)


@benchmark("training.learning")
def learning(bench: Bench) -> list[Result]:
    """Reward model against people, PPO against SFT, held out, over five seeds of the sample project."""
    sizes = QUICK if bench.quick else Sizes()
    folder = bench.kept / "learning" / _digest(sizes)
    found = [
        figures_of(folder / f"seed-{seed}", seed, sizes, bench) for seed in SEEDS[: 1 if bench.quick else 5]
    ]
    return results_of(found, has_bars=not bench.quick)


def figures_of(folder: Path, seed: int, sizes: Sizes, bench: Bench) -> dict[str, Any]:
    """The figures of one seed; its runs are made once."""
    found = figures(Loop(folder, seed, sizes, bench.say).run())
    path = folder / "figures.json"
    temporary = path.with_suffix(".writing")
    temporary.write_text(json.dumps(found, indent=2))
    temporary.replace(path)
    wins, agreed, right = (found[name] for name in ("blind_win_rate", "agreement_half", "accuracy_half"))
    bench.say(
        f"seed {seed}: people agree {agreed['value']:.1%}, reward model {right['value']:.1%}, PPO wins "
        f"{wins['value']:.1%} ({wins['low']:.1%} to {wins['high']:.1%}) at {found['kl']:.2f} nats"
    )
    return found


def results_of(found: list[dict[str, Any]], *, has_bars: bool = True) -> list[Result]:
    """The bars hold over the seeds together; each seed is listed beside them, with its own interval."""
    ratio = {
        name: [row["models"]["ppo"][name] / row["models"]["sft"][name] for row in found]
        for name in ("distinct_1", "distinct_2", "different", "words")
    }
    # Of all pairs that one person decides, those among them that another ties: no bar, since a person in the
    # model's place misses it too (`person_untied`), by more.
    decided = {
        name: [100 * (row["agreement_untied"]["value"] - row[name]["value"]) for row in found]
        for name in ("accuracy_untied", "person_untied")
    }

    def over_seeds(name: str, values: list[float], unit: str, **bar: Any) -> Result:
        bar = bar if has_bars else {}
        return Result(f"{name}, mean", _mean(values), unit, note=_over_seeds(values), **bar)

    most, least = {"bar": MOST_BEHIND}, {"bar": LEAST_VARIED, "better": "higher"}
    results = [
        over_seeds("reward model behind people, a tie half", _points(found, "behind_half"), "points", **most),
        over_seeds("the same, where neither person ties", _points(found, "behind_untied"), "points", **most),
        over_seeds("the same, pairs that one person decides", decided["accuracy_untied"], "points"),
        over_seeds("by that rule a person, a coin for ties", decided["person_untied"], "points"),
        over_seeds(
            "PPO wins against SFT, blind",
            [row["blind_win_rate"]["value"] for row in found],
            "",
            bar=LEAST_WINS,
            better="higher",
        ),
        over_seeds("KL of PPO to SFT", [row["kl"] for row in found], "nats"),
        over_seeds("distinct_1, PPO over SFT", ratio["distinct_1"], "×", **least),
        over_seeds("distinct_2, PPO over SFT", ratio["distinct_2"], "×", **least),
        over_seeds("different answers to a prompt, PPO over SFT", ratio["different"], "×"),
        over_seeds("words an answer, PPO over SFT", ratio["words"], "×"),
    ]
    for seed, row in enumerate(found):
        half, untied, win = row["behind_half"], row["behind_untied"], row["blind_win_rate"]
        results += [
            Result(f"seed {seed}: behind, a tie half", 100 * half["value"], "points", note=_note(half, 100)),
            Result(f"seed {seed}: behind, untied", 100 * untied["value"], "points", note=_note(untied, 100)),
            Result(f"seed {seed}: PPO wins", win["value"], "", note=_note(win)),
            Result(f"seed {seed}: PPO wins, low end", win["low"], ""),
            Result(f"seed {seed}: KL", row["kl"], "nats"),
        ]
    return results


def _points(found: list[dict[str, Any]], name: str) -> list[float]:
    return [100 * row[name]["value"] for row in found]


def _note(share: dict[str, Any], times: float = 1.0) -> str:
    """The 95 % interval of a share."""
    return f"{times * share['low']:.3g} to {times * share['high']:.3g}"


def _over_seeds(values: list[float]) -> str:
    """The 95 % interval of the mean over seeds, theirs and the held-out prompts' chance both in it."""
    if len(values) not in STUDENT:
        return ""
    half = STUDENT[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{_mean(values) - half:.3g} to {_mean(values) + half:.3g} over seeds"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _digest(sizes: Sizes) -> str:
    """Of the sizes and of every source file that the numbers follow from."""
    digest = hashlib.sha256(repr(sizes).encode())
    for source in SOURCES:
        path = BASE_DIR / source
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(file.relative_to(BASE_DIR).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:12]
