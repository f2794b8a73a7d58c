"""What a lead does on the task's page and through the API: the same services behind both."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import Assignment, GoldAnswer, Skip, Task
from labeling.services.assignments import skip_assignment
from tests.factories import make_demonstration_batch, make_ranking_batch

from .work import claim, do_next


@pytest.fixture
def lead(cast):
    client = Client()
    client.force_login(cast.lead)
    return client


@pytest.fixture
def task(cast) -> Task:
    return make_demonstration_batch(cast.project, tasks=1, overlap=2, review_rate=0).tasks.get()


def change(cast, client, task, what: str, **fields) -> str:
    """Post a change; the page that follows."""
    address = reverse("labeling:task_change", args=[cast.project.slug, task.pk])
    return client.post(address, {"change": what, **fields}, follow=True).content.decode()


def test_the_page_says_who_has_it_and_why(cast, lead, task):
    claim(cast.annotator, cast.project)
    page = lead.get(reverse("labeling:task_detail", args=[cast.project.slug, task.pk])).content.decode()
    assert cast.annotator.name in page
    assert "Of the highest priority waiting" in page


def test_a_lead_assigns_and_takes_back(cast, lead, task):
    member = cast.project.memberships.get(user=cast.peer)
    assert f"{cast.peer.name} gets it next." in change(cast, lead, task, "assign", member=member.pk)
    slot = task.assignments.get(reserved_for=cast.peer)
    change(cast, lead, task, "unassign", slot=slot.pk)
    slot.refresh_from_db()
    assert slot.reserved_for is None
    assert Skip.objects.get(user=cast.peer).reason == "withdrawn"


def test_what_does_not_go_is_said_on_the_page(cast, lead, task):
    claim(cast.annotator, cast.project)
    claim(cast.peer, cast.project)
    page = change(cast, lead, task, "overlap", overlap="1")
    assert "2 people have this task already." in page
    assert Task.objects.get().overlap == 2


@pytest.mark.parametrize("fields", [{"slot": "x"}, {"slot": "9" * 40}, {}])
def test_nonsense_changes_nothing(cast, lead, task, fields):
    claim(cast.annotator, cast.project)
    assert "Choose a slot of this task." in change(cast, lead, task, "unassign", **fields)
    assert Assignment.objects.filter(status="leased").count() == 1


def test_priority_overlap_close_and_reopen(cast, lead, task):
    change(cast, lead, task, "priority", priority="7")
    change(cast, lead, task, "overlap", overlap="3")
    task.refresh_from_db()
    assert (task.priority, task.overlap) == (7, 3)
    change(cast, lead, task, "close")
    assert Task.objects.get().status == "closed"
    change(cast, lead, task, "reopen")
    assert Task.objects.get().status == "open"


def test_a_lead_gives_a_known_answer_by_places(cast, lead):
    task = make_ranking_batch(cast.project, tasks=1, k=3).tasks.get()
    first, second, third = task.task_completions.values_list("completion_id", flat=True)
    fields = {
        f"place-{first}": "2",
        f"place-{second}": "1",
        f"place-{third}": "2",
        f"flags-{first}": "harmful",
    }
    change(cast, lead, task, "gold", **fields, note="Second is right.")
    answer = GoldAnswer.objects.get(task=task)
    assert answer.tiers == [[second], [first, third]]
    assert answer.flags == {str(first): ["harmful"]}
    page = lead.get(reverse("labeling:gold", args=[cast.project.slug])).content.decode()
    assert task.prompt.preview in page


def test_a_skipped_task_is_decided_on_its_page(cast, lead, task):
    assignment = claim(cast.annotator, cast.project)
    skip_assignment(assignment=assignment, user=cast.annotator, reason="unsafe", note="<b>no</b>")
    queue = lead.get(reverse("labeling:tasks_skipped", args=[cast.project.slug])).content.decode()
    assert "Parked" in queue and "&lt;b&gt;no&lt;/b&gt;" in queue
    page = change(cast, lead, task, "rewrite", prompt="A better question?")
    assert "A better question?" in page
    assert Task.objects.get(prompt__preview="A better question?").status == "open"


def test_the_list_of_skipped_tasks_asks_a_fixed_number_of_queries(cast, lead, django_assert_max_num_queries):
    make_demonstration_batch(cast.project, tasks=12)
    for _ in range(8):
        skip_assignment(assignment=claim(cast.annotator, cast.project), user=cast.annotator, reason="unclear")
    with django_assert_max_num_queries(16):
        lead.get(reverse("labeling:tasks_skipped", args=[cast.project.slug]))


# --- The API ---------------------------------------------------------------------------------------------
def test_the_api_does_the_same(cast, task, api_client_of):
    client = api_client_of(cast.lead)
    base = f"/api/projects/{cast.project.slug}/tasks/{task.pk}"
    member = cast.project.memberships.get(user=cast.annotator)
    slot = client.post(f"{base}/assign/", {"member": member.pk}, format="json").json()
    assert slot["reserved_for"] == cast.annotator.pseudonym
    back = client.post(f"{base}/unassign/", {"slot": slot["id"]}, format="json").json()
    assert back["reserved_for"] is None
    assert client.post(f"{base}/overlap/", {"overlap": 4}, format="json").json()["overlap"] == 4
    assert client.post(f"{base}/priority/", {"priority": 3}, format="json").json()["priority"] == 3
    assert client.post(f"{base}/close/").json()["status"] == "closed"
    assert client.post(f"{base}/close/").status_code == 409
    assert client.post(f"{base}/reopen/").json()["status"] == "open"
    slots = client.get(f"{base}/slots/").json()
    assert len([each for each in slots if each["status"] == "open"]) == 4


def test_the_api_changes_a_batch(cast, task, api_client_of):
    client = api_client_of(cast.lead)
    base = f"/api/projects/{cast.project.slug}/batches/{task.batch_id}"
    policy = client.patch(f"{base}/policy/", {"deadline_at": "2100-01-01T00:00Z"}, format="json").json()
    assert policy["deadline_at"].startswith("2100") and policy["priority"] == 0
    assert client.post(f"{base}/overlap/", {"overlap": 3}, format="json").json()["slot_count"] == 3


def test_the_api_marks_gold_and_lists_how_it_goes(cast, task, api_client_of):
    client = api_client_of(cast.lead)
    base = f"/api/projects/{cast.project.slug}"
    sent = {"minimum_score": 5}
    assert client.put(f"{base}/tasks/{task.pk}/gold/", sent, format="json").json()["minimum_score"] == 5
    assert client.put(f"{base}/tasks/{task.pk}/gold/", {"tiers": [[1]]}, format="json").status_code == 422
    [row] = client.get(f"{base}/gold/").json()["results"]
    assert (row["id"], row["result_count"]) == (task.pk, 0)
    assert client.delete(f"{base}/tasks/{task.pk}/gold/").json()["retired_at"] is not None


def test_annotators_read_what_keeps_them_from_work(cast, api_client_of):
    from labeling.services.projects import update_settings
    from labeling.services.qualification import open_screening_set

    update_settings(
        project=cast.project,
        values={"require_qualification": True, "max_tasks_per_day": 1, "match_languages": True},
        acting_user=cast.admin,
    )
    batch = make_demonstration_batch(cast.project, tasks=2, purpose="screening")
    open_screening_set(batch=batch, tasks_per_attempt=2, acting_user=cast.lead)
    client = api_client_of(cast.annotator)
    base = f"/api/projects/{cast.project.slug}"
    [standing] = client.get(f"{base}/standing/").json()
    assert standing["status"] == "not_begun" and "short screening" in standing["text"]
    declared = client.put(f"{base}/languages/", {"languages": ["de"]}, format="json").json()
    assert [(each["code"], each["confirmed_at"]) for each in declared] == [("de", None)]
    do_next(cast.annotator, cast.project)
    browser = Client()
    browser.force_login(cast.annotator)
    page = browser.get(reverse("labeling:work", args=[cast.project.slug])).content.decode()
    assert "1 of 1 task of the day" in page and "short screening" in page
    answer = client.post(f"{base}/assignments/next/", {}, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "day_is_full")
