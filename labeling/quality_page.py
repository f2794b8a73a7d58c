"""Read side of the Quality pages and their API: the stored report with names, links and curves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.http import urlencode

from annotate.accounts.models import User
from annotate.words import _

from .models import (
    Batch,
    Project,
    QualityReport,
    Submission,
    SubmissionStatus,
    Task,
    TaskAgreement,
    TaskPurpose,
)
from .quality_rows import EPOCH

CUTS = {
    "person": _("Person"),
    "pair": _("Pair of people"),
    "batch": _("Batch"),
    "category": _("Category"),
    "guideline_version": _("Guideline version"),
    "margin": _("Margin"),
    "time": _("Time"),
}
CATEGORIES_SECONDS = 60
NO_METERS: dict[str, Any] = {
    "people": [],
    "project": {},
    "readings": 0,
    "marked": 0,
    "expected_by_chance": 0.0,
}
HEAT_MAP_PEOPLE = 12  # beyond so many the pairs are a list
# Bounds of the filter on agreement, by the value of its choice: from, below.
AGREEMENT_RANGES = {
    "below-50": (None, 0.5),
    "50-70": (0.5, 0.7),
    "70-90": (0.7, 0.9),
    "from-90": (0.9, None),
}


def report_of(project: Project) -> QualityReport:
    """The stored report, or an empty one (unsaved) before the first. One query."""
    return QualityReport.objects.filter(project=project).first() or QualityReport(project=project)


def rows_of(project: Project, body: dict[str, Any], cut: str) -> list[dict[str, Any]]:
    """One cut of the report with a `label` for people to read, a `query` for the list of the work behind it,
    and alpha of scores and flags as `ratings`. At most one query."""
    rows = body.get("by", {}).get(cut, [])
    labels = _labels(project, cut, rows)
    return [
        {
            **row,
            "label": labels(row["key"]),
            "query": _query(cut, row["key"], rows),
            "ratings": [row.get("scores_alpha", {}), row.get("flags_alpha", {})],
        }
        for row in rows
    ]


def _labels(project: Project, cut: str, rows: list[dict[str, Any]]):
    if cut in ("person", "pair"):
        names = people_names(_people(rows))
        return lambda key: " · ".join(names.get(each, "?") for each in (key if cut == "pair" else [key]))
    if cut == "batch":
        batches = dict(Batch.objects.filter(project=project).values_list("pk", "name"))
        return lambda key: batches.get(key, "?")
    if cut == "guideline_version":
        words = {None: _("none in force"), "mixed": _("different versions")}
        return lambda key: words.get(key) or _("version %(n)s") % {"n": key}
    if cut == "time":
        return lambda key: (EPOCH + timedelta(days=key)).isoformat()
    return lambda key: key or _("without a category")


def _people(rows: Iterable[dict[str, Any]]) -> set[int]:
    return {pk for row in rows for pk in (row["key"] if isinstance(row["key"], list) else [row["key"]])}


def people_names(ids: Iterable[int]) -> dict[int, str]:
    """One query."""
    return {user.pk: user.name for user in User.objects.filter(pk__in=list(ids))}


def _query(cut: str, key: Any, rows: list[dict[str, Any]]) -> str:
    """The query string of the submissions behind a row; "" where they are no list."""
    values: dict[str, Any] = {"kind": "ranking", "shared": "yes"}
    if cut == "person":
        values["person"] = key
    elif cut == "pair":
        values |= {"person": key[0], "with": key[1]}
    elif cut == "batch":
        values["batch"] = key
    elif cut == "category" and key:
        values["category"] = key
    elif cut == "guideline_version" and isinstance(key, int):
        values["guideline"] = key
    elif cut == "time":
        days = sorted(row["key"] for row in rows)
        step = min((b - a for a, b in zip(days, days[1:], strict=False)), default=1)
        values["from"] = (EPOCH + timedelta(days=key)).isoformat()
        values["to"] = (EPOCH + timedelta(days=key + step - 1)).isoformat()
    else:
        return ""
    return "?" + urlencode(values)


def trend(body: dict[str, Any]) -> dict[str, Any]:
    """Agreement and alpha over time with their intervals, as chart data."""
    rows = body.get("by", {}).get("time", [])
    return {
        "x": [row["key"] * 86_400 for row in rows],
        "series": [
            {
                "name": str(name),
                "key": key,
                "values": [row[key]["value"] for row in rows],
                "low": [row[key]["low"] for row in rows],
                "high": [row[key]["high"] for row in rows],
            }
            for key, name in (("agreement", _("Pairwise agreement")), ("alpha", _("Krippendorff's alpha")))
        ],
    }


def heat_map(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Pairs of people as a square table; None where it would be too large or empty.

    {"people": names, "rows": [{"name", "cells": [{"value", "size", "level", "query"} or None]}]}; level: its
    shade, 0 (half or less) to 5.
    """
    people = sorted({pk for row in rows for pk in row["key"]})
    if not 2 <= len(people) <= HEAT_MAP_PEOPLE:
        return None
    names = people_names(people)
    cells = {frozenset(row["key"]): row for row in rows}
    return {
        "people": [names.get(pk, "?") for pk in people],
        "rows": [
            {
                "name": names.get(first, "?"),
                "cells": [_cell(cells.get(frozenset((first, second)))) for second in people],
            }
            for first in people
        ],
    }


def _cell(row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None or row["agreement"]["value"] is None:
        return None
    agreement = row["agreement"]
    level = max(0, min(5, int((agreement["value"] - 0.5) * 10)))
    return {**agreement, "level": level, "query": row["query"]}


MEASURES = ("agreement", "alpha", "tau_b", "cohen_kappa", "reliability", "scores_alpha", "flags_alpha")
PARTS = ("value", "low", "high", "size")


def cut_as_table(rows: list[dict[str, Any]]) -> Iterator[list[Any]]:
    """One cut as lines of a CSV file, the heading first: each measure that its rows have, in four columns."""
    measures = [name for name in MEASURES if any(name in row for row in rows)]
    yield ["key", "label", "tasks", *(f"{name}_{part}" for name in measures for part in PARTS)]
    for row in rows:
        numbers = [row.get(name, {}).get(part) for name in measures for part in PARTS]
        key = " ".join(map(str, row["key"])) if isinstance(row["key"], list) else row["key"]
        yield [key, row["label"], row["tasks"], *numbers]


def meters_as_table(people: list[dict[str, Any]]) -> Iterator[list[Any]]:
    """The meters as lines of a CSV file, the heading first; a row for each person."""
    rates = ("position", "length", "length_slope", "self_agreement")
    yield [
        "person", "name", *(f"{name}_{part}" for name in rates for part in PARTS), "position_marked",
        "length_marked", "ranking_pace_z", "demonstration_pace_z", "pasted_share",
    ]  # fmt: skip
    for row in people:
        numbers = [row[name].get(part) for name in rates for part in PARTS]
        paces = [(row[f"{kind}_pace"] or {}).get("z") for kind in ("ranking", "demonstration")]
        marks = [row["position"]["is_marked"], row["length"]["is_marked"]]
        pasted = (row["pasted"] or {}).get("value")
        yield [row["person"], row["name"], *numbers, *marks, *paces, pasted]


def meters_of(body: dict[str, Any]) -> dict[str, Any]:
    """The meters with people's names, those marked first. One query."""
    meters = body.get("meters") or NO_METERS
    names = people_names(row["person"] for row in meters["people"])
    people = [{**row, "name": names.get(row["person"], "?")} for row in meters["people"]]
    people.sort(
        key=lambda row: (not (row["position"]["is_marked"] or row["length"]["is_marked"]), row["name"])
    )
    return {**meters, "people": people}


# --- Lists --------------------------------------------------------------------------------------------------
def disagreements(project: Project) -> QuerySet[TaskAgreement]:
    """Ranking tasks on which it is known how much people agree."""
    rows = TaskAgreement.objects.filter(project=project, value__isnull=False)
    return rows.select_related("task__prompt", "task__batch")


def with_prompt(rows: QuerySet[TaskAgreement], **condition) -> QuerySet[TaskAgreement]:
    """Of tasks whose prompt fits. In one walk of the tasks: the order of the list is that of agreement, and
    to look up task and prompt in it reads the whole file to and fro.
    """
    return rows.filter(task__in=Task.objects.filter(**condition).values("pk"))


def with_flag(rows: QuerySet[TaskAgreement], flag: str) -> QuerySet[TaskAgreement]:
    return rows.filter(flags__contains=f"|{flag}|")


def within(rows: QuerySet, choice: str, field: str) -> QuerySet:
    """Rows whose agreement lies in one of AGREEMENT_RANGES."""
    low, high = AGREEMENT_RANGES[choice]
    if low is not None:
        rows = rows.filter(**{f"{field}__gte": low})
    return rows.filter(**{f"{field}__lt": high}) if high is not None else rows


def submissions_of(project: Project) -> QuerySet[Submission]:
    """Everybody's work, for leads' lists."""
    return project.submissions.select_related("prompt", "annotator", "task__batch", "task__agreement")


def shared_only(rows: QuerySet[Submission]) -> QuerySet[Submission]:
    """Work on tasks that two people or more ranked, as the report counts it."""
    counted = rows.filter(task__agreement__people__gte=2, gold_result=None)
    return counted.exclude(status=SubmissionStatus.REJECTED)


def by_known_answer(rows: QuerySet[Submission], value: str) -> QuerySet[Submission]:
    """Work on gold that is decided ("gold": passed or missed), or repeats of one's own work. Whose gold still
    waits for its score is not told."""
    if value == "repeat":
        return rows.filter(task__purpose=TaskPurpose.REPEAT)
    passed = {"gold": (True, False), "passed": (True,), "missed": (False,)}[value]
    return rows.filter(task__purpose=TaskPurpose.GOLD, gold_result__passed__in=passed)


def together_with(rows: QuerySet[Submission], user_id: str) -> QuerySet[Submission]:
    """Work on tasks that this person judged too, theirs included."""
    theirs = Submission.objects.filter(annotator_id=int(user_id), task__isnull=False)
    return rows.filter(task__in=theirs.values("task"))


def made_under(rows: QuerySet[Submission], number: str) -> QuerySet[Submission]:
    """Work whose judgment that stands was made under this guideline version; any kind's with that number."""
    return rows.filter(
        Q(rankings__is_current=True, rankings__guideline_version__number=number)
        | Q(demonstrations__is_current=True, demonstrations__guideline_version__number=number)
    )


def items_to_clarify(project: Project, task_ids: Iterable[int]) -> list[TaskAgreement]:
    """Tasks that a lead takes to the guideline's draft."""
    return list(disagreements(project).filter(task__in=list(task_ids)[:50]).order_by("value", "task"))


def categories_of(project: Project) -> list[str]:
    """The categories of the project's prompts, as of the last minute: finding them reads every prompt."""

    def found() -> list[str]:
        rows = project.prompts.exclude(category="").order_by("category")
        return list(rows.values_list("category", flat=True).distinct())

    return cache.get_or_set(f"categories:{project.pk}", found, CATEGORIES_SECONDS) or []


def submissions_url(project: Project, query: str = "") -> str:
    return reverse("labeling:submissions", args=[project.slug]) + query
