"""Overlap is never exceeded (promise 1), by real processes on the real database."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from django.db import transaction

from labeling.models import Assignment, Role, Submission, Task
from labeling.services.projects import add_member
from tests.cast import make_cast
from tests.factories import make_demonstration_batch, make_user

from .crew import Crew

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database, pytest.mark.slow]
PROCESSES = 64


@pytest.fixture
def claimers():
    """A project and 64 annotators."""
    cast = make_cast()
    users = [make_user(f"claimer{number}") for number in range(PROCESSES)]
    for user in users:
        add_member(project=cast.project, user=user, role=Role.ANNOTATOR, acting_user=cast.admin)
    return cast.project, [user.pk for user in users]


def let_loose(project, users, what: str) -> list[dict]:
    crew = Crew([{"do": what, "project": project.pk, "users": users, "fork": True}])
    crew.go()
    return crew.facts()


def test_64_processes_fill_every_slot_and_none_twice(claimers):
    project, users = claimers
    make_demonstration_batch(project, tasks=40, overlap=3, review_rate=0)
    let_loose(project, users, "work")
    per_task = Counter(Submission.objects.values_list("task", flat=True))
    assert list(per_task.values()) == [3] * 40
    pairs = Counter(Submission.objects.values_list("task", "annotator"))
    assert max(pairs.values()) == 1
    assert set(Task.objects.values_list("status", flat=True)) == {"done"}
    assert set(Assignment.objects.values_list("status", flat=True)) == {"submitted"}


def test_nobody_is_idle_while_a_slot_is_free(claimers):
    project, users = claimers
    make_demonstration_batch(project, tasks=32, overlap=2)
    facts = let_loose(project, users, "claim")
    assert len({fact["assignment"] for fact in facts}) == len(facts) == PROCESSES
    assert {fact["user"] for fact in facts} == set(users)


def test_a_slot_that_somebody_lets_go_of_is_not_passed_over(claimers):
    """Its sibling being claimed holds the last free slot for a moment, too: who asks then waits for it."""
    project, users = claimers
    make_demonstration_batch(project, tasks=1)
    crew = Crew([{"do": "claim", "project": project.pk, "users": users[:3], "fork": True}])
    with transaction.atomic():
        Assignment.objects.select_for_update(no_key=True).get()
        crew.go()
        time.sleep(1)
    assert len(crew.facts()) == 1


def test_only_as_many_claims_succeed_as_there_are_slots(claimers):
    project, users = claimers
    make_demonstration_batch(project, tasks=3, overlap=2)
    facts = let_loose(project, users, "claim")
    assert len({fact["assignment"] for fact in facts}) == len(facts) == 6
    held = Assignment.objects.filter(status="leased").values_list("pk", "annotator")
    assert set(held) == {(fact["assignment"], fact["user"]) for fact in facts}


def test_without_the_guard_the_same_slot_is_handed_out_again(claimers):
    """The race is real: the same crew, reading first and writing afterwards, hands slots out twice."""
    project, users = claimers
    make_demonstration_batch(project, tasks=3, overlap=2)
    facts = let_loose(project, users, "claim without guard")
    handed_out = Counter(fact["assignment"] for fact in facts)
    assert max(handed_out.values()) > 1
