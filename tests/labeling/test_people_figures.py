"""The people page: every number by hand and with a link to its work, few queries for many people."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from labeling import people_report
from labeling.models import Role, Submission, SubmissionStatus
from labeling.people_report import figures_of
from labeling.services.assignments import skip_assignment
from labeling.services.projects import add_member
from labeling.services.quality_reports import refresh_due, refresh_report
from tests.factories import make_demonstration_batch, make_ranking_batch, make_user

from .work import claim, do_next, submit, worked

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def figures(cast, user):
    return figures_of(cast.project, [cast.project.memberships.select_related("user").get(user=user)])[0]


def ranked(cast, user, order):
    """The open ranking of a person, best first by the completions' own order."""
    assignment = claim(user, cast.project, "ranking")
    completions = sorted(assignment.task.completions.values_list("pk", flat=True))
    tiers = [[completions[place]] for place in order]
    scores = dict.fromkeys(completions, 4)
    return submit(assignment, user, tiers=tiers, scores=scores, touched=completions)


@pytest.fixture
def page(cast, client):
    client.force_login(cast.lead)

    def visit(query=""):
        return client.get(reverse("labeling:people", args=[cast.project.slug]) + query)

    return visit


def test_pieces_states_and_pace(cast):
    make_demonstration_batch(cast.project, tasks=5, review_rate=0)
    for seconds in (60, 120):
        submit(worked(claim(cast.annotator, cast.project), 4000), cast.annotator, active_seconds=seconds)
    submission = do_next(cast.annotator, cast.project)
    Submission.objects.filter(pk=submission.pk).update(status=SubmissionStatus.RETURNED)
    skip_assignment(
        assignment=worked(claim(cast.annotator, cast.project), 4000), user=cast.annotator,
        reason="unclear", active_seconds=60,
    )  # fmt: skip
    row = figures(cast, cast.annotator)
    assert (row.pieces, row.piece_count) == ({"demonstration": 3}, 3)
    # Nobody reviewed the other two: they say nothing of acceptance.
    assert (row.review.reviewed, row.review.unreviewed, row.acceptance) == (1, 2, 0)
    assert row.seconds == row.today_seconds == 240
    assert row.pace == pytest.approx(3 * 3600 / 240)
    assert row.skip_reasons == [("unclear", "The prompt is unclear", 1)]
    assert (len(row.trend), row.trend[-1], sum(row.trend)) == (14, 3, 3)


def test_agreement_and_position_by_hand(cast):
    make_ranking_batch(cast.project, tasks=1, k=3, overlap=2, review_rate=0)
    ranked(cast, cast.annotator, [0, 1, 2])
    ranked(cast, cast.peer, [0, 2, 1])
    assert refresh_due() == 1
    row = figures(cast, cast.annotator)
    # Of three pairs two are put the same way.
    assert (row.figure.agreement, row.figure.agreement_pairs) == (pytest.approx(2 / 3), 3)
    shown = Submission.objects.get(annotator=cast.annotator).current.presented_order
    ranking = [pk for [pk] in Submission.objects.get(annotator=cast.annotator).current.tiers]
    wins = sum((shown.index(ranking[i]) < shown.index(ranking[j])) for i in range(3) for j in range(i + 1, 3))
    assert (row.figure.position, row.figure.position_pairs) == (pytest.approx(wins / 3), 3)


def test_a_rejected_ranking_agrees_with_nobody(cast):
    make_ranking_batch(cast.project, tasks=1, k=3, overlap=2, review_rate=0)
    ranked(cast, cast.annotator, [0, 1, 2])
    Submission.objects.filter(pk=ranked(cast, cast.peer, [0, 2, 1]).pk).update(status="rejected")
    refresh_report(project=cast.project)
    assert figures(cast, cast.annotator).figure.agreement is None


def test_each_number_leads_to_the_work_behind_it(cast, client, page):
    make_demonstration_batch(cast.project, tasks=2, review_rate=0)
    do_next(cast.annotator, cast.project)
    skip_assignment(assignment=claim(cast.annotator, cast.project), user=cast.annotator, reason="unsafe")
    text = page().content.decode()
    member = cast.project.memberships.get(user=cast.annotator).pk
    root = f"/projects/{cast.project.slug}"
    work = f"{root}/submissions/?person={cast.annotator.pk}"
    skips = f"{root}/people/{member}/skips/?reason=unsafe"
    for link in (f"{work}&kind=demonstration", f"{work}&review=none", skips):
        assert f'href="{escape(link)}"' in text
        answer = client.get(link)
        assert (answer.status_code, answer.context["listing"].page.paginator.count) == (200, 1)
        assert client.get(f"{link}&format=csv")["Content-Type"].startswith("text/csv")


def test_it_is_searched_filtered_and_sorted(cast, page):
    make_demonstration_batch(cast.project, tasks=4, review_rate=0)
    for user, pieces in ((cast.annotator, 1), (cast.peer, 2)):
        for _ in range(pieces):
            do_next(user, cast.project)

    def names(query):
        return [row.member.user.username for row in page(query).context["rows"]]

    assert names("?q=pet") == ["petra"]
    assert names("?role=annotator&sort=pieces") == ["petra", "anna"]
    assert set(names("?activity=worked")) == {"anna", "petra"}
    assert set(names("?activity=idle")) == {"alice", "lena"}
    for sort in people_report.sort_orders(cast.project):
        assert len(names(f"?sort={sort}")) == 4


def queries_of(act) -> int:
    with CaptureQueriesContext(connection) as captured:
        act()
    return len(captured.captured_queries)


@pytest.mark.parametrize("name", ["people", "project_detail", "payroll"])
def test_the_number_of_queries_does_not_grow_with_people_and_work(cast, client, name):
    client.force_login(cast.lead)
    address = reverse(f"labeling:{name}", args=[cast.project.slug])
    make_demonstration_batch(cast.project, tasks=12, review_rate=0)
    do_next(cast.annotator, cast.project)
    client.get(address)
    few = queries_of(lambda: client.get(address))
    for _ in range(5):
        user = make_user()
        add_member(project=cast.project, user=user, role=Role.ANNOTATOR, acting_user=cast.admin)
        do_next(user, cast.project)
    assert queries_of(lambda: client.get(address)) == few <= 34


def test_programs_read_the_same(cast, api_client_of):
    make_demonstration_batch(cast.project, tasks=2, review_rate=0)
    do_next(cast.annotator, cast.project)
    answer = api_client_of(cast.lead).get(f"/api/projects/{cast.project.slug}/people/?search=anna").json()
    [row] = answer["results"]
    assert (row["pieces"], row["acceptance"]) == ({"demonstration": 1}, None)
    assert row["review"]["unreviewed"] == 1


def test_who_has_skipped_nothing_is_said_to_and_a_filter_without_a_match_says_that(client, cast):
    client.force_login(cast.lead)
    member = cast.project.memberships.get(user=cast.annotator)
    address = reverse("labeling:person_skips", args=[cast.project.slug, member.pk])
    page = client.get(address).content.decode()
    assert "Anna has skipped nothing" in page and "Nothing matches." not in page
    assert "Nothing matches." in client.get(f"{address}?reason=unsafe").content.decode()
