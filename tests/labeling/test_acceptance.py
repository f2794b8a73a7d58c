"""Acceptance is the share of reviewed work that was accepted as it was: on pages, in the API and in files."""

from __future__ import annotations

import csv
import importlib
import io
import re

import pytest
from django.apps import apps
from django.urls import reverse

from labeling import dashboard, trends
from labeling.models import Figure, Submission
from labeling.people_report import figures_of
from labeling.services.appeals import decide_appeal, open_appeal
from labeling.services.quality_reports import refresh_report
from labeling.services.reviews import (
    accept_submission,
    fix_submission,
    reject_submission,
    reopen_submission,
    return_submission,
)
from labeling.services.undo import undo_decision
from tests.factories import make_demonstration_batch

from .work import claim, do_next, submit

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def done(cast, pieces, **batch):
    make_demonstration_batch(cast.project, tasks=pieces, **{"review_rate": 0, **batch})
    return [do_next(cast.annotator, cast.project) for _ in range(pieces)]


def person(cast):
    return figures_of(cast.project, [cast.project.memberships.get(user=cast.annotator)])[0]


def kind(cast):
    return next(row for row in dashboard.dashboard(cast.project).kinds if row.kind == "demonstration")


def batch_row(cast):
    refresh_report(project=cast.project)
    return dashboard.dashboard(cast.project).batches[0]


def everywhere(cast) -> set:
    """(share, reviewed, not reviewed) as the people page, the overview and the batch have it."""
    rows = (person(cast), kind(cast), batch_row(cast))
    return {(row.acceptance, row.review.reviewed, row.review.unreviewed) for row in rows}


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def shown(client, cast, name="project_detail", *keys) -> str:
    client.force_login(cast.lead)
    return client.get(reverse(f"labeling:{name}", args=[cast.project.slug, *keys])).content.decode()


def mixed(cast):
    """Of eight pieces: two accepted, one fixed, one returned, one rejected, two not reviewed, one waits."""
    rows = done(cast, 8)
    for row in rows[:2]:
        accept_submission(submission=row, revision=1, reviewer=cast.lead)
    fix_submission(submission=rows[2], revision=1, reviewer=cast.lead, text="Paris.")
    return_submission(submission=rows[3], revision=1, reviewer=cast.lead, note="Shorter.")
    reject_submission(submission=rows[4], revision=1, reviewer=cast.lead, note="No.", reopen=False)
    accept_submission(submission=rows[5], revision=1, reviewer=cast.lead)
    reopen_submission(submission=rows[5], reviewer=cast.lead)
    return rows


def test_without_any_review_there_is_no_share(cast, client):
    done(cast, 4)
    assert everywhere(cast) == {(None, 0, 4)}
    figure = Figure.objects.get(project=cast.project, batch=None, user=None)
    assert trends.acceptance(figure).points == []
    assert "100 %" not in words(shown(client, cast))
    assert "4 not reviewed" in words(shown(client, cast)) and "4 not reviewed" in words(
        shown(client, cast, "people")
    )


def test_nine_not_sampled_and_one_returned_are_none_of_one(cast):
    rows = done(cast, 10)
    return_submission(submission=rows[0], revision=1, reviewer=cast.lead, note="Shorter.")
    assert everywhere(cast) == {(0.0, 1, 9)}
    [point] = trends.acceptance(Figure.objects.get(project=cast.project, batch=None, user=None)).points
    assert (point.value, point.part, point.size) == (0.0, 0, 1)


def test_fixed_work_is_reviewed_and_not_accepted_and_waiting_work_is_neither(cast):
    mixed(cast)
    assert everywhere(cast) == {(2 / 5, 5, 2)}
    review = person(cast).review
    assert (review.accepted, review.fixed, review.returned, review.rejected) == (2, 1, 1, 1)


@pytest.mark.parametrize("page", ["project_detail", "people", "person"])
def test_the_pages_say_what_is_counted_beside_the_number(cast, client, page):
    mixed(cast)
    keys = [cast.project.memberships.get(user=cast.annotator).pk] if page == "person" else []
    html = shown(client, cast, page, *keys)
    text = words(html)
    assert re.search(r"\b40 %", text)
    assert "of 5 reviewed" in text and "1 fixed" in text and "2 not reviewed" in text
    assert "Fixed work does not count as accepted" in html


@pytest.mark.parametrize(
    ("choice", "n"),
    [("any", 5), ("accepted", 2), ("fixed", 1), ("returned", 1), ("rejected", 1), ("none", 2)],
)
def test_each_number_leads_to_its_work(cast, client, choice, n):
    mixed(cast)
    client.force_login(cast.lead)
    address = reverse("labeling:submissions", args=[cast.project.slug]) + f"?review={choice}"
    assert client.get(address).context["listing"].page.paginator.count == n


def test_the_links_stand_on_the_pages(cast, client):
    mixed(cast)
    root = reverse("labeling:submissions", args=[cast.project.slug])
    people, overview = shown(client, cast, "people"), shown(client, cast)
    for choice in ("accepted", "any", "fixed", "none"):
        assert f'href="{root}?person={cast.annotator.pk}&amp;review={choice}"' in people
    assert f'href="{root}?kind=demonstration&amp;review=accepted"' in overview
    refresh_report(project=cast.project)
    batch = cast.project.batches.get().pk
    assert f'href="{root}?batch={batch}&amp;review=accepted"' in shown(client, cast)


def test_programs_and_files_read_the_same(cast, client, api_client_of):
    mixed(cast)
    refresh_report(project=cast.project)
    api, root = api_client_of(cast.lead), f"/api/projects/{cast.project.slug}"
    board = api.get(f"{root}/dashboard/").json()
    [row] = api.get(f"{root}/people/?search=anna").json()["results"]
    numbers = {
        "share": 0.4, "reviewed": 5, "accepted": 2, "fixed": 1, "returned": 1, "rejected": 1, "unreviewed": 2,
    }  # fmt: skip
    assert row["review"] == board["kinds"][0]["review"] == board["batches"][0]["review"] == numbers
    assert row["acceptance"] == board["kinds"][0]["acceptance"] == 0.4
    [point] = api.get(f"{root}/dashboard/trends/").json()["acceptance"]
    assert (point["reviewed"], point["accepted"]) == (5, 2)
    client.force_login(cast.lead)
    answer = client.get(reverse("labeling:people", args=[cast.project.slug]) + "?format=csv&q=anna")
    [line] = csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig")))
    assert [line[name] for name in ("reviewed", "accepted_as_it_was", "fixed", "not_reviewed")] == [
        "5",
        "2",
        "1",
        "2",
    ]
    assert float(line["acceptance"]) == 0.4


def test_people_are_sorted_by_it(cast, client):
    done(cast, 1)  # not reviewed: no share, last either way
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    reviewed = do_next(cast.peer, cast.project)
    reject_submission(submission=reviewed, revision=1, reviewer=cast.lead, note="No.")
    client.force_login(cast.lead)
    for sort in ("acceptance", "acceptance_low"):
        page = client.get(reverse("labeling:people", args=[cast.project.slug]) + f"?sort={sort}")
        assert page.context["rows"][0].member.user == cast.peer


# --- As reviews come and go ---------------------------------------------------------------------------------
def verdict(row) -> tuple[str, str]:
    row = Submission.objects.get(pk=row.pk)
    return row.status, row.verdict


def test_what_is_taken_back_is_not_reviewed(cast):
    [row] = done(cast, 1)
    review = accept_submission(submission=row, revision=1, reviewer=cast.lead)
    assert verdict(row) == ("accepted", "accepted")
    undo_decision(review=review, reviewer=cast.lead)
    assert verdict(row) == ("accepted", "")


def test_mended_work_waits_and_is_not_reviewed_until_it_is(cast):
    [row] = done(cast, 1)
    return_submission(submission=row, revision=1, reviewer=cast.lead, note="Shorter.")
    assert verdict(row) == ("returned", "returned")
    submit(claim(cast.annotator, cast.project), cast.annotator, text="Paris.")
    assert verdict(row) == ("awaiting_review", "")
    assert person(cast).review.reviewed == 0


def test_an_overturned_return_was_accepted_as_it_was(cast):
    [row] = done(cast, 1)
    return_submission(submission=row, revision=1, reviewer=cast.lead, note="Shorter.")
    appeal = open_appeal(submission=row, author=cast.annotator, text="It is short.")
    decide_appeal(appeal=appeal, reviewer=cast.admin, outcome="overturned", note="So it is.")
    assert verdict(row) == ("accepted", "accepted")
    assert everywhere(cast) == {(1.0, 1, 0)}


def test_work_of_before_is_counted_by_its_standing_review(cast):
    rows = mixed(cast)
    before = [verdict(row) for row in rows]
    Submission.objects.update(verdict="")
    importlib.import_module("labeling.migrations.0033_verdicts_that_there_are").fill(apps, None)
    assert [verdict(row) for row in rows] == before
