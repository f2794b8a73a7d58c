"""Runs side by side: their curves over one another, what differs, reward over KL, also as a file."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from annotate.errors import Invalid
from annotate.streaming import stream_file
from annotate.words import _
from labeling.access import project_route
from labeling.list_pages import csv_lines
from labeling.permissions import Action
from training.models import TrainingRun
from training.services.event_log import curves, reports
from training.services.learning_curves import learning_curve
from training.views.charts import compare_charts, learning_chart
from training.views.evaluation_tables import TITLES, compared_behaviour, evaluation_charts
from training.views.frontier import as_table, frontier, points_of
from training.views.report_tables import compared_reports, models_by_held_out_set

MOST_COMPARED = 12
FEED = "compare-feed"  # the element that asks again while a run goes on


def _chosen(request: HttpRequest, project) -> list[TrainingRun]:
    """The runs that the query names, at most MOST_COMPARED of them, by number."""
    numbers = [int(text) for text in request.GET.getlist("run") if text.isdecimal() and len(text) < 9]
    rows = project.runs.filter(number__in=numbers[:MOST_COMPARED]).order_by("number")
    return list(
        rows.prefetch_related("checkpoints", "inputs__dataset_version__dataset", "inputs__checkpoint__run")
    )


@project_route(Action.VIEW_RUNS)
def run_compare(request: HttpRequest, *, project, membership) -> HttpResponse:
    """Curves of two or more runs over one another: ?run=3&run=5."""
    chosen = _chosen(request, project)
    several = len(chosen) > 1
    if request.headers.get("HX-Target") == FEED:
        return render(request, "training/_compare_feed.html", _feed(chosen))
    learning = learning_curve(chosen) if several else None
    told = {run: reports(run) for run in chosen} if several else {}
    found = {run: curves(run) for run in chosen} if several else {}
    context = {
        "chosen": chosen,
        "charts": compare_charts(found) if several else [],
        "is_live": several and any(not run.is_terminal for run in chosen),
        "frontier": frontier(found),
        "evaluated": evaluation_charts(chosen),
        "reports": compared_reports(told),
        "behaviour": compared_behaviour(told),
        "behaviour_titles": TITLES,
        "held_out": models_by_held_out_set(chosen),
        "learning": learning,
        "learning_chart": learning_chart(learning) if learning else None,
        "differences": _differences(chosen),
        "choices": project.runs.order_by("-number")[:100],
        "numbers": [run.number for run in chosen],
    }
    return render(request, "training/run_compare.html", context)


def _feed(chosen: list[TrainingRun]) -> dict[str, Any]:
    """The data of every plot by the plot's id, from which the open page goes on drawing (charts.js)."""
    found = {run: curves(run) for run in chosen}
    plots = {chart["id"]: chart["data"] for chart in compare_charts(found)}
    reward_over_kl = frontier(found)
    if reward_over_kl and reward_over_kl["chart"]:
        plots["plot-frontier"] = reward_over_kl["chart"]
    return {"plots": plots, "is_live": any(not run.is_terminal for run in chosen)}


def _differences(chosen: list[TrainingRun]) -> list[tuple[str, list]]:
    """Hyperparameters in which the runs differ: (name, the value of each)."""
    names = sorted({name for run in chosen for name in run.hyperparameters})
    rows = [(name, [run.hyperparameters.get(name) for run in chosen]) for name in names]
    return [(name, values) for name, values in rows if any(value != values[0] for value in values)]


@project_route(Action.VIEW_RUNS)
def run_frontier(request: HttpRequest, *, project, membership) -> HttpResponseBase:
    """Held-out reward over KL of the runs that are named (?run=3&run=5), a line an evaluation, as CSV."""
    chosen = _chosen(request, project)
    if not chosen:
        raise Invalid(_("Name runs of this project: ?run=3&run=5."), field="run")
    points = [point for run in chosen for point in points_of(run, curves(run))]
    name = "-".join([project.slug, "reward-over-kl", *(str(run.number) for run in chosen)])
    pieces = iter([csv_lines(as_table(points))])
    return stream_file(request, pieces, filename=f"{name}.csv", media_type="text/csv; charset=utf-8")
