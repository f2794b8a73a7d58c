"""Held-out reward over KL, evaluation by evaluation of PPO runs: the points, and their plot and table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from annotate.words import _
from training.models import Checkpoint, TrainingRun
from training.services.event_log import curves
from training.views.charts import Curves

REWARD, KL = "validation_reward", "validation_kl"
# A budget farther out than so many times the largest KL is told in words: drawn, it would squash the points.
FARTHEST_BUDGET = 2.0
HEAD = ("run", "name", "step", KL, REWARD, "kl_budget", "within_budget", "best")


@dataclass(frozen=True)
class Point:
    """One evaluation. `is_marked`: it measured a checkpoint that the page is about."""

    run: TrainingRun
    step: int
    kl: float
    reward: float
    budget: float
    is_best: bool
    is_marked: bool = False

    @property
    def is_within(self) -> bool:
        """As the trainer judges it (training/rlhf/stages/ppo.py); a budget of 0 has no limit."""
        return not self.budget or self.kl <= self.budget


def points_of(run: TrainingRun, found: Curves, marked: Iterable[int] = ()) -> list[Point]:
    """The run's evaluations with both figures, by step. Costs a query for the best checkpoint's step."""
    rewards, kls = found.get(REWARD, {}), found.get(KL, {})
    steps = sorted(rewards.keys() & kls.keys())
    if not steps:
        return []
    best = {row.step for row in run.checkpoints.all() if row.is_best}
    budget, marked = budget_of(run), set(marked)
    return [
        Point(run, step, kls[step], rewards[step], budget, step in best, step in marked) for step in steps
    ]


def budget_of(run: TrainingRun) -> float:
    return float(run.hyperparameters.get("kl_budget") or 0.0)


def frontier(
    by_run: Mapping[TrainingRun, Curves], marked: Mapping[TrainingRun, Iterable[int]] | None = None
) -> dict[str, Any] | None:
    """What templates/training/_frontier.html shows: {"chart", "points", "runs", "budgets", "is_over"}.

    `marked`: steps of the checkpoints that the page is about. None where no run is one of PPO.
    """
    runs = [run for run in by_run if run.stage == "ppo"]
    if not runs:
        return None
    points = [point for run in runs for point in points_of(run, by_run[run], (marked or {}).get(run, ()))]
    return {
        "chart": _chart(runs, points) if points else None,
        "points": points,
        "runs": runs,
        "budgets": [(run, budget_of(run)) for run in runs if budget_of(run)],
        "is_over": all(run.is_terminal for run in runs),
        "is_several": len(runs) > 1,
        "has_marks": any(point.is_marked for point in points),
    }


def sampled_frontier(run: TrainingRun) -> dict[str, Any] | None:
    """That of the PPO runs whose checkpoints answer in a sample run, these marked."""
    if run.stage != "sample":
        return None
    sampled = Checkpoint.objects.filter(
        used_by_runs__run=run, used_by_runs__role="sample_from", run__stage="ppo"
    )
    marked: dict[TrainingRun, list[int]] = {}
    for checkpoint in sampled.select_related("run").order_by("run__number", "step"):
        marked.setdefault(checkpoint.run, []).append(checkpoint.step)
    return frontier({source: curves(source) for source in marked}, marked)


def _chart(runs: list[TrainingRun], points: list[Point]) -> dict[str, Any]:
    """The form of static/js/charts.js, a row for each point by its KL, with what is marked."""
    ordered = sorted(points, key=lambda point: (point.kl, point.run.number, point.step))
    alone = len(runs) == 1
    series, rings = [], []
    for run in runs:
        name = str(_("Held-out reward")) if alone else f"{run.number} · {run}"
        values = [point.reward if point.run == run else None for point in ordered]
        series.append({"key": REWARD if alone else f"run_{run.number}", "name": name, "values": values})
    for point in ordered:
        if point.is_best or point.is_marked:
            words = _("best") if point.is_best else _("this one")
            rings.append(
                {"x": point.kl, "y": point.reward, "series": runs.index(point.run), "name": str(words)}
            )
    return {
        "x": [point.kl for point in ordered],
        "series": series,
        "marks": {"lines": _lines(runs, max(point.kl for point in ordered)), "rings": rings},
    }


def _lines(runs: list[TrainingRun], largest: float) -> list[dict[str, Any]]:
    """A line for each budget that is near enough; runs with the same one share it."""
    by_budget: dict[float, list[TrainingRun]] = {}
    for run in runs:
        if 0 < budget_of(run) <= FARTHEST_BUDGET * largest:
            by_budget.setdefault(budget_of(run), []).append(run)
    lines = []
    for budget, having in by_budget.items():
        name = str(_("KL budget"))
        if len(having) < len(runs):
            name += " " + ", ".join(str(run.number) for run in having)
        lines.append({"x": budget, "name": name})
    return lines


def as_table(points: list[Point]) -> list[tuple[Any, ...]]:
    """The points as lines of CSV, the head first."""
    rows = [
        (p.run.number, str(p.run), p.step, p.kl, p.reward, p.budget or None, p.is_within, p.is_best)
        for p in points
    ]
    return [HEAD, *rows]
