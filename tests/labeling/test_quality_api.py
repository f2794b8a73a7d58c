"""The quality numbers, the items and the way back to work, for programs."""

from __future__ import annotations

import pytest

from labeling.models import Submission, TaskAgreement
from labeling.services.quality_reports import refresh_report
from tests.factories import make_ranking_batch

from .ranked import rank

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead(api_client_of, cast):
    return api_client_of(cast.lead)


@pytest.fixture
def shared(cast):
    make_ranking_batch(cast.project, tasks=2, k=3, overlap=2, review_rate=0)
    for user, second in ((cast.annotator, [[0], [1], [2]]), (cast.peer, [[2], [1], [0]])):
        rank(user, cast.project, [[0], [1], [2]])
        rank(user, cast.project, second)
    refresh_report(project=cast.project)
    return f"/api/projects/{cast.project.slug}"


def test_before_a_report_there_is_an_empty_one_and_it_can_be_asked_for(lead, cast):
    root = f"/api/projects/{cast.project.slug}/quality"
    assert lead.get(f"{root}/").json()["as_of"] is None
    assert lead.get(f"{root}/meters/").json()["people"] == []
    assert lead.get(f"{root}/agreement/").json() == []
    assert lead.post(f"{root}/refresh/").json()["as_of"] is not None


def test_the_headline_is_the_pages(lead, shared):
    agreement = lead.get(f"{shared}/quality/").json()["agreement"]
    assert agreement["pairwise_agreement"]["value"] == 0.5
    assert agreement["pairwise_agreement"]["size"] == 6
    assert agreement["ceiling"]["low"] == 0.5


def test_agreement_by_every_cut(lead, shared, cast):
    rows = lead.get(f"{shared}/quality/agreement/?by=pair").json()
    assert [(set(row["key"]), row["agreement"]["value"]) for row in rows] == [
        ({cast.annotator.pk, cast.peer.pk}, 0.5)
    ]
    assert rows[0]["cohen_kappa"]["value"] == pytest.approx(0)
    assert lead.get(f"{shared}/quality/agreement/?by=batch").json()[0]["label"].startswith("Rankings")
    assert lead.get(f"{shared}/quality/agreement/?by=mood").status_code == 422


def test_meters_name_their_people(lead, shared, cast):
    meters = lead.get(f"{shared}/quality/meters/").json()
    assert {row["person"]: row["name"] for row in meters["people"]} == {
        cast.annotator.pk: cast.annotator.name,
        cast.peer.pk: cast.peer.name,
    }


def test_items_have_the_lowest_agreement_first_and_are_paged(lead, shared):
    body = lead.get(f"{shared}/quality/disagreements/").json()
    assert body["count"] == 2
    assert [row["agreement"] for row in body["results"]] == [0.0, 1.0]
    assert lead.get(f"{shared}/quality/disagreements/?value__lt=0.5").json()["count"] == 1


def test_work_is_judged_again(lead, shared, cast):
    own = Submission.objects.filter(annotator=cast.peer).first()
    body = {"submissions": [own.pk], "mode": "return", "note": "See version 2."}
    assert lead.post(f"{shared}/submissions/requeue/", body, format="json").json() == {
        "done": [own.pk],
        "refused": [],
    }
    again = lead.post(f"{shared}/submissions/requeue/", body, format="json").json()
    assert [each["submission"] for each in again["refused"]] == [own.pk]


def test_annotators_get_none_of_it(api_client_of, shared, cast):
    client = api_client_of(cast.annotator)
    for name in ("", "agreement/", "meters/", "disagreements/"):
        assert client.get(f"{shared}/quality/{name}").status_code == 403
    assert TaskAgreement.objects.count() == 2
