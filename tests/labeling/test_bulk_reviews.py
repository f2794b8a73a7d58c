"""One decision on a selection: each by itself, with its own audit row."""

from __future__ import annotations

import pytest

from annotate.errors import Invalid
from labeling.models import AuditEvent, Review, Submission
from labeling.services.bulk_reviews import MOST_AT_ONCE, Chosen, decide_many
from labeling.services.people import pause_member
from labeling.services.reviews import accept_submission
from tests.factories import make_demonstration_batch

from .work import do_next


@pytest.fixture
def submissions(cast):
    make_demonstration_batch(cast.project, tasks=3, review_rate=1)
    return [do_next(cast.annotator, cast.project) for _ in range(3)]


def decide(cast, submissions, decision, **fields):
    chosen = [Chosen(each, each.revision_count) for each in submissions]
    return decide_many(project=cast.project, chosen=chosen, decision=decision, reviewer=cast.lead, **fields)


@pytest.mark.parametrize(
    ("decision", "fields"),
    [("accepted", {}), ("returned", {"reasons": ["style"]}), ("rejected", {"note": "Copied."})],
)
def test_each_gets_its_review_and_audit_row(cast, submissions, decision, fields):
    outcomes = decide(cast, submissions, decision, **fields)
    assert [outcome.review.submission_id for outcome in outcomes] == [each.pk for each in submissions]
    assert set(Submission.objects.values_list("status", flat=True)) == {decision}
    events = AuditEvent.objects.filter(action="submission.reviewed", actor=cast.lead)
    assert sorted(int(event.object_id) for event in events) == [each.pk for each in submissions]


def test_what_stands_in_the_way_of_one_hinders_no_other(cast, submissions):
    accept_submission(submission=submissions[1], revision=1, reviewer=cast.admin)
    own = None
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    own = do_next(cast.lead, cast.project)
    outcomes = decide(cast, [*submissions, own], "rejected", note="Copied.")
    assert [outcome.error.code if outcome.error else None for outcome in outcomes] == [
        None,
        "already_decided",
        None,
        "own_work",
    ]
    statuses = Submission.objects.order_by("pk").values_list("status", flat=True)
    assert list(statuses) == ["rejected", "accepted", "rejected", "awaiting_review"]


def test_work_of_somebody_who_left_is_not_returned(cast, submissions):
    pause_member(membership=cast.project.memberships.get(user=cast.annotator), acting_user=cast.lead)
    outcomes = decide(cast, submissions, "returned", note="Shorter.")
    assert {outcome.error.code for outcome in outcomes} == {"author_away"}
    assert not Review.objects.exists()


def test_bad_news_without_a_reason_decides_nothing(cast, submissions):
    with pytest.raises(Invalid) as caught:
        decide(cast, submissions, "returned")
    assert caught.value.field == "reasons"
    assert not Review.objects.exists()


@pytest.mark.parametrize("decision", ["fixed", "", "deleted"])
def test_only_three_decisions_are_made_in_bulk(cast, submissions, decision):
    with pytest.raises(Invalid):
        decide(cast, submissions, decision)


def test_none_or_too_many_are_refused(cast, submissions):
    for chosen in ([], submissions[:1] * (MOST_AT_ONCE + 1)):
        with pytest.raises(Invalid):
            decide(cast, chosen, "accepted")
