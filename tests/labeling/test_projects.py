import pytest

from annotate.errors import Conflict, Forbidden, Invalid
from labeling.models import AuditEvent, Project, Role
from labeling.services import projects
from labeling.services.projects import create_project, update_settings
from tests.factories import make_project, make_user

pytestmark = pytest.mark.django_db


def test_the_creator_becomes_the_first_admin_and_each_task_kind_gets_a_guideline():
    staff = make_user(is_staff=True)
    project = create_project(name="Tidy Answers", acting_user=staff)
    assert project.slug == "tidy-answers"
    assert project.memberships.get().role == Role.ADMIN
    assert sorted(project.guidelines.values_list("kind", flat=True)) == ["demonstration", "ranking"]


def test_only_site_staff_open_projects():
    with pytest.raises(Forbidden):
        create_project(name="Mine", acting_user=make_user())


def test_a_slug_is_taken_once():
    staff = make_user(is_staff=True)
    create_project(name="Same", acting_user=staff)
    with pytest.raises(Conflict) as caught:
        create_project(name="Same", acting_user=staff)
    assert caught.value.field == "slug"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"lease_minutes": 1}, "lease_minutes"),
        ({"lease_minutes": True}, "lease_minutes"),
        ({"ranking_review_rate": 1.5}, "ranking_review_rate"),
        ({"completions_per_task": 10}, "completions_per_task"),
        ({"return_reasons": [{"key": "x"}]}, "return_reasons"),
        ({"completion_flags": []}, "completion_flags"),
        ({"is_superuser": True}, "is_superuser"),
        ({"response_min_characters": 500, "response_max_characters": 100}, "response_min_characters"),
    ],
)
def test_a_setting_outside_its_bounds_is_refused_by_name_and_nothing_changes(values, field):
    project = make_project()
    before = project.settings
    with pytest.raises(Invalid) as caught:
        update_settings(project=project, values=values, acting_user=project.created_by)
    assert caught.value.field == field
    project.refresh_from_db()
    assert project.settings == before


def test_changing_a_setting_leaves_the_others_and_an_audit_row_with_old_and_new():
    project = make_project(lease_minutes=30)
    update_settings(project=project, values={"review_flagged": False}, acting_user=project.created_by)
    project.refresh_from_db()
    assert project.settings.lease_minutes == 30
    assert project.settings.review_flagged is False
    event = AuditEvent.objects.filter(action="project.settings_changed").get()
    assert event.data == {"old": {"review_flagged": True}, "new": {"review_flagged": False}}


def test_a_change_of_which_a_part_is_refused_changes_nothing(cast, api_client_of):
    api, url = api_client_of(cast.admin), f"/api/projects/{cast.project.slug}/"
    answer = api.patch(url, {"name": "Anew", "settings": {"lease_minutes": -1}}, format="json")
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "lease_minutes")
    cast.project.refresh_from_db()
    assert cast.project.name == "Tidy answers"
    assert not AuditEvent.objects.filter(action="project.renamed").exists()


@pytest.mark.django_db(transaction=True)
def test_a_project_is_not_renamed_where_that_cannot_be_put_on_record(monkeypatch):
    project = make_project()

    def refuse(**kwargs):
        raise RuntimeError("no room for the trail")

    monkeypatch.setattr(projects, "record_event", refuse)
    with pytest.raises(RuntimeError):
        projects.update_project(project=project, name="Anew", description="", acting_user=project.created_by)
    assert Project.objects.get(pk=project.pk).name != "Anew"


def test_a_role_is_not_given_where_the_pause_beside_it_is_refused(cast, api_client_of):
    """The only admin who is active, asked for by somebody who runs the site."""
    root = make_user(is_superuser=True)
    member = cast.project.memberships.get(user=cast.lead)
    cast.project.memberships.filter(role=Role.ADMIN).update(status="paused")
    url = f"/api/projects/{cast.project.slug}/members/{member.pk}/"
    answer = api_client_of(root).patch(url, {"role": "admin", "status": "removed"}, format="json")
    assert answer.status_code == 409
    member.refresh_from_db()
    assert (member.role, member.status) == (Role.LEAD, "active")
