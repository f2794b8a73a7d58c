"""Paused while they write: their words are kept, nothing is handed in, and the page says what is true."""

from __future__ import annotations

import json

import pytest

from labeling.models import Draft, Submission
from labeling.services.people import pause_member, remove_member, resume_member
from labeling.services.reviews import return_submission
from tests.factories import make_demonstration_batch

from .work import claim, submit


@pytest.fixture
def assignment(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    return claim(cast.annotator, cast.project)


@pytest.fixture
def member(cast):
    return cast.project.memberships.get(user=cast.annotator)


@pytest.fixture
def author(client, cast):
    client.force_login(cast.annotator)
    return client


def put_draft(client, assignment, text, revision=1):
    url = f"/api/projects/{assignment.project.slug}/assignments/{assignment.pk}/draft/"
    body = json.dumps({"revision": revision, "fields": {"text": text}})
    return client.put(url, body, content_type="application/json")


def page_of(client, assignment):
    return client.get(f"/projects/{assignment.project.slug}/work/{assignment.pk}/")


def test_the_draft_of_work_in_hand_is_still_kept(cast, assignment, member, author):
    pause_member(membership=member, acting_user=cast.admin)
    assert put_draft(author, assignment, "Half a sentence").status_code == 200
    assert Draft.objects.get(user=cast.annotator).body == {"text": "Half a sentence"}


def test_the_draft_of_returned_work_that_was_being_mended_is_still_kept(cast, assignment, member, author):
    submission = submit(assignment, cast.annotator)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Shorter.")
    mended = claim(cast.annotator, cast.project)
    first = put_draft(author, mended, "Par").json()
    pause_member(membership=member, acting_user=cast.admin)
    assert put_draft(author, mended, "Paris", first["revision"]).status_code == 200
    assert Draft.objects.get(user=cast.annotator).body == {"text": "Paris"}


def test_nothing_is_handed_in_and_the_answer_says_why(cast, assignment, member, author):
    pause_member(membership=member, acting_user=cast.admin)
    answer = author.post(
        f"/api/projects/{cast.project.slug}/assignments/{assignment.pk}/submit/",
        {"fence": assignment.fence, "idempotency_key": "k", "text": "Paris."},
        content_type="application/json",
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "paused")
    assert not Submission.objects.exists()


def test_a_removed_member_saves_nothing(cast, assignment, member, author):
    remove_member(membership=member, acting_user=cast.admin)
    assert put_draft(author, assignment, "Half").status_code == 404
    assert Draft.objects.get(user=cast.annotator).body == {}


def test_the_page_says_paused_by_whom_it_is_lifted_and_shows_their_words(cast, assignment, member, author):
    put_draft(author, assignment, "Half a sentence")
    pause_member(membership=member, acting_user=cast.admin)
    answer = page_of(author, assignment)
    text = answer.content.decode()
    assert answer.status_code == 403
    assert "Your work here is paused" in text
    assert f"Ask one of them: {cast.admin.name}." in text
    assert "Half a sentence" in text
    assert "ran out" not in text
    assert "Next task" not in text


def test_the_work_page_names_who_lifts_it_too(cast, assignment, member, author):
    pause_member(membership=member, acting_user=cast.admin)
    text = author.get(f"/projects/{cast.project.slug}/work/").content.decode()
    assert f"Ask one of them: {cast.admin.name}." in text


def test_after_the_pause_they_go_on_with_what_was_kept(cast, assignment, member, author):
    pause_member(membership=member, acting_user=cast.admin)
    put_draft(author, assignment, "Half a sentence")
    resume_member(membership=member, acting_user=cast.admin)
    again = claim(cast.annotator, cast.project)
    assert again.pk == assignment.pk
    assert "Half a sentence" in page_of(author, again).content.decode()
