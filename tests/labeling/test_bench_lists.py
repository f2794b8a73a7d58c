"""The benchmark of the lists asks for every list, in every form, and counts what a page asks the database."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling import bench_lists, bench_lists_site, paging
from labeling.models import SubmissionStatus

SUBMISSIONS = 60


@pytest.fixture
def site(client, db, monkeypatch):
    """The benchmark's project, small; whoever looks is signed in."""
    for name, value in (("PEOPLE", 12), ("DAYS", 3), ("BATCHES", 5)):
        monkeypatch.setattr(bench_lists_site, name, value)
    project = bench_lists_site.fill(SUBMISSIONS)
    client.force_login(project.created_by)
    return project


def test_the_project_has_what_it_says(site):
    assert site.submissions.count() == SUBMISSIONS
    assert site.submissions.filter(status=SubmissionStatus.AWAITING_REVIEW).exists()
    assert not site.submissions.filter(decided_at=None).exclude(status="awaiting_review").exists()


def test_every_page_answers(site, client):
    for address in bench_lists._addresses(site):
        assert bench_lists._get(client, address)


def test_a_list_is_asked_for_in_every_form(site, client):
    address = reverse("labeling:submissions", args=[site.slug])
    forms = list(bench_lists._forms(client, address))
    assert f"{address}?sort=slowest&page=2" in forms  # 60 submissions, 50 a page
    assert f"{address}?sort=newest&status=returned" in forms
    assert f"{address}?q=no+such+words&sort=newest" in forms
    assert f"{address}?sort=newest&format=csv" in forms
    assert len(forms) == len(set(forms))


def test_a_measurement_counts_the_queries_of_one_page(site, client):
    address = reverse("labeling:batches", args=[site.slug])
    bench_lists._get(client, address)
    with CaptureQueriesContext(connection) as queries:
        bench_lists._get(client, address)
        count = len(queries)
    assert bench_lists._measured(client, address).queries == count > 0


def test_a_long_list_costs_one_query_more_than_a_short_one_and_shows_the_same(site, client, monkeypatch):
    address = reverse("labeling:submissions", args=[site.slug]) + "?sort=slowest&page=2"
    plain = bench_lists._get(client, address)  # what is cached is there from now on
    short = bench_lists._measured(client, address)
    monkeypatch.setattr(paging, "LONG", 10)
    assert bench_lists._measured(client, address).queries == short.queries + 1
    rows = plain.count(b'name="chosen"')
    assert bench_lists._get(client, address).count(b'name="chosen"') == rows == SUBMISSIONS - 50
