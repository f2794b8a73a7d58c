"""What pages show of evaluations: classes, safety, and several side by side, as tables and plots."""

from __future__ import annotations

from typing import Any

from annotate.words import _
from training.services.event_log import chart_data

Report = dict[str, Any]
EXPECTED = {"refuse": _("Ought to be refused"), "answer": _("Ought to be answered")}


def class_tables(reports: dict[str, Report]) -> Report | None:
    """The report "classes" with intervals as the tag draws them, and the confusion matrix with names:
    {"accuracy", "classes", "lines": [{"class", "cells": [{"count", "share", "is_right"}]}], …}; or None.
    """
    told = reports.get("classes")
    if told is None:
        return None
    names = [row["class"] for row in told["classes"]]
    rows = [
        row | {"value": row["recall"], "low": row["recall_low"], "high": row["recall_high"]}
        for row in told["classes"]
    ]
    lines = []
    for index, (name, counts) in enumerate(zip(names, told["confusion"], strict=True)):
        total = sum(counts) or 1
        cells = [
            {"count": count, "share": count / total, "is_right": column == index}
            for column, count in enumerate(counts)
        ]
        lines.append({"class": name, "cells": cells})
    return told | {"classes": rows, "names": names, "lines": lines}


def safety_tables(reports: dict[str, Report]) -> Report | None:
    """The report "safety": {"shares": [{"label", "category", share}], "rules", "rows"}; or None."""
    told = reports.get("safety")
    if told is None:
        return None
    shares = [told[key] | {"label": label, "category": ""} for key, label in EXPECTED.items() if told[key]]
    shares += [row | {"label": EXPECTED[row["expected"]]} for row in told["by"]]
    rows = [row | {"is_fault": row["refused"] != (row["expected"] == "refuse")} for row in told["rows"]]
    return {"shares": shares, "rules": told["rules"], "rows": rows}


def compared_behaviour(by_run: dict[Any, dict[str, Report]]) -> Report | None:
    """Refusal rates and classes of several evaluations: {"runs", "rows": [{"title", "label", "cells"}]}, each
    cell an interval or None; None unless two runs have something of the kind."""
    tables = {run: _intervals(reports) for run, reports in by_run.items()}
    having = {run: found for run, found in tables.items() if found}
    if len(having) < 2:
        return None
    keys = dict.fromkeys(key for found in having.values() for key in found)
    rows = [
        {"title": title, "label": label, "cells": [found.get((title, label)) for found in having.values()]}
        for title, label in sorted(keys, key=lambda key: _ORDER.index(key[0]))
    ]
    return {"runs": list(having), "rows": rows}


_SAFETY, _CLASSES, _RECALL = "safety", "classes", "recall"
_ORDER = (_SAFETY, _CLASSES, _RECALL)
TITLES = {
    _SAFETY: _("Answers that refuse"),
    _CLASSES: _("Classes: right answers"),
    _RECALL: _("Classes: found of each (recall)"),
}


def _intervals(reports: dict[str, Report]) -> dict[tuple[str, str], Report]:
    found: dict[tuple[str, str], Report] = {}
    if (safety := safety_tables(reports)) is not None:
        for share in safety["shares"]:
            label = f"{share['label']}: {share['category']}" if share["category"] else str(share["label"])
            found[_SAFETY, label] = share | {"count": share["prompts"]}
    if (classes := class_tables(reports)) is not None:
        found[_CLASSES, str(_("All"))] = classes["accuracy"] | {"count": classes["accuracy"]["rows"]}
        for row in classes["classes"]:
            if row["value"] is not None:
                found[_RECALL, row["class"]] = row | {"count": row["rows"]}
    return found


# Of an evaluation's metrics those that are drawn over the checkpoints' steps: (name, title, axis).
DRAWN = (
    ("loss", _("Loss on held-out demonstrations"), "number"),
    ("perplexity", _("Perplexity"), "number"),
    ("accuracy", _("Response tokens right"), "percent"),
    ("rouge_l", "ROUGE-L", "number"),
    ("bleu", "BLEU", "number"),
    ("distinct_2", _("Different pairs of words"), "percent"),
    ("refusal_rate", _("Safety prompts refused"), "percent"),
    ("over_refusal_rate", _("Harmless prompts refused"), "percent"),
    ("class_accuracy", _("Classes right"), "percent"),
    ("class_log_loss", _("Log loss of classes"), "number"),
    ("reward_accuracy", _("Reward accuracy"), "percent"),
    ("reward_loss", _("Reward loss"), "number"),
    ("reward_calibration_error", _("Calibration error"), "percent"),
)


def evaluation_charts(runs: list[Any]) -> list[Report]:
    """Evaluated metrics over the step of the checkpoint that was evaluated, a curve for each run of theirs
    and each held-out set: checkpoints of one run, and several runs, side by side. Two points a plot at least.
    """
    curves: dict[str, dict[tuple[int, str, str], dict[int, float]]] = {}
    for run in sorted(runs, key=lambda run: run.number):
        if run.stage != "evaluate":
            continue
        sources = {row.role: row.dataset_version or row.checkpoint for row in run.inputs.all()}
        for name, _title, _format in DRAWN:
            is_reward = name.startswith("reward_")
            model = sources.get("reward_model" if is_reward else "model")
            if model is None or run.metrics.get(name) is None:
                continue
            is_safety = name in ("refusal_rate", "over_refusal_rate")
            data = sources.get(
                "train_data" if is_reward else "prompts" if is_safety else "demonstrations", ""
            )
            key = (model.run.number, str(model.run), str(data))
            curves.setdefault(name, {}).setdefault(key, {})[model.step] = run.metrics[name]
    charts = []
    for name, title, y_format in DRAWN:
        found = curves.get(name, {})
        if sum(map(len, found.values())) < 2:
            continue
        several = len({data for _number, _run, data in found}) > 1
        series = [
            (f"curve_{index}", f"{number} · {run}" + (f" · {data}" if several and data else ""), points)
            for index, ((number, run, data), points) in enumerate(found.items())
        ]
        charts.append(
            {"id": f"plot-evaluated-{name}", "title": title, "y_format": y_format, "data": chart_data(series)}
        )
    return charts
