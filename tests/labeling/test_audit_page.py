"""The audit trail's page: by person, action, object and day; old and new values side by side; as CSV."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from labeling.models import AuditEvent
from labeling.services.activity import notify
from labeling.services.people import pause_member, remove_member
from labeling.services.projects import update_settings
from tests.factories import make_demonstration_batch, make_user

from .work import do_next

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def page(cast, client):
    """The admin's page after a day's work: a submission, a setting changed, somebody paused."""
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    do_next(cast.annotator, cast.project)
    update_settings(project=cast.project, values={"lease_minutes": 30}, acting_user=cast.admin)
    member = cast.project.memberships.get(user=cast.peer)
    pause_member(membership=member, acting_user=cast.admin)
    client.force_login(cast.admin)

    def get(query=""):
        return client.get(reverse("labeling:audit", args=[cast.project.slug]) + query)

    return get


def actions(answer) -> set[str]:
    return {event.action for event in answer.context["listing"].page}


def test_it_is_narrowed_to_what_one_person_did(cast, page):
    assert "submission.submitted" in actions(page(f"?who={cast.annotator.pk}"))
    assert "project.settings_changed" not in actions(page(f"?who={cast.annotator.pk}"))
    AuditEvent.objects.create(project=cast.project, action="import.failed", object_type="x", object_id="1")
    assert actions(page("?who=system")) == {"import.failed"}


def offered(answer) -> dict[str, str]:
    """{value: words} of the people that the list can be narrowed to."""
    return dict(answer.context["listing"].filters[0].choices)


def test_people_who_were_removed_and_admins_of_the_site_who_acted_can_be_chosen_too(cast, page):
    remove_member(membership=cast.project.memberships.get(user=cast.annotator), acting_user=cast.admin)
    overseer, idle = (make_user(name, is_superuser=True) for name in ("olga", "ida"))
    update_settings(project=cast.project, values={"lease_minutes": 45}, acting_user=overseer)
    update_settings(project=cast.other_project, values={"lease_minutes": 45}, acting_user=idle)
    people = offered(page())
    assert people[str(overseer.pk)] == overseer.name and str(cast.annotator.pk) in people
    assert not {str(idle.pk), str(cast.outsider.pk)} & people.keys(), "they did nothing here"
    assert actions(page(f"?who={overseer.pk}")) == {"project.settings_changed"}
    assert "submission.submitted" in actions(page(f"?who={cast.annotator.pk}"))


def test_each_person_is_offered_once_and_costs_no_query(cast, page, django_assert_num_queries):
    with CaptureQueriesContext(connection) as few:
        page()
    for number in range(4):
        guest = make_user(is_superuser=True)
        for minutes in (50 + number, 60 + number):
            update_settings(project=cast.project, values={"lease_minutes": minutes}, acting_user=guest)
    with django_assert_num_queries(len(few)):
        answer = page()
    values = [value for value, _words in answer.context["listing"].filters[0].choices]
    assert len(values) == len(set(values)) == 4 + 4 + 2  # members, guests, everybody and the system


def test_an_action_is_chosen_by_its_words(page):
    answer = page("?action=project.settings_changed")
    assert actions(answer) == {"project.settings_changed"}
    assert "Project settings changed" in answer.content.decode()


def test_an_object_is_found_by_kind_and_number_and_a_person_by_name(cast, page):
    submission = cast.project.submissions.get()
    assert actions(page(f"?q=submission+{submission.pk}")) == {"submission.submitted"}
    assert "submission.submitted" in actions(page(f"?q={cast.annotator.username}"))
    assert "submission.submitted" in actions(page(f"?q={cast.annotator.pseudonym}"))
    assert actions(page("?q=nobody+at+all")) == set()


def test_days_bound_it(cast, page):
    event = AuditEvent.objects.filter(action="submission.submitted")
    event.update(created_at=timezone.now() - timedelta(days=40))
    day = f"{timezone.now() - timedelta(days=20):%Y-%m-%d}"
    assert actions(page(f"?to={day}")) == {"submission.submitted"}
    assert "submission.submitted" not in actions(page(f"?from={day}"))


def test_old_and_new_values_stand_side_by_side_and_objects_lead_to_their_page(cast, page):
    text = " ".join(page("?action=project.settings_changed").content.decode().split())
    assert "<code>lease_minutes</code> <code>15</code>" in text
    assert "<code>30</code>" in text
    submission = cast.project.submissions.get()
    link = reverse("labeling:submission_detail", args=[cast.project.slug, submission.pk])
    assert f'href="{link}"' in page("?action=submission.submitted").content.decode()


def test_a_long_value_is_folded_and_whole(cast, page):
    AuditEvent.objects.create(
        project=cast.project, action="x.y", object_type="x", object_id="1", data={"said": "w" * 400 + "END"}
    )
    assert "wEND" in page("?action=x.y").content.decode()


def test_the_csv_has_the_same_rows(cast, page):
    answer = page(f"?who={cast.annotator.pk}&action=submission.submitted&format=csv")
    [row] = csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode()))
    assert (row["who"], row["action"]) == (cast.annotator.name, "submission.submitted")


def test_the_api_narrows_it_as_the_page_does(cast, page, api_client_of):
    api = api_client_of(cast.admin)
    here = f"/api/projects/{cast.project.slug}/audit/"

    def found(**query) -> set[str]:
        answer = api.get(here, query)
        assert answer.status_code == 200, answer.content
        return {row["action"] for row in answer.json()["results"]}

    theirs = found(actor=cast.annotator.pseudonym)
    assert "submission.submitted" in theirs and "project.settings_changed" not in theirs
    assert found(actor="nobody") == set()
    AuditEvent.objects.create(project=cast.project, action="import.failed", object_type="x", object_id="1")
    assert found(actor="system") == {"import.failed"}
    today = timezone.localdate()
    assert found(actor=cast.annotator.pseudonym, day__gte=today, day__lte=today) == theirs
    assert found(day__gte=today + timedelta(days=1)) == found(day__lte=today - timedelta(days=1)) == set()
    answer = api.get(here, {"day__gte": "yesterday"})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "day__gte")


def test_the_api_tells_notifications_that_are_new(cast, api_client_of):
    for text in ("one", "two"):
        notify(user=cast.annotator, kind="x", text=text, project=cast.project)
    cast.annotator.notifications.filter(text="one").update(read_at=timezone.now())
    api = api_client_of(cast.annotator)

    def texts(**query) -> list[str]:
        answer = api.get("/api/notifications/", query)
        assert answer.status_code == 200, answer.content
        return [row["text"] for row in answer.json()["results"]]

    assert texts(is_read="false") == ["two"]
    assert texts(is_read="true", project=cast.project.slug) == ["one"]
    assert texts(project=cast.other_project.slug) == []
