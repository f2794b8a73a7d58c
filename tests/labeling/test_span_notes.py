"""Notes on stretches: with a ranking, by reviewers, by the author; in code points; seen by nobody else."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from annotate.errors import Forbidden, Invalid
from labeling.models import AuditEvent, Completion, Draft, Notification, SpanNote, Submission
from labeling.noted_texts import noted_texts
from labeling.services.assignments import lease_assignment
from labeling.services.batches import create_ranking_batch
from labeling.services.reviews import accept_submission, fix_submission, return_submission
from labeling.services.span_notes import add_note, change_note, remove_note
from labeling.services.undo import undo_decision
from labeling.worksheet import open_worksheet
from tests.factories import make_completions, make_demonstration_batch, make_prompt

from .work import claim, do_next, expire, ranking_of, submit

pytestmark = pytest.mark.django_db
CRAB = "🦀 e\u0301 **crabs**\r\nwalk sideways"


@pytest.fixture
def ranking(cast):
    """An assignment to rank three completions, one of them awkward."""
    prompt = make_prompt(cast.project)
    completions = make_completions(prompt, [CRAB, "Second.", "Third."])
    create_ranking_batch(
        project=cast.project,
        name="one",
        completion_sets=[(prompt.pk, [each.pk for each in completions])],
        acting_user=cast.admin,
        review_rate=1,
        overlap=2,
    )
    return claim(cast.annotator, cast.project)


@pytest.fixture
def demonstration(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    return do_next(cast.annotator, cast.project, text="Paris is big. Paris is old.")


def on_crab(start: int, end: int, comment: str = "Look") -> dict:
    return {
        "completion": Completion.objects.get(text=CRAB).pk,
        "start": start,
        "end": end,
        "comment": comment,
    }


def test_a_note_sent_with_a_ranking_keeps_the_very_code_points(cast, ranking):
    submission = submit(ranking, cast.annotator, notes=[on_crab(5, 14), on_crab(14, 20)])
    assert [note.quote for note in submission.span_notes.all()] == ["**crabs**", "\r\nwalk"]
    [text] = [each for each in noted_texts(submission) if each.text == CRAB]
    assert "".join(piece.text for piece in text.pieces) == CRAB
    assert [piece.numbers for piece in text.pieces] == [[], [1], [2], []]


@pytest.mark.parametrize(
    ("note", "problem"),
    [
        ({"start": 3, "end": 3}, "lie within"),
        ({"start": -1, "end": 3}, "lie within"),
        ({"start": 0, "end": 10_000}, "lie within"),
        ({"start": "0", "end": 3}, "whole numbers"),
        ({"comment": "  "}, "Write what"),
        ({"comment": "x" * 2_001}, "At most 2,000"),
        ({"completion": 0}, "not part of this task"),
        ({"completion": None}, "not part of this task"),
    ],
)
def test_a_wrong_note_is_named_and_nothing_is_stored(cast, ranking, note, problem):
    with pytest.raises(Invalid) as caught:
        submit(ranking, cast.annotator, notes=[on_crab(0, 1), on_crab(0, 1) | note])
    assert (caught.value.field, caught.value.details[0]["row"]) == ("notes", 2)
    assert problem in caught.value.message
    assert not SpanNote.objects.exists()


def test_notes_that_are_no_list_are_refused(cast, ranking):
    with pytest.raises(Invalid):
        submit(ranking, cast.annotator, notes={"start": 1})


def test_the_form_of_the_page_sends_notes_by_public_ids(cast, ranking, client):
    names = {each.pk: str(each.public_id) for each in ranking.task.completions.all()}
    body = ranking_of(ranking, cast.annotator)
    crab = names[on_crab(0, 1)["completion"]]
    form = {
        "fence": ranking.fence,
        "idempotency_key": "k-1",
        "tiers": json.dumps([[names[pk] for pk in tier] for tier in body["tiers"]]),
        "scores": json.dumps({names[pk]: value for pk, value in body["scores"].items()}),
        "touched": json.dumps([names[pk] for pk in body["touched"]]),
        "notes": json.dumps([{"completion": crab, "start": 0, "end": 1, "comment": "A crab"}]),
    }
    client.force_login(cast.annotator)
    answer = client.post(reverse("labeling:work_submit", args=[cast.project.slug, ranking.pk]), form)
    assert answer.status_code == 302
    assert SpanNote.objects.get().quote == "🦀"


def test_work_that_came_too_late_keeps_its_notes_for_the_lead(cast, ranking):
    from annotate.errors import Conflict
    from labeling.models import Assignment
    from labeling.services.assignments import release_expired
    from labeling.services.late import accept_late_draft

    expire(ranking)
    release_expired()
    Assignment.objects.filter(task=ranking.task).update(status="void")
    Assignment.objects.filter(pk=ranking.pk).update(
        status="leased", annotator=cast.peer, lease_expires_at="2100-01-01T00:00Z"
    )
    with pytest.raises(Conflict):
        submit(ranking, cast.annotator, notes=[on_crab(0, 1, "A crab")])
    draft = Draft.objects.get(user=cast.annotator)
    assert json.loads(draft.body["notes"])[0]["comment"] == "A crab"
    accept_late_draft(draft=draft, acting_user=cast.lead)
    assert SpanNote.objects.get().comment == "A crab"


def test_returned_work_starts_from_its_notes_and_the_new_revision_carries_its_own(cast, ranking):
    submission = submit(ranking, cast.annotator, notes=[on_crab(0, 1, "first")])
    add_note(submission=submission, author=cast.lead, **on_crab(5, 14, "from the lead"))
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Again.")
    again = lease_assignment(assignment=submission.assignment, user=cast.annotator)
    sheet = open_worksheet(assignment=again, user=cast.annotator, project=cast.project)
    assert [note["comment"] for note in json.loads(sheet.fields["notes"])] == ["first"]
    submission = submit(again, cast.annotator, notes=[on_crab(0, 1, "second")])
    shown = [each.note.comment for text in noted_texts(submission) for each in text.notes]
    assert sorted(shown) == ["from the lead", "second"]


def test_a_reviewers_note_is_told_to_the_author_once_it_was_decided(cast, demonstration):
    add_note(submission=demonstration, author=cast.lead, start=0, end=5, comment="Which?")
    assert not Notification.objects.filter(kind="span_note.added").exists()
    accept_submission(submission=demonstration, revision=1, reviewer=cast.lead)
    note = add_note(submission=demonstration, author=cast.lead, start=0, end=5, comment="And this?")
    assert Notification.objects.get(kind="span_note.added").user == cast.annotator
    assert AuditEvent.objects.filter(action="span_note.added", object_id=str(note.pk)).exists()


def test_only_its_author_changes_or_removes_a_note(cast, demonstration):
    note = add_note(submission=demonstration, author=cast.lead, start=0, end=5, comment="Which?")
    with pytest.raises(Forbidden):
        change_note(note=note, acting_user=cast.annotator, comment="Mine now")
    with pytest.raises(Forbidden):
        remove_note(note=note, acting_user=cast.admin)
    assert change_note(note=note, acting_user=cast.lead, comment="Which one?").comment == "Which one?"
    remove_note(note=note, acting_user=cast.lead)
    assert not SpanNote.objects.exists()
    assert AuditEvent.objects.get(action="span_note.removed").data["old"]["comment"] == "Which one?"


def test_a_note_on_a_text_that_was_rewritten_is_shown_where_its_words_stand_once(cast, demonstration):
    add_note(submission=demonstration, author=cast.lead, start=9, end=12, comment="How big?")
    add_note(submission=demonstration, author=cast.lead, start=14, end=19, comment="Again Paris")
    fix_submission(
        submission=demonstration, revision=1, reviewer=cast.lead, text="It is old. Paris is big, Paris!"
    )
    demonstration.refresh_from_db()
    [text] = noted_texts(demonstration)
    assert [(each.note.quote, each.start) for each in text.notes] == [("big", 20), ("Paris", None)]


def test_an_authors_notes_on_a_ranking_stay_when_a_reviewer_fixes_it_and_when_that_is_undone(cast, ranking):
    submission = submit(ranking, cast.annotator, notes=[on_crab(0, 1, "A crab")])
    tiers = [[pk] for tier in reversed(submission.current.tiers) for pk in tier]
    review = fix_submission(submission=submission, revision=1, reviewer=cast.lead, tiers=tiers)
    assert _comments(submission) == ["A crab"]
    undo_decision(review=review, reviewer=cast.lead)
    assert _comments(submission) == ["A crab"]


def test_a_note_is_on_its_own_words_again_when_a_fix_of_the_answer_is_undone(cast, demonstration):
    add_note(submission=demonstration, author=cast.lead, start=14, end=19, comment="Again Paris")
    text = "It is old. Paris is big, Paris!"
    review = fix_submission(submission=demonstration, revision=1, reviewer=cast.lead, text=text)
    undo_decision(review=review, reviewer=cast.lead)
    [text] = noted_texts(Submission.objects.get(pk=demonstration.pk))
    assert [each.start for each in text.notes] == [14]


def _comments(submission):
    texts = noted_texts(Submission.objects.get(pk=submission.pk))
    return [each.note.comment for text in texts for each in text.notes]


# --- Pages and API ------------------------------------------------------------------------------------------
def test_the_author_sees_the_note_highlighted_and_a_peer_sees_nothing(cast, demonstration, client):
    add_note(submission=demonstration, author=cast.lead, start=0, end=5, comment="Which <Paris>?")
    url = reverse("labeling:submission_detail", args=[cast.project.slug, demonstration.pk])
    client.force_login(cast.annotator)
    page = client.get(url).content.decode()
    assert '<mark class="span-note">Paris<sup class="span-number">1</sup></mark> is big. Paris' in page
    assert "Which &lt;Paris&gt;?" in page
    client.force_login(cast.peer)
    assert client.get(url).status_code == 404


def test_a_reviewer_adds_changes_and_removes_a_note_on_the_review_page(cast, demonstration, client):
    client.force_login(cast.lead)
    review = reverse("labeling:review_submission", args=[cast.project.slug, demonstration.pk])
    add = reverse("labeling:span_note_add", args=[cast.project.slug, demonstration.pk])
    form = {"text": "answer", "start": "0", "end": "5", "comment": "Which?", "from": "review"}
    assert client.post(add, form).url == review
    note = SpanNote.objects.get()
    change = reverse("labeling:span_note_change", args=[cast.project.slug, note.pk])
    client.post(change, {"comment": "Which one?"})
    note.refresh_from_db()
    assert note.comment == "Which one?"
    assert "Which one?" in client.get(review).content.decode()
    client.post(change, {"remove": "1"})
    assert not SpanNote.objects.exists()


def test_a_note_without_a_stretch_says_so(cast, demonstration, client):
    client.force_login(cast.lead)
    add = reverse("labeling:span_note_add", args=[cast.project.slug, demonstration.pk])
    answer = client.post(add, {"text": "answer", "comment": "Which?"}, follow=True)
    assert "The note was not added" in answer.content.decode()


def test_the_api_lists_adds_changes_and_removes(cast, ranking, api_client_of):
    submission = submit(ranking, cast.annotator)
    client = api_client_of(cast.annotator)
    root = f"/api/projects/{cast.project.slug}"
    crab = str(Completion.objects.get(text=CRAB).public_id)
    body = {"completion": crab, "start": 0, "end": 1, "comment": "A crab"}
    made = client.post(f"{root}/submissions/{submission.pk}/notes/", body, format="json")
    assert (made.status_code, made.json()["quote"], made.json()["completion"]) == (201, "🦀", crab)
    url = f"{root}/span-notes/{made.json()['id']}/"
    assert client.patch(url, {"comment": "One crab"}, format="json").json()["comment"] == "One crab"
    assert [each["comment"] for each in client.get(f"{root}/submissions/{submission.pk}/notes/").json()] == [
        "One crab"
    ]
    peer = api_client_of(cast.peer)
    assert peer.get(f"{root}/submissions/{submission.pk}/notes/").status_code == 404
    assert peer.delete(url).status_code == 404
    assert client.delete(url).status_code == 204


def test_a_peers_notes_are_not_on_the_ranking_screen(cast, ranking, client):
    submit(ranking, cast.annotator, notes=[on_crab(0, 1, "Secret thought")])
    mine = claim(cast.peer, cast.project)
    client.force_login(cast.peer)
    page = client.get(reverse("labeling:work_task", args=[cast.project.slug, mine.pk])).content.decode()
    assert "Secret thought" not in page
    assert 'name="notes" value="[]"' in page
