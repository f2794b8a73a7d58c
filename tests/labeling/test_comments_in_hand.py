"""Comments before anybody has submitted: about the task in hand, between who has it and the leads."""

from __future__ import annotations

import importlib
from contextlib import nullcontext

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from labeling.models import CommentThread, Notification
from labeling.services.assignments import release_assignment
from labeling.services.comments import add_comment
from labeling.services.drafts import save_draft
from labeling.talk import piece_in_hand, piece_of
from tests.factories import make_demonstration_batch
from tests.labeling.work import claim, submit

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def slot(cast):
    make_demonstration_batch(cast.project, tasks=1, overlap=2, review_rate=1.0)
    return claim(cast.annotator, cast.project)


@pytest.fixture
def peers_slot(cast, slot):
    other = claim(cast.peer, cast.project)
    assert other.task_id == slot.task_id, "both have the same task"
    return other


def desk(cast, slot) -> str:
    return f"/projects/{cast.project.slug}/work/{slot.pk}/"


def told() -> dict[str, str]:
    return {each.user.username: each.path for each in Notification.objects.select_related("user")}


def ask(client, cast, slot, text="Does a list count?", user=None):
    client.force_login(user or cast.annotator)
    return client.post(f"{desk(cast, slot)}comments/", {"text": text})


def test_a_question_about_the_task_in_hand_goes_to_the_leads_and_shows_on_its_page(cast, slot, client):
    assert ask(client, cast, slot).url == f"{desk(cast, slot)}#comments"
    task = f"/projects/{cast.project.slug}/tasks/{slot.task_id}/"
    assert told() == {"lena": f"{task}#comments", "alice": f"{task}#comments"}
    assert "Does a list count?" in client.get(desk(cast, slot)).content.decode()
    client.force_login(cast.lead)
    assert "Does a list count?" in client.get(task).content.decode()
    queue = client.get(f"/projects/{cast.project.slug}/comments/").content.decode()
    assert f"{task}#comments" in queue and "In hand" in queue


def test_a_lead_answers_from_the_tasks_page_and_the_answer_leads_back_to_the_desk(cast, slot, client):
    ask(client, cast, slot)
    Notification.objects.all().delete()
    thread = CommentThread.objects.get()
    client.force_login(cast.lead)
    task = f"/projects/{cast.project.slug}/tasks/{slot.task_id}/"
    reply = f"/projects/{cast.project.slug}/comments/{thread.pk}/"
    assert client.post(reply, {"text": "It does.", "back": task}).url == f"{task}#comments"
    assert told() == {"anna": f"{desk(cast, slot)}#comments"}
    client.force_login(cast.annotator)
    assert "It does." in client.get(desk(cast, slot)).content.decode()


def test_a_lead_may_say_the_first_word_to_who_has_the_task(cast, slot, client):
    client.force_login(cast.lead)
    task = f"/projects/{cast.project.slug}/tasks/{slot.task_id}/"
    assert "Write to somebody who has this task" in client.get(task).content.decode()
    client.post(f"{task}comments/", {"slot": slot.pk, "text": "Mind the units, @Anna."})
    assert told() == {"anna": f"{desk(cast, slot)}#comments"}
    assert CommentThread.objects.get().person == cast.annotator


def test_two_people_on_one_task_see_nothing_of_each_other(cast, slot, peers_slot, client, api_client_of):
    ask(client, cast, slot, "Is Anna's question secret?")
    ask(client, cast, peers_slot, "And mine?", user=cast.peer)
    assert CommentThread.objects.count() == 2
    client.force_login(cast.peer)
    page = client.get(desk(cast, peers_slot)).content.decode()
    assert "And mine?" in page and "Is Anna" not in page
    thread = CommentThread.objects.get(person=cast.annotator)
    reply = f"/projects/{cast.project.slug}/comments/{thread.pk}/"
    assert client.post(reply, {"text": "Hi"}).status_code == 404
    assert client.post(f"{reply}settle/").status_code == 404
    # By the other's slot they reach what they themselves said about the task, and nothing else.
    assert "Is Anna" not in client.get(f"{desk(cast, slot)}comments/").content.decode()
    root, api = f"/api/projects/{cast.project.slug}/", api_client_of(cast.peer)
    said = api.get(f"{root}assignments/{slot.pk}/comments/").json()["comments"]
    assert [each["text"] for each in said] == ["And mine?"]
    assert api.get(f"{root}comments/{thread.pk}/").status_code == 404
    assert "anna" not in told() and "petra" not in told()


def test_what_was_said_before_is_there_after_submitting_in_one_thread(cast, slot, client):
    ask(client, cast, slot)
    submission = submit(slot, cast.annotator)
    client.force_login(cast.lead)
    review = client.get(f"/projects/{cast.project.slug}/review/{submission.pk}/").content.decode()
    assert "Does a list count?" in review
    add_comment(piece=piece_of(submission), author=cast.lead, text="I see you decided.")
    assert CommentThread.objects.count() == 1
    own = f"/projects/{cast.project.slug}/submissions/{submission.pk}/"
    assert told()["anna"] == f"{own}#comments"
    queue = client.get(f"/projects/{cast.project.slug}/comments/").content.decode()
    assert f"{own}#comments" in queue and "In hand" not in queue


def test_a_task_that_was_given_back_keeps_its_talk_for_who_had_it(cast, slot, client):
    ask(client, cast, slot)
    release_assignment(assignment=slot, user=cast.annotator)
    claim(cast.peer, cast.project)
    client.force_login(cast.annotator)
    page = client.get(desk(cast, slot)).content.decode()
    assert "Does a list count?" in page
    add_comment(piece=piece_in_hand(slot, cast.annotator), author=cast.lead, text="It does.")
    assert "It does." in client.get(told()["anna"]).content.decode()
    client.force_login(cast.peer)
    assert "Does a list count?" not in client.get(desk(cast, slot)).content.decode()


def test_what_cannot_be_sent_in_place_is_said_and_stores_nothing(cast, slot, client):
    client.force_login(cast.annotator)
    answer = client.post(f"{desk(cast, slot)}comments/", {"text": "  "}, headers={"HX-Request": "true"})
    assert (answer.status_code, CommentThread.objects.exists()) == (422, False)


def test_a_program_asks_about_what_it_has_in_hand(cast, slot, api_client_of):
    own, lead = api_client_of(cast.annotator), api_client_of(cast.lead)
    root = f"/api/projects/{cast.project.slug}/"
    mine = f"{root}assignments/{slot.pk}/comments/"
    assert own.get(mine).json()["comments"] == []
    assert own.post(mine, {"text": "Why?"}).status_code == 201
    [thread] = lead.get(f"{root}comments/?is_open=true").json()["results"]
    assert (thread["submission"], thread["task"], thread["person"]) == (None, slot.task_id, "Anna")
    assert lead.post(f"{root}comments/{thread['id']}/", {"text": "So."}).status_code == 201
    assert [each["text"] for each in own.get(mine).json()["comments"]] == ["Why?", "So."]
    assert lead.patch(mine, {"is_open": False}).json()["is_open"] is False
    assert own.get(f"{root}comments/{thread['id']}/").json()["is_open"] is False


def test_threads_from_before_know_whose_work_they_are_about(cast, slot):
    submission = submit(slot, cast.annotator)
    now = timezone.now()
    thread = CommentThread.objects.create(
        project=cast.project, submission=submission, last_comment_at=now, last_author=cast.lead
    )
    migration = importlib.import_module("labeling.migrations.0015_comments_on_work_in_hand")
    editor = connection.schema_editor()
    with editor if connection.vendor == "postgresql" else nullcontext(editor) as opened:
        migration.name_the_work(apps, opened)
    thread.refresh_from_db()
    assert (thread.task_id, thread.person) == (slot.task_id, cast.annotator)
    assert piece_of(submission).thread == thread


def test_a_lead_who_once_had_the_task_still_reaches_who_has_it_now(cast, slot, client):
    release_assignment(assignment=slot, user=cast.annotator)
    own = claim(cast.lead, cast.project)
    assert own.task_id == slot.task_id
    save_draft(task=own.task, user=cast.lead, body={"text": "Begun."}, revision=1)
    release_assignment(assignment=own, user=cast.lead)
    theirs = claim(cast.peer, cast.project)
    client.force_login(cast.lead)
    task = f"/projects/{cast.project.slug}/tasks/{theirs.task_id}/"
    client.post(f"{task}comments/", {"slot": theirs.pk, "text": "Mind the units."})
    assert CommentThread.objects.get().person == cast.peer


def test_a_page_that_answers_410_sends_its_comment_without_script(cast, slot, client):
    """A script would take the 410 that follows for a failure, and the words would be sent twice."""
    ask(client, cast, slot)
    release_assignment(assignment=slot, user=cast.annotator)
    claim(cast.peer, cast.project)
    page = client.get(desk(cast, slot))
    assert page.status_code == 410
    form = page.content.decode().partition('data-keep="comment:')[0].rpartition("<form")[2]
    assert "hx-post" not in form and 'method="post"' in form
