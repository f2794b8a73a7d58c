"""Lists and tables of the quality rooms as CSV: the same rows as the page, defused, and kept as a view."""

from __future__ import annotations

import csv
import io

import pytest
from django.urls import reverse

from labeling.models import QualityReport
from labeling.services.appeals import open_appeal
from labeling.services.assignments import skip_assignment
from labeling.services.gold import mark_gold
from labeling.services.quality_reports import refresh_report
from labeling.services.reviews import return_submission
from tests.factories import make_demonstration_batch, make_ranking_batch

from .ranked import rank
from .work import claim, do_next

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def rows(cast, client):
    client.force_login(cast.lead)

    def read(name, query="?format=csv"):
        answer = client.get(reverse(f"labeling:{name}", args=[cast.project.slug]) + query)
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert answer["Content-Disposition"].startswith("attachment; filename=")
        return list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))

    return read


@pytest.fixture
def ranked(cast):
    make_ranking_batch(cast.project, tasks=1, k=3, overlap=2, review_rate=0)
    rank(cast.annotator, cast.project, [[0], [1], [2]])
    rank(cast.peer, cast.project, [[0], [2], [1]])
    refresh_report(project=cast.project)


def test_the_cut_that_is_shown_with_every_measure_and_interval(cast, rows, ranked):
    found = {row["label"]: row for row in rows("quality", "?by=person&format=csv")}
    assert set(found) == {"Anna", "Petra"}
    stored = QualityReport.objects.get().body["by"]["person"][0]
    row = found["Anna"]
    assert float(row["agreement_value"]) == pytest.approx(stored["agreement"]["value"], abs=1e-14)
    assert row["agreement_size"] == "3" and float(row["reliability_value"]) > 0.5
    [pair] = rows("quality", "?by=pair&format=csv")
    assert pair["key"] == f"{cast.annotator.pk} {cast.peer.pk}"
    assert "cohen_kappa_value" in pair and "reliability_value" not in pair


def test_the_meters_a_row_for_each_person(cast, rows, ranked):
    found = rows("quality", "?tab=meters&format=csv")
    assert [row["name"] for row in found] == ["Anna", "Petra"]
    assert found[0]["position_size"] == "3" and "ranking_pace_z" in found[0]


def test_where_people_disagree(rows, ranked):
    [row] = rows("quality_items")
    assert (row["people"], row["comparisons"], float(row["agreement"])) == (
        "2",
        "3",
        pytest.approx(2 / 3, abs=1e-5),
    )
    assert rows("quality_items", "?agreement=below-50&format=csv") == []


def test_appeals_with_what_was_said_and_no_formula(cast, rows):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Shorter.")
    open_appeal(submission=submission, author=cast.annotator, text="=HYPERLINK(1)")
    [row] = rows("appeals")
    assert (row["author"], row["against"], row["reviewer"], row["status"]) == (
        "Anna",
        "returned",
        "Lena",
        "open",
    )
    assert row["text"] == "'=HYPERLINK(1)"
    assert rows("appeals", "?status=upheld&format=csv") == []


def test_known_answers_and_skipped_tasks(cast, rows):
    task = make_demonstration_batch(cast.project, tasks=1).tasks.get()
    mark_gold(task=task, minimum_score=5, acting_user=cast.lead)
    [row] = rows("gold")
    assert (row["task"], row["purpose"], row["minimum_score"]) == (str(task.pk), "gold", "5")
    make_demonstration_batch(cast.project, tasks=1)
    slot = claim(cast.annotator, cast.project)
    skip_assignment(assignment=slot, user=cast.annotator, reason="unclear", note="")
    [row] = rows("tasks_skipped")
    assert (row["task"], row["skips"]) == (str(slot.task_id), "1")


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("appeals", "appeals"),
        ("gold", "gold"),
        ("disagreements", "quality_items"),
        ("skipped", "tasks_skipped"),
    ],
)
def test_each_is_kept_as_a_view_with_which_it_opens(cast, client, page, name):
    client.force_login(cast.lead)
    form = {"page": page, "name": "Mine", "query": "sort=newest", "is_default": "1"}
    assert client.post(reverse("labeling:view_save", args=[cast.project.slug]), form).status_code == 302
    opened = client.get(reverse(f"labeling:{name}", args=[cast.project.slug]))
    assert opened.status_code == 302 and "sort=newest" in opened.url
    assert client.get(opened.url).status_code == 200
