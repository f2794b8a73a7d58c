"""Agreement is computed once: every room shows the number that the quality report holds."""

from __future__ import annotations

import ast
import csv
import io
import re
from pathlib import Path

import pytest
from django.urls import reverse

from labeling.models import Figure, QualityReport
from labeling.services import quality_reports
from labeling.services.quality_reports import refresh_report
from labeling.services.reviews import fix_submission
from tests.factories import make_ranking_batch

from .ranked import rank

pytestmark = [pytest.mark.django_db, pytest.mark.database]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def measured(cast):
    """Anna and Petra agree on 2 of 3 pairs of one task, on 2.5 of the other: 4.5 of 6. A reviewer's fix of
    Anna's first, which would raise that, is not what she said."""
    batch = make_ranking_batch(cast.project, tasks=2, k=3, overlap=2, review_rate=0)
    first = rank(cast.annotator, cast.project, [[0], [1], [2]])
    rank(cast.annotator, cast.project, [[0], [1], [2]])
    rank(cast.peer, cast.project, [[0], [2], [1]])
    rank(cast.peer, cast.project, [[0], [1, 2]])
    a, b, c = first.task.task_completions.values_list("completion_id", flat=True)
    fix_submission(submission=first, revision=1, reviewer=cast.lead, tiers=[[a], [c], [b]])
    refresh_report(project=cast.project)
    return batch


def page(client, name, *args, query=""):
    answer = client.get(reverse(f"labeling:{name}", args=args) + query)
    assert answer.status_code == 200
    return answer


def text(answer) -> str:
    return answer.getvalue().decode("utf-8-sig").replace("\xa0", " ")


def words(answer) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text(answer)).split())


def test_every_room_says_the_same_number(cast, client, api_client_of, measured):
    slug = cast.project.slug
    client.force_login(cast.lead)
    member = cast.project.memberships.get(user=cast.annotator)
    report = QualityReport.objects.get(project=cast.project)
    value = report.body["agreement"]["pairwise_agreement"]["value"]
    assert value == 0.75
    low, high = (report.body["agreement"]["pairwise_agreement"][key] for key in ("low", "high"))

    api = api_client_of(cast.lead)
    root = f"/api/projects/{slug}"
    board = api.get(f"{root}/dashboard/").json()
    [person] = api.get(f"{root}/people/?search=anna").json()["results"]
    rows = list(csv.DictReader(io.StringIO(text(page(client, "people", slug, query="?format=csv&q=anna")))))

    def cut(by):
        return api.get(f"{root}/quality/agreement/?by={by}").json()[0]["agreement"]["value"]

    said = {
        "quality API": api.get(f"{root}/quality/").json()["agreement"]["pairwise_agreement"]["value"],
        "quality API, by person": cut("person"),
        "quality API, by batch": cut("batch"),
        "progress API": api.get(f"{root}/progress/").json()["agreement"]["value"],
        "dashboard API": board["quality"]["agreement"],
        "dashboard API, batch": board["batches"][0]["quality"]["agreement"],
        "people API": person["quality"]["agreement"],
        "people CSV": float(rows[0]["agreement"]),
    }
    assert said == dict.fromkeys(said, value)
    assert (board["quality"]["agreement_low"], board["quality"]["agreement_high"]) == (low, high)
    assert board["quality"]["computed_at"][:19] == report.as_of.isoformat()[:19]
    for where in (
        page(client, "project_detail", slug),
        page(client, "people", slug),
        page(client, "person", slug, member.pk),
        page(client, "quality", slug),
        page(client, "batch_detail", slug, measured.pk),
    ):
        assert re.search(r"\b75(\.0)? %", words(where)), where.request["PATH_INFO"]
    assert Figure.objects.get(batch=measured).agreement == value


def test_the_leaning_on_the_people_page_is_that_of_the_meters(cast, api_client_of, measured):
    api = api_client_of(cast.lead)
    [person] = api.get(f"/api/projects/{cast.project.slug}/people/?search=anna").json()["results"]
    meters = QualityReport.objects.get(project=cast.project).body["meters"]["people"]
    [row] = [each["position"] for each in meters if each["person"] == cast.annotator.pk]
    quality = person["quality"]
    assert [quality[f"position{part}"] for part in ("", "_low", "_high", "_pairs")] == [
        row[part] for part in ("value", "low", "high", "size")
    ]


def test_a_report_that_could_not_be_stored_leaves_the_figures_with_the_report_they_are_of(
    cast, measured, monkeypatch
):
    before = Figure.objects.get(project=cast.project, batch=None, user=None)

    def broken(**parts):
        raise RuntimeError("no room")

    monkeypatch.setattr(quality_reports, "store_figures", broken)
    with pytest.raises(RuntimeError):
        refresh_report(project=cast.project)
    report = QualityReport.objects.get(project=cast.project)
    assert report.as_of == before.computed_at
    assert Figure.objects.get(project=cast.project, batch=None, user=None).pk == before.pk


def test_nothing_but_the_quality_report_computes_a_projects_agreement():
    """Code outside the maths that calls a measure of agreement is named here, with why."""
    allowed = {
        # One ranking against the others of its own task, kept at submit: a reason for review.
        "labeling/services/ranking_signals.py",
        "labeling/services/quality_reports.py",
        # Of the rows of one frozen dataset version, which are not those of the project now.
        "labeling/services/dataset_facts.py",
        # Of simulated people on prompts of a benchmark, which no project holds.
        "training/learning_figures.py",
    }
    measures = {"pairwise_agreement", "agreement_with_others", "headline", "by_cut", "krippendorff_alpha"}
    found = set()
    for room in ("labeling", "training", "annotate"):
        for path in (ROOT / room).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            if name.startswith(("labeling/quality/", "training/rlhf/")):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and measures & {each.name for each in node.names}:
                    found.add(name)
    assert found == allowed
