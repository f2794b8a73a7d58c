"""Time is counted once and whole, whatever happens to its process, from many projects at once."""

from __future__ import annotations

import random
import time
from datetime import timedelta

import pytest
from django.db.models import Sum
from django.utils import timezone

from labeling.models import Assignment, Draft, LedgerDay, LedgerEntry, Role, Submission
from labeling.services.assignments import claim_next
from labeling.services.projects import add_member
from labeling.services.submissions import submit_demonstration
from tests.cast import make_cast
from tests.factories import make_demonstration_batch, make_project

from .crew import Crew

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database, pytest.mark.slow]
HUNDRED = timedelta(seconds=100)


def in_hand(user, project):
    """A task handed out a hundred seconds ago."""
    make_demonstration_batch(project, tasks=1, review_rate=0)
    assignment = claim_next(user=user, project=project)
    began = timezone.now() - HUNDRED
    Assignment.objects.filter(pk=assignment.pk).update(leased_at=began)
    Draft.objects.filter(task=assignment.task_id, user=user).update(counted_from=began)
    return assignment


def order(project, user, assignment, key, seconds=80):
    return {
        "do": "submit", "project": project.pk, "users": [user.pk], "assignment": assignment.pk, "key": key,
        "seconds": seconds,
    }  # fmt: skip


@pytest.mark.parametrize("attempt", range(4))
def test_a_process_killed_around_its_submit_leaves_entry_and_day_with_the_work_or_neither(attempt):
    cast = make_cast()
    assignment = in_hand(cast.annotator, cast.project)
    crew = Crew([order(cast.project, cast.annotator, assignment, "once")])
    crew.go()
    time.sleep(random.Random(attempt).uniform(0, 0.06))
    crew.kill()
    before = Submission.objects.count()
    assert before == LedgerEntry.objects.count() == LedgerDay.objects.count()
    for _ in range(2):
        submit_demonstration(
            assignment=assignment,
            user=cast.annotator,
            fence=assignment.fence,
            idempotency_key="once",
            text="An answer.",
            active_seconds=80,
        )
    assert LedgerEntry.objects.values_list("seconds", "pieces").get() == (80, 1)
    assert LedgerDay.objects.values_list("seconds", "pieces").get() == (80, 1)


def test_submits_at_once_from_four_projects_are_one_persons_hundred_seconds():
    cast = make_cast()
    orders = []
    for number in range(4):
        project = make_project(acting_user=cast.admin, new_person_reviews=0)
        add_member(project=project, user=cast.annotator, role=Role.ANNOTATOR, acting_user=cast.admin)
        assignment = in_hand(cast.annotator, project)
        orders.append(order(project, cast.annotator, assignment, f"key-{number}"))
    crew = Crew(orders)
    crew.go()
    assert all("submission" in fact for fact in crew.facts())
    entries = LedgerEntry.objects.all()
    assert entries.aggregate(s=Sum("claimed_seconds"))["s"] == 4 * 80
    first, last = entries.order_by("started_at")[0].started_at, entries.order_by("-ended_at")[0].ended_at
    counted = entries.aggregate(s=Sum("seconds"))["s"]
    assert 100 <= counted <= (last - first).total_seconds()
    assert LedgerDay.objects.aggregate(s=Sum("seconds"))["s"] == counted
