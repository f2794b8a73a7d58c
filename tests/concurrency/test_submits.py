"""An acknowledged submission is durable and stored once (promise 3), whatever happens to the process."""

from __future__ import annotations

import random
import time

import pytest

from labeling.models import (
    Assignment,
    AuditEvent,
    Demonstration,
    Review,
    Submission,
    SubmissionReceipt,
)
from labeling.services.assignments import claim_next
from labeling.services.submissions import submit_demonstration
from tests.cast import make_cast
from tests.factories import make_demonstration_batch

from .crew import Crew

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database, pytest.mark.slow]


@pytest.fixture
def claimed():
    """(project, user, assignment in hand), with enough tasks for more."""
    cast = make_cast()
    make_demonstration_batch(cast.project, tasks=8, review_rate=0)
    return cast.project, cast.annotator, claim_next(user=cast.annotator, project=cast.project)


def order(project, user, assignment, key):
    return {
        "do": "submit",
        "project": project.pk,
        "users": [user.pk],
        "assignment": assignment.pk,
        "key": key,
    }


def test_the_same_key_from_eight_clients_at_once_is_one_row(claimed):
    project, user, assignment = claimed
    orders = [{**order(project, user, assignment, "same"), "users": [user.pk] * 2} for _ in range(4)]
    crew = Crew(orders)
    crew.go()
    facts = crew.facts()
    assert len(facts) == 8
    assert {fact.get("submission") for fact in facts} == {Submission.objects.get().pk}
    assert (Demonstration.objects.count(), SubmissionReceipt.objects.count()) == (1, 1)


def test_different_keys_at_once_store_one_and_tell_the_others(claimed):
    project, user, assignment = claimed
    crew = Crew([order(project, user, assignment, f"key-{number}") for number in range(4)])
    crew.go()
    codes = sorted(fact.get("code", "stored") for fact in crew.facts())
    assert codes == ["already_submitted"] * 3 + ["stored"]
    assert Submission.objects.count() == 1


@pytest.mark.parametrize("attempt", range(4))
def test_a_process_killed_around_its_submit_leaves_all_or_nothing(claimed, attempt):
    project, user, assignment = claimed
    crew = Crew([order(project, user, assignment, "once")])
    crew.go()
    time.sleep(random.Random(attempt).uniform(0, 0.06))
    crew.kill()
    before = Submission.objects.count()
    assert before == Demonstration.objects.count() == SubmissionReceipt.objects.count()
    assert before == AuditEvent.objects.filter(action="submission.submitted").count()
    assert Assignment.objects.get(pk=assignment.pk).status == ("submitted" if before else "leased")
    # The client never saw an answer and sends the same again: one submission, and twice the same reply.
    again = [
        submit_demonstration(
            assignment=assignment,
            user=user,
            fence=assignment.fence,
            idempotency_key="once",
            text="An answer.",
        )
        for _ in range(2)
    ]
    assert {each.pk for each in again} == set(Submission.objects.values_list("pk", flat=True))
    assert Submission.objects.count() == 1
    assert not Review.objects.exists()
