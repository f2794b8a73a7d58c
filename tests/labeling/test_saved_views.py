"""Lists kept as views, shared, opened by default; the same list as CSV, unpaged and safe for spreadsheets."""

from __future__ import annotations

import csv
import io

import pytest
from django.urls import reverse

from labeling.models import AuditEvent, DefaultView, Notification, SavedView
from labeling.saved_views import LISTS, OF_ONE, OWN_LISTS
from labeling.services.prompts import archive_prompt
from tests.factories import make_demonstration_batch, make_prompt

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def as_lead(cast, client):
    client.force_login(cast.lead)
    return client


def address(cast, name="prompts", *args):
    return reverse(f"labeling:{name}", args=[cast.project.slug, *args])


def save(client, cast, **fields):
    sent = {"page": "prompts", "name": "Sums", "query": "?q=sum&page=3&sort=oldest", **fields}
    return client.post(address(cast, "view_save"), sent)


def lines(answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_a_view_is_the_lists_query_without_its_page(cast, as_lead):
    answer = save(as_lead, cast)
    view = SavedView.objects.get()
    assert view.query == "q=sum&sort=oldest"
    assert answer.url == f"{address(cast)}?q=sum&sort=oldest&view={view.pk}"
    page = as_lead.get(answer.url)
    assert (page.context["listing"].text, page.context["listing"].views.current) == ("sum", view)
    assert AuditEvent.objects.filter(action="view.saved").count() == 1


def test_the_same_name_again_replaces_it(cast, as_lead):
    save(as_lead, cast)
    save(as_lead, cast, query="q=other")
    assert SavedView.objects.get().query == "q=other"


def test_a_private_view_is_nobody_elses_and_a_shared_one_is_every_leads(cast, as_lead, client):
    save(as_lead, cast, name="Mine")
    save(as_lead, cast, name="Ours", is_shared="1")
    client.force_login(cast.admin)
    views = client.get(address(cast)).context["listing"].views
    assert [view.name for view in views.rows] == ["Ours"]
    mine, ours = SavedView.objects.order_by("name")
    assert client.post(address(cast, "view_delete", mine.pk)).status_code == 404
    assert client.post(address(cast, "view_delete", ours.pk)).status_code == 403


def test_annotators_keep_views_of_their_history_and_share_none(cast, client):
    client.force_login(cast.annotator)
    save(client, cast, page="history", name="Returned", query="status=returned")
    assert SavedView.objects.get().page == "history"
    assert save(client, cast, page="history", name="All", is_shared="1").status_code == 403


def test_the_default_view_opens_by_itself_and_can_be_left(cast, as_lead):
    save(as_lead, cast, is_default="1")
    view = SavedView.objects.get()
    opened = as_lead.get(address(cast))
    assert opened.url == f"{address(cast)}?q=sum&sort=oldest&view={view.pk}"
    assert as_lead.get(f"{address(cast)}?view=").status_code == 200
    as_lead.post(address(cast, "view_default", view.pk), {"clear": "1"})
    assert not DefaultView.objects.exists()
    assert as_lead.get(address(cast)).status_code == 200


def test_a_default_that_is_shared_no_more_does_not_open(cast, as_lead, client):
    save(as_lead, cast, is_shared="1")
    view = SavedView.objects.get()
    client.force_login(cast.admin)
    client.post(address(cast, "view_default", view.pk))
    assert client.get(address(cast)).status_code == 302
    SavedView.objects.update(is_shared=False)
    assert client.get(address(cast)).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [{"name": ""}, {"name": "x" * 200}, {"query": "q=" + "x" * 2000}, {"query": "&".join(["a=1"] * 60)}],
)
def test_what_is_no_view_is_refused_with_a_sentence(cast, as_lead, wrong):
    answer = save(as_lead, cast, **wrong)
    assert (answer.status_code in (302, 422), SavedView.objects.exists()) == (True, False)


def test_a_list_nobody_knows_is_refused(cast, as_lead):
    assert save(as_lead, cast, page="cooking").status_code == 422


def test_the_csv_has_the_lists_rows_in_its_order_without_paging(cast, as_lead):
    for number in range(120):
        make_prompt(cast.project, f"Sum {number:03}?")
    make_prompt(cast.project, "Another?")
    archive_prompt(prompt=make_prompt(cast.project, "Sum gone?"), acting_user=cast.lead)
    rows = lines(as_lead.get(f"{address(cast)}?q=sum&sort=oldest&page=2&format=csv"))
    assert [row["prompt"] for row in rows] == [f"Sum {number:03}?" for number in range(120)]


def test_the_csv_runs_no_formula(cast, as_lead):
    make_prompt(cast.project, '=HYPERLINK("http://x","y")')
    make_prompt(cast.project, "-1+1")
    rows = lines(as_lead.get(f"{address(cast)}?sort=oldest&format=csv"))
    assert [row["prompt"][0] for row in rows] == ["'", "'"]


@pytest.mark.parametrize("page", sorted(set(LISTS) - OF_ONE))
def test_every_list_can_be_kept_and_taken_along(cast, client, page):
    make_demonstration_batch(cast.project, tasks=2)
    client.force_login(cast.admin)
    where = reverse(LISTS[page], args=[cast.project.slug])
    shown = client.get(where)
    assert shown.context["listing"].views.page == page
    answer = client.get(f"{where}?format=csv")
    assert answer["Content-Type"].startswith("text/csv")
    assert "attachment" in answer["Content-Disposition"]
    assert b"".join(answer.streaming_content).count(b"\r\n") >= 1


def test_programs_keep_views_too(cast, api_client_of):
    client = api_client_of(cast.lead)
    root = f"/api/projects/{cast.project.slug}/views/"
    made = client.post(root, {"page": "people", "name": "Slow", "query": "sort=pace", "is_shared": True})
    assert made.status_code == 201
    assert [row["name"] for row in client.get(root).json()["results"]] == ["Slow"]
    assert client.delete(f"{root}{made.json()['id']}/").status_code == 204
    assert not SavedView.objects.exists()


@pytest.mark.parametrize("page", sorted(OWN_LISTS))
def test_lists_that_span_projects_have_views_of_ones_own(cast, client, page):
    Notification.objects.create(user=cast.admin, project=cast.project, kind="test", text="Look.")
    client.force_login(cast.admin)
    where, save_url = reverse(OWN_LISTS[page]), reverse("labeling:own_view_save")
    form = {"page": page, "name": "Mine", "query": "sort=newest&page=2", "is_default": "1"}
    answer = client.post(save_url, form)
    assert client.post(save_url, form).url == answer.url  # the same name again replaces it
    view = SavedView.objects.get()
    assert (view.project, view.query) == (None, "sort=newest")
    assert answer.url == f"{where}?sort=newest&view={view.pk}"
    assert client.get(where).url == answer.url  # it opens by itself
    shown = client.get(answer.url)
    assert shown.context["listing"].views.current == view
    assert b"Share it with" not in shown.content
    default, delete = [reverse(f"labeling:own_view_{verb}", args=[view.pk]) for verb in ("default", "delete")]
    assert default.encode() in shown.content and delete.encode() in shown.content
    client.force_login(cast.lead)  # nobody else's
    assert client.get(f"{where}?view=").context["listing"].views.rows == []
    assert client.post(default).status_code == client.post(delete).status_code == 404
    assert client.post(save_url, {**form, "is_shared": "1"}).status_code == 403
    client.force_login(cast.admin)
    assert client.post(default, {"clear": "1"}).url == answer.url
    assert client.get(where).status_code == 200
    assert client.post(delete).url == f"{where}?view="
    assert not SavedView.objects.exists()


def test_a_view_of_a_project_is_none_of_ones_own_lists_nor_the_other_way_round(cast, as_lead):
    assert (
        as_lead.post(reverse("labeling:own_view_save"), {"page": "prompts", "name": "x"}).status_code == 422
    )
    assert save(as_lead, cast, page="projects").status_code == 422
    save(as_lead, cast)
    view = SavedView.objects.get()
    assert as_lead.post(reverse("labeling:own_view_delete", args=[view.pk])).status_code == 404


def test_projects_and_notifications_are_taken_along_as_csv(cast, client):
    Notification.objects.create(user=cast.lead, project=cast.project, kind="test", text="=Look")
    Notification.objects.create(user=cast.admin, project=cast.project, kind="test", text="Not yours")
    client.force_login(cast.lead)
    [project] = lines(client.get(reverse("labeling:project_list"), {"format": "csv"}))
    assert (project["name"], project["role"], project["open"]) == (cast.project.name, "lead", "0")
    [told] = lines(client.get(reverse("labeling:notifications"), {"format": "csv", "state": "new"}))
    assert (told["text"], told["project"], told["read"]) == ("'=Look", cast.project.name, "")
    assert lines(client.get(reverse("labeling:notifications"), {"format": "csv", "state": "read"})) == []
