"""A slot that a lead has kept for somebody is everybody's again once they are paused or removed."""

from __future__ import annotations

import pytest
from django.urls import reverse

from labeling.models import Assignment, AuditEvent
from labeling.services.assignments import claim_next
from labeling.services.people import pause_member, remove_member, resume_member
from labeling.services.task_control import assign_task
from tests.factories import make_demonstration_batch

from .work import claim


@pytest.fixture
def member(cast):
    return cast.project.memberships.get(user=cast.annotator)


@pytest.fixture
def kept(cast, member):
    task = make_demonstration_batch(cast.project, tasks=1).tasks.get()
    assign_task(task=task, membership=member, acting_user=cast.lead)
    assert claim_next(user=cast.peer, project=cast.project) is None
    return task


@pytest.mark.parametrize("leave", [pause_member, remove_member])
def test_others_get_it_and_the_trail_names_its_task(cast, kept, member, leave):
    leave(membership=member, acting_user=cast.admin)
    assert claim(cast.peer, cast.project).task_id == kept.pk
    event = AuditEvent.objects.get(action="membership.status_changed")
    assert event.data["freed_tasks"] == [kept.pk]


def test_what_others_keep_stays_theirs(cast, kept, member):
    other = make_demonstration_batch(cast.project, tasks=1).tasks.get()
    assign_task(task=other, membership=cast.project.memberships.get(user=cast.peer), acting_user=cast.lead)
    pause_member(membership=member, acting_user=cast.admin)
    assert Assignment.objects.get(reserved_for__isnull=False).task_id == other.pk


def test_who_is_back_finds_it_among_the_rest(cast, kept, member):
    pause_member(membership=member, acting_user=cast.admin)
    resume_member(membership=member, acting_user=cast.admin)
    assert claim(cast.annotator, cast.project).task_id == kept.pk
    events = AuditEvent.objects.filter(action="membership.status_changed").order_by("pk")
    assert ["freed_tasks" in event.data for event in events] == [True, False]


def test_who_pauses_them_is_told_how_many(cast, kept, member, client):
    client.force_login(cast.admin)
    url = reverse("labeling:member_change", args=[cast.project.slug, member.pk])
    answer = client.post(url, {"change": "pause"}, follow=True)
    assert "1 task that was kept for them goes to others." in answer.content.decode()
