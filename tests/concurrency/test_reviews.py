"""Two reviewers decide on the same submission at once: one decides, the other is told what happened."""

from __future__ import annotations

import pytest

from labeling.models import Assignment, AuditEvent, LedgerEntry, Review, Role, Submission
from labeling.services.projects import add_member
from labeling.services.reviews import accept_submission
from tests.cast import make_cast
from tests.factories import make_demonstration_batch, make_user
from tests.labeling.work import do_next

from .crew import Crew

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database, pytest.mark.slow]
REVIEWERS = 4


@pytest.fixture
def waiting():
    """(project, a submission that waits, its reviewers)"""
    cast = make_cast()
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    reviewers = [make_user() for _ in range(REVIEWERS)]
    for person in reviewers:
        add_member(project=cast.project, user=person, role=Role.LEAD, acting_user=cast.admin)
    return cast.project, submission, reviewers


def orders(waiting, what):
    project, submission, reviewers = waiting
    return [
        {"do": what, "project": project.pk, "users": [person.pk], "submission": submission.pk}
        for person in reviewers
    ]


def test_one_decides_and_the_others_are_told_who(waiting):
    _, submission, reviewers = waiting
    crew = Crew(orders(waiting, "decide"))
    crew.go()
    facts = crew.facts()
    [winner] = [fact["decided"] for fact in facts if "decided" in fact]
    refused = [fact for fact in facts if "code" in fact]
    assert [fact["code"] for fact in refused] == ["already_decided"] * (REVIEWERS - 1)
    name = next(str(person) for person in reviewers if person.pk == winner)
    assert all(fact["message"].startswith(name) for fact in refused)
    review = Review.objects.get()
    assert review.reviewer_id == winner
    assert Submission.objects.get(pk=submission.pk).status == review.decision
    assert AuditEvent.objects.filter(action="submission.reviewed").count() == 1
    spare = Assignment.objects.filter(task=submission.task, status="open").count()
    assert spare == (1 if review.decision == "rejected" else 0)


def test_without_the_guard_they_would_all_decide(waiting):
    """The control: the race is real."""
    crew = Crew(orders(waiting, "decide without guard"))
    crew.go()
    assert sum("decided" in fact for fact in crew.facts()) > 1
    assert Review.objects.count() > 1


def test_one_decision_taken_back_by_two_processes_takes_one_piece_back(waiting):
    project, submission, [reviewer, *_] = waiting
    review = accept_submission(submission=submission, revision=1, reviewer=reviewer)
    one = {"do": "take back", "project": project.pk, "users": [reviewer.pk], "review": review.pk}
    crew = Crew([one, dict(one)])
    crew.go()
    assert sorted(map(str, crew.facts())) == sorted(
        map(str, [{"taken_back": reviewer.pk}, {"code": "already_reopened"}])
    )
    pieces = LedgerEntry.objects.filter(user=reviewer).order_by("pk").values_list("activity", "pieces")
    assert list(pieces) == [("review", 1), ("undone", -1)]
