"""Leads change tasks while annotators work on them: 64 real processes on the real database."""

from __future__ import annotations

from collections import Counter

import pytest

from labeling.models import Assignment, Role, Submission, Task
from labeling.services.projects import add_member
from tests.cast import make_cast
from tests.factories import make_demonstration_batch, make_user

from .crew import Crew

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database, pytest.mark.slow]
ANNOTATORS, LEADS = 60, 4


@pytest.fixture
def people():
    """(project, annotators, leads)."""
    cast = make_cast()

    def members(count: int, role: Role) -> list[int]:
        users = [make_user(f"{role}{number}") for number in range(count)]
        for user in users:
            add_member(project=cast.project, user=user, role=role, acting_user=cast.admin)
        return [user.pk for user in users]

    return cast.project, members(ANNOTATORS, Role.ANNOTATOR), members(LEADS, Role.LEAD)


def crews(project, annotators, leads, *, guarded: bool) -> tuple[Crew, Crew]:
    """(annotators, leads), each ready to go."""
    order = {"project": project.pk, "fork": True}
    lead = {**order, "do": "lead", "users": leads, "rounds": 12, "guarded": guarded}
    return Crew([{**order, "do": "work beside leads", "users": annotators}]), Crew([lead])


def lost() -> int:
    """Submissions whose slot was voided though nobody rejected them."""
    return Submission.objects.filter(assignment__status="void").exclude(status="rejected").count()


def test_no_task_is_judged_too_often_and_no_work_is_lost_whatever_leads_do(people):
    project, annotators, leads = people
    make_demonstration_batch(project, tasks=12, overlap=3, review_rate=0)
    working, leading = crews(project, annotators, leads, guarded=True)
    working.go()
    leading.go()
    facts = working.facts() + leading.facts()
    assert len({fact["lead"] for fact in facts if "lead" in fact}) >= 4  # most verbs took effect
    # A lead may take work back, and it is kept then; nothing else stops a submission.
    refusals = {fact["refused"] for fact in facts if fact.get("by") == "annotator"}
    assert refusals <= {"withdrawn"}
    assert lost() == 0
    live = Counter(Assignment.objects.live().values_list("task", flat=True))
    judged = Counter(Submission.objects.values_list("task", flat=True))
    for task in Task.objects.all():
        assert live[task.pk] == task.overlap
        assert judged[task.pk] <= task.overlap
    assert max(Counter(Submission.objects.values_list("task", "annotator")).values()) == 1
    # Done is done: no slot of a done task waits for anybody.
    waiting = Assignment.objects.filter(task__status="done", status__in=["open", "leased", "returned"])
    assert not waiting.exists()


def test_without_the_guard_a_lead_voids_what_people_have_taken(people):
    """The race is real: look, think, then write, and slots in hand or submitted are void."""
    project, annotators, leads = people
    make_demonstration_batch(project, tasks=30, overlap=3, review_rate=0)
    working, leading = crews(project, annotators, leads[:1], guarded=False)
    leading.go()
    assert leading.next_fact() == {"looked": 90}
    working.go()
    closed_under_them = [fact for fact in working.facts() if fact.get("refused") == "task_closed"]
    leading.facts()
    assert lost() + len(closed_under_them) > 0
