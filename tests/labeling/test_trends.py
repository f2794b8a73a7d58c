"""Acceptance and agreement over time: counted by hand, drawn as curves, and a single day said in words."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from labeling import trends
from labeling.models import Figure, QualityReport, Ranking, Submission
from labeling.services.quality_reports import refresh_report
from labeling.services.reviews import accept_submission, reject_submission
from tests.factories import make_demonstration_batch, make_ranking_batch

from .ranked import rank
from .work import do_next

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def decided(cast, days_ago: int, accepted: int, rejected: int = 0) -> None:
    """Reviewed demonstrations, decided on that many days ago."""
    make_demonstration_batch(cast.project, tasks=accepted + rejected, review_rate=1)
    for number in range(accepted + rejected):
        submission = do_next(cast.annotator, cast.project)
        if number < accepted:
            accept_submission(submission=submission, revision=1, reviewer=cast.lead)
        else:
            reject_submission(submission=submission, revision=1, reviewer=cast.lead, note="No.")
        Submission.objects.filter(pk=submission.pk).update(
            decided_at=timezone.now() - timedelta(days=days_ago)
        )


def day(days_ago: int):
    return (timezone.now() - timedelta(days=days_ago)).date()


def curve(cast) -> trends.Trend:
    refresh_report(project=cast.project)
    return trends.acceptance(Figure.objects.get(project=cast.project, batch=None, user=None))


def page(client, cast) -> str:
    client.force_login(cast.lead)
    answer = client.get(reverse("labeling:project_detail", args=[cast.project.slug]))
    return answer.content.decode()


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_acceptance_is_what_was_accepted_of_what_was_reviewed_that_day(cast):
    decided(cast, 3, accepted=3, rejected=1)
    decided(cast, 1, accepted=1, rejected=1)
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    do_next(cast.annotator, cast.project)  # waits: nothing was decided on it
    points = [(point.day, point.value, point.part, point.size) for point in curve(cast).points]
    assert points == [(day(3), 0.75, 3, 4), (day(1), 0.5, 1, 2)]


def test_days_before_the_last_thirty_are_left_out_and_the_thirtieth_is_not(cast):
    decided(cast, 30, accepted=1)
    decided(cast, 29, accepted=1)
    assert [point.day for point in curve(cast).points] == [day(29)]


def test_a_curve_has_only_days_with_decisions_so_that_no_point_stands_alone(cast):
    for ago in (9, 5, 1):
        decided(cast, ago, accepted=1)
    chart = curve(cast).chart
    assert [(b - a) // 86_400 for a, b in zip(chart["x"], chart["x"][1:], strict=False)] == [4, 4]
    assert chart["series"][0]["values"] == [1, 1, 1]


def test_the_overview_draws_two_days_and_says_one_in_words(cast, client):
    decided(cast, 2, accepted=1, rejected=2)
    refresh_report(project=cast.project)
    html = page(client, cast)
    assert 'id="acceptance"' not in html
    assert "the only day with reviews so far, 1 of 3 reviewed were accepted as they were (33.3 %)" in words(
        html
    )
    decided(cast, 1, accepted=1)
    refresh_report(project=cast.project)
    html = page(client, cast)
    assert 'id="acceptance"' in html
    assert "the only day with reviews" not in html


def test_with_nothing_decided_it_says_so(cast, client):
    text = words(page(client, cast))
    assert "Nothing was reviewed in the last 30 days" in text
    assert "No two people have ranked the same task yet" in text


def two_rank(cast, second) -> None:
    make_ranking_batch(cast.project, tasks=1, k=3, overlap=2, review_rate=0)
    rank(cast.annotator, cast.project, [[0], [1], [2]])
    rank(cast.peer, cast.project, second)


def test_agreement_of_one_day_is_said_and_of_two_drawn(cast, client):
    two_rank(cast, [[0], [2], [1]])
    Submission.objects.update(created_at=timezone.now() - timedelta(days=2))
    refresh_report(project=cast.project)
    html = page(client, cast)
    assert 'id="agreement"' not in html
    # Two of three pairs are put alike.
    assert "they agreed on 66.7 % of 3 comparisons" in words(html)
    quality = reverse("labeling:quality", args=[cast.project.slug])
    assert 'id="trend"' not in client.get(quality).content.decode()
    two_rank(cast, [[0], [1], [2]])
    refresh_report(project=cast.project)
    assert 'id="agreement"' in page(client, cast)
    assert 'id="trend"' in client.get(quality).content.decode()
    points = trends.agreement(QualityReport.objects.get(project=cast.project)).points
    assert [(point.day, round(point.value, 6)) for point in points] == [(day(2), 0.666667), (day(0), 1.0)]


def test_a_day_on_which_nothing_could_be_compared_is_no_point(cast):
    two_rank(cast, [[0], [1], [2]])
    ids = list(Ranking.objects.first().tiers)
    Ranking.objects.filter(author=cast.peer).update(tiers=[], unrankable=[pk for tier in ids for pk in tier])
    refresh_report(project=cast.project)
    assert trends.agreement(QualityReport.objects.get(project=cast.project)).points == []


def test_programs_read_the_same_points(cast, api_client_of):
    decided(cast, 1, accepted=1, rejected=1)
    two_rank(cast, [[0], [1], [2]])
    refresh_report(project=cast.project)
    found = api_client_of(cast.lead).get(f"/api/projects/{cast.project.slug}/dashboard/trends/").json()
    assert found["acceptance"][0] == {"day": day(1).isoformat(), "reviewed": 2, "accepted": 1}
    assert (found["agreement"][0]["day"], found["agreement"][0]["agreement"]) == (day(0).isoformat(), 1.0)
    assert (
        api_client_of(cast.annotator).get(f"/api/projects/{cast.project.slug}/dashboard/trends/").status_code
        == 403
    )
