"""What runs take in memory against what they said before they started."""

from __future__ import annotations

from annotate.bench import Bench, Result, benchmark
from training.bench import measure

MOST, LEAST = 1.25, 0.85  # the estimate over what was measured


@benchmark("training.memory")
def memory(bench: Bench) -> list[Result]:
    """Peak memory of SFT, reward and PPO runs, full and LoRA, against the estimate made before the start."""
    results = []
    for row in measure(bench, "memory"):
        label = f"{row['shape']}, {row['case']}"
        ratio = row["ratio"]
        results += [
            Result(f"measured, {label}", row["measured"] / 2**20, "MiB"),
            Result(f"estimated, {label}", row["estimated"] / 2**20, "MiB"),
            Result(f"estimate over measured, {label}", ratio, "×", bar=MOST),
            Result(f"the same, not below, {label}", ratio, "×", bar=LEAST, better="higher"),
        ]
    return results
