"""What the pages of runs show of a report: pure selection, words and plots."""

from __future__ import annotations

from typing import Any

from annotate.words import _

CUTS = {
    "margin": _("How much better people said"),
    "length": _("Length of the preferred one"),
    "category": _("Category"),
    "annotator": _("Annotator"),
}
GROUPS = {
    "negligible": _("negligibly"),
    "slight": _("slightly"),
    "clear": _("clearly"),
    "significant": _("significantly"),
    "more than significant": _("over several places"),
    "much shorter": _("less than half as long"),
    "shorter": _("shorter"),
    "about as long": _("about as long (within 10 %)"),
    "longer": _("longer"),
    "much longer": _("more than twice as long"),
}
Report = dict[str, Any]


def reward_tables(reports: dict[str, Report]) -> dict[str, Any] | None:
    """{"overall", "people", "ceiling", "cuts": [{"title", "rows"}], "calibration": {"error", "chart"}} or
    None where nothing was told."""
    told = reports.get("reward")
    if told is None:
        return None
    return {
        "overall": _interval(told["overall"]),
        "people": _interval(told["people"]),
        "ceiling": told["ceiling"],
        "cuts": [
            {"title": title, "rows": [_interval(row) | {"label": _label(key, row["key"])} for row in rows]}
            for key, title in CUTS.items()
            if (rows := told["by"][key])
        ],
        "error": told["calibration"]["expected_error"],
        "chart": calibration_chart({str(_("right")): told}),
    }


# Of an evaluation's metrics those that tell models apart: (name, label, higher is better).
COMPARED = (
    ("loss", _("Loss"), False),
    ("perplexity", _("Perplexity"), False),
    ("accuracy", _("Response tokens right"), True),
    ("rouge_l", "ROUGE-L", True),
    ("bleu", "BLEU", True),
    ("distinct_2", _("Different pairs of words"), True),
    ("class_accuracy", _("Classes right"), True),
    ("class_log_loss", _("Log loss of classes"), False),
    ("reward_loss", _("Reward loss"), False),
    ("reward_accuracy", _("Reward accuracy"), True),
    ("reward_calibration_error", _("Calibration error"), False),
)
MEASURED_ON = {"model": "demonstrations", "reward_model": "train_data"}


def models_by_held_out_set(runs: list[Any]) -> dict[str, Any] | None:
    """Evaluations as a table of models by held-out set: {"models", "rows": [{"set", "label", "cells"}]}, each
    cell {"value", "change", "is_better"} against the first model. None unless a set has two models.

    So a model trained anew on all data stands beside one that went on from a checkpoint, on new and on former
    held-out data alike: where the latter got worse it forgot.
    """
    found: dict[Any, dict[Any, dict[str, float]]] = {}
    for run in sorted(runs, key=lambda run: run.number):
        sources = {row.role: row.dataset_version or row.checkpoint for row in run.inputs.all()}
        for role, data in MEASURED_ON.items():
            if run.stage == "evaluate" and role in sources and data in sources:
                found.setdefault(sources[data], {})[sources[role]] = run.metrics
    models = list(dict.fromkeys(model for by_model in found.values() for model in by_model))
    if not any(len(by_model) > 1 for by_model in found.values()):
        return None
    rows = []
    for held_out, by_model in found.items():
        for name, label, higher in COMPARED:
            values = [by_model.get(model, {}).get(name) for model in models]
            if any(value is not None for value in values):
                cells = [_against(value, values[0], higher) for value in values]
                rows.append({"set": str(held_out), "label": label, "cells": cells})
    return {"models": models, "rows": rows}


def _against(value: float | None, first: float | None, higher: bool) -> dict[str, Any]:
    change = None if value is None or first is None else value - first
    return {"value": value, "change": change, "is_better": change is not None and (change > 0) == higher}


def answer_rows(reports: dict[str, Report]) -> list[dict[str, Any]]:
    """{"prompt", "reference", "answer", "rouge_l"} of some answers, from the least alike to the most."""
    return reports.get("answers", {}).get("rows", [])


def export_verdict(reports: dict[str, Report]) -> Report | None:
    """{"format", "weights", "files", "checks"} of what was exported, or None."""
    return reports.get("export")


def _interval(row: Report) -> Report:
    """With `value`, as the tag that draws intervals takes it."""
    return row | {"value": row["accuracy"]}


def _label(cut: str, key: str) -> Any:
    if cut in ("margin", "length") and key in GROUPS:
        return GROUPS[key]
    return key or _("not said")


def calibration_chart(told: dict[str, Report]) -> dict[str, Any]:
    """How often the model is right (with a band) over how sure it was, in percent; one line a report, and
    the diagonal on which a calibrated model would lie. The form of static/js/charts.js."""
    bins = [told[name]["calibration"]["bins"] for name in told]
    middles = [50 * (row["low"] + row["high"]) for row in bins[0]] if bins else []
    series: list[dict[str, Any]] = []
    for number, (name, rows) in enumerate(zip(told, bins, strict=True)):
        line = {"key": f"report_{number}", "name": name, "values": [row["accuracy"] for row in rows]}
        if len(told) == 1:
            line |= {end: [row[f"accuracy_{end}"] for row in rows] for end in ("low", "high")}
        series.append(line)
    ideal = [middle / 100 for middle in middles]
    series.append({"key": "ideal", "name": str(_("as sure as right")), "values": ideal})
    return {"x": middles, "series": series}


def compared_reports(by_run: dict[Any, dict[str, Report]]) -> dict[str, Any] | None:
    """Reward reports of several runs side by side: {"runs", "rows": [{"title", "label", "cells"}], "chart"};
    None unless two have one."""
    having = {run: reports["reward"] for run, reports in by_run.items() if "reward" in reports}
    if len(having) < 2:
        return None
    rows: list[dict[str, Any]] = [
        {"title": "", "label": _("All pairs"), "cells": [_interval(t["overall"]) for t in having.values()]}
    ]
    for cut, title in CUTS.items():
        tables = [{row["key"]: row for row in told["by"][cut]} for told in having.values()]
        for key in dict.fromkeys(key for table in tables for key in table):
            cells = [_interval(table[key]) if key in table else None for table in tables]
            rows.append({"title": title, "label": _label(cut, key), "cells": cells})
    chart = calibration_chart({f"{run.number} · {run}": told for run, told in having.items()})
    errors = [told["calibration"]["expected_error"] for told in having.values()]
    return {"runs": list(having), "rows": rows, "chart": chart, "errors": errors}
