"""Which curves a run's page shows, and in which plot: pure selection from what the run has reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotate.words import _
from training.models import TrainingRun
from training.services.event_log import chart_data

Curves = dict[str, dict[int, float]]


@dataclass(frozen=True)
class Plot:
    key: str
    title: str
    metrics: tuple[tuple[str, str], ...]  # (metric, label)
    y_format: str = "number"


PLOTS = (
    Plot("loss", "Loss", (("train_loss", "train"), ("validation_loss", "validation"))),
    Plot(
        "accuracy",
        "Accuracy",
        (
            ("train_accuracy", "train"),
            ("validation_accuracy", "validation"),
        ),
        "percent",
    ),
    Plot("reward", "Reward", (("reward_mean", "rollouts"), ("validation_reward", "held-out prompts"))),
    Plot(
        "kl",
        "KL from the reference (nats per response)",
        (("kl", "rollouts"), ("validation_kl", "held-out prompts")),
    ),
    Plot("policy", "PPO losses", (("policy_loss", "policy"), ("value_loss", "value"))),
    Plot(
        "clip",
        "Clipping and endings",
        (("clip_fraction", "clipped"), ("eos_rate", "ended properly")),
        "percent",
    ),
    Plot("entropy", "Entropy", (("entropy", "entropy"),)),
    Plot(
        "length",
        "Response length (tokens)",
        (("response_length", "rollouts"), ("validation_response_length", "held-out prompts")),
    ),
    Plot(
        "distinct",
        "Diversity: different pairs of tokens",
        (("distinct_2", "rollouts"), ("validation_distinct_2", "held-out prompts")),
        "percent",
    ),
    Plot("rate", "Learning rate", (("learning_rate", "learning rate"),)),
)
STAGE_PLOTS = {
    "pretrain": ("loss", "rate"),
    "sft": ("loss", "accuracy", "rate"),
    "reward": ("loss", "accuracy", "rate"),
    "ppo": ("reward", "kl", "policy", "clip", "entropy", "length", "distinct"),
    "sample": (),
    "evaluate": (),
    "score": (),
    "export": (),
}


def run_charts(run: TrainingRun, curves: Curves) -> list[dict[str, Any]]:
    """{"id", "title", "keys", "y_format", "data"} of each plot.

    Those of the stage while it may go on, and others of which there is a line: one dot is a figure.
    """
    charts = []
    for plot in PLOTS:
        if not _is_drawn(plot, run, curves):
            continue
        keys = [metric for metric, _ in plot.metrics]
        # Curves that have no points yet are named already, so that colours stay when the first one arrives.
        series = [(metric, label, curves.get(metric, {})) for metric, label in plot.metrics]
        charts.append(
            {
                "id": f"plot-{plot.key}",
                "title": plot.title,
                "keys": " ".join(keys),
                "y_format": plot.y_format,
                "data": chart_data(series, keep_empty=True),
            }
        )
    return charts


def undrawn(run: TrainingRun, curves: Curves) -> dict[str, float]:
    """{metric: last value} of what would have been a plot of fewer than two points."""
    metrics = [metric for plot in PLOTS if not _is_drawn(plot, run, curves) for metric, _ in plot.metrics]
    return {metric: curves[metric][max(curves[metric])] for metric in metrics if curves.get(metric)}


def _is_drawn(plot: Plot, run: TrainingRun, curves: Curves) -> bool:
    awaited = plot.key in STAGE_PLOTS[run.stage] and not run.is_terminal
    return awaited or any(len(curves.get(metric, {})) > 1 for metric, _ in plot.metrics)


def learning_chart(found: dict[str, Any]) -> dict[str, Any]:
    """Measured points and the line through them, over the number of examples."""
    series = [("measured", str(_("measured")), dict(found["points"]))]
    series.append(("expected", str(_("expected")), dict(found["line"])))
    return chart_data(series)


def compare_charts(by_run: dict[TrainingRun, Curves]) -> list[dict[str, Any]]:
    """One plot per metric that at least two of the runs have; a line per run."""
    charts = []
    for plot in PLOTS:
        for metric, label in plot.metrics:
            having = {run: curves[metric] for run, curves in by_run.items() if metric in curves}
            if len(having) < min(2, len(by_run)):
                continue
            series = [
                (f"run_{run.number}", f"{run.number} · {run}", points) for run, points in having.items()
            ]
            title = plot.title if len(plot.metrics) == 1 else f"{plot.title}: {label}"
            charts.append(
                {
                    "id": f"plot-{metric}",
                    "title": title,
                    "y_format": plot.y_format,
                    "data": chart_data(series),
                }
            )
    return charts
