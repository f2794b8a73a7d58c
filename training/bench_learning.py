"""Does it learn: the sample project's loop over five seeds, each from its own base model.

It takes minutes a seed, so what is made is kept beside the results (DATA_DIR/bench/learning), seed by seed
and run by run: stopped, it goes on where it was. A folder is named by what decides its numbers (the recipe,
the sample project, the library), so that changed code never shows old figures.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from annotate.bench import Bench, Result, benchmark
from annotate.environment import BASE_DIR
from training.learning_figures import figures
from training.learning_loop import Loop, Sizes

SEEDS = range(5)
SOURCES = ("labeling/sample_project", "training/rlhf", "training/learning_loop.py")
MOST_BEHIND, LEAST_WINS, LEAST_VARIED = 3.0, 0.70, 0.8
QUICK = Sizes(
    pages=200,
    learning=24,
    choosing=6,
    held_out=10,
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
    """The figures of one seed; computed once."""
    path = folder / "figures.json"
    if not path.exists():
        found = figures(Loop(folder, seed, sizes, bench.say).run())
        temporary = path.with_suffix(".writing")
        temporary.write_text(json.dumps(found, indent=2))
        temporary.replace(path)
    found = json.loads(path.read_bytes())
    wins, agreed, right = (found[name] for name in ("blind_win_rate", "agreement_half", "accuracy_half"))
    bench.say(
        f"seed {seed}: people agree {agreed['value']:.1%}, reward model {right['value']:.1%}, PPO wins "
        f"{wins['value']:.1%} ({wins['low']:.1%} to {wins['high']:.1%}) at {found['kl']:.2f} nats"
    )
    return found


def results_of(found: list[dict[str, Any]], *, has_bars: bool = True) -> list[Result]:
    """The bars hold over the seeds together; each seed is listed beside them."""

    def bar(value: float) -> float | None:
        return value if has_bars else None

    behind = {
        rule: [100 * (row[f"agreement_{rule}"]["value"] - row[f"accuracy_{rule}"]["value"]) for row in found]
        for rule in ("half", "untied")
    }
    wins = [row["blind_win_rate"]["value"] for row in found]
    varied = {
        name: [row["models"]["ppo"][name] / row["models"]["sft"][name] for row in found]
        for name in ("distinct_1", "distinct_2", "different", "words")
    }
    results = [
        Result(
            "reward model behind people, a tie half, mean",
            _mean(behind["half"]),
            "points",
            bar=bar(MOST_BEHIND),
        ),
        Result("the same, pairs nobody tied, mean", _mean(behind["untied"]), "points", bar=bar(MOST_BEHIND)),
        Result("PPO wins against SFT, blind, mean", _mean(wins), "", bar=bar(LEAST_WINS), better="higher"),
        Result("KL of PPO to SFT, mean", _mean([row["kl"] for row in found]), "nats"),
    ]
    for name in ("distinct_1", "distinct_2"):
        results.append(
            Result(
                f"{name}, PPO over SFT, mean",
                _mean(varied[name]),
                "×",
                bar=bar(LEAST_VARIED),
                better="higher",
            )
        )
    results += [
        Result("different answers to a prompt, PPO over SFT, mean", _mean(varied["different"]), "×"),
        Result("words an answer, PPO over SFT, mean", _mean(varied["words"]), "×"),
    ]
    for seed, row in enumerate(found):
        win = row["blind_win_rate"]
        results += [
            Result(f"seed {seed}: behind people, a tie half", behind["half"][seed], "points"),
            Result(f"seed {seed}: behind people, untied", behind["untied"][seed], "points"),
            Result(f"seed {seed}: PPO wins", win["value"], "", note=f"{win['low']:.3f} to {win['high']:.3f}"),
            Result(f"seed {seed}: PPO wins, low end", win["low"], ""),
            Result(f"seed {seed}: KL", row["kl"], "nats"),
        ]
    return results


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
