"""Forms as versions: published, pinned to leases and judgments, never in the way of work in hand or done."""

import pytest
from django.urls import reverse

from annotate.errors import Conflict, Gone, Invalid, NotFound
from labeling.models import AuditEvent, Draft, FormVersion, Notification
from labeling.services import forms, late
from labeling.services.assignments import release_assignment
from labeling.services.drafts import save_draft
from labeling.services.reviews import return_submission
from tests.factories import (
    make_demonstration_batch,
    make_project,
    make_ranking_batch,
    publish_form,
    question,
)

from .work import claim, do_next, expire, ranking_of, submit

pytestmark = pytest.mark.django_db


def draft(cast, definition, revision=0, layout="ranking"):
    return forms.save_draft(
        project=cast.project,
        layout=layout,
        definition=definition,
        revision=revision,
        acting_user=cast.lead,
    )


def test_a_new_project_has_version_1_of_each_form():
    project = make_project()
    assert sorted(FormVersion.objects.filter(form__project=project).values_list("layout", "number")) == [
        ("demonstration", 1),
        ("pairwise", 1),
        ("ranking", 1),
    ]


def test_a_published_version_counts_up_never_changes_and_is_told_and_audited(cast):
    draft(cast, {"allow_ties": False})
    version = forms.publish_version(
        project=cast.project, layout="ranking", acting_user=cast.lead, change_summary="No ties."
    )
    assert (version.number, version.definition.allow_ties) == (2, False)
    version.number = 5
    with pytest.raises(ValueError, match="never changes"):
        version.save()
    assert AuditEvent.objects.filter(action="form.published", object_id=str(version.pk)).exists()
    told = Notification.objects.filter(kind="form.published")
    assert set(told.values_list("user__username", flat=True)) == {"alice", "anna", "petra"}
    assert "No ties." in told[0].text


def test_a_stale_draft_is_refused_and_shows_what_was_saved_meanwhile(cast):
    draft(cast, {"allow_ties": False})
    with pytest.raises(Conflict) as caught:
        draft(cast, {"ask_margins": True})
    assert '"allow_ties": false' in caught.value.details[0]["message"]


def test_a_draft_that_makes_no_sense_is_refused_by_field_and_in_words(cast):
    with pytest.raises(Invalid) as caught:
        draft(cast, {"questions": [question("a", "one_of")]})
    assert caught.value.field == "questions.0.options"
    assert caught.value.message == "Questions 1, options: needs something to choose from."


def test_nothing_is_published_without_a_draft_or_a_change(cast):
    with pytest.raises(Conflict, match="no draft"):
        forms.publish_version(project=cast.project, layout="ranking", acting_user=cast.lead)
    draft(cast, {})
    with pytest.raises(Conflict, match="same as version 1"):
        forms.publish_version(project=cast.project, layout="ranking", acting_user=cast.lead)
    forms.discard_draft(project=cast.project, layout="ranking", acting_user=cast.lead)
    assert cast.project.forms.get(layout="ranking").draft_json is None
    with pytest.raises(NotFound):
        forms.publish_version(project=cast.project, layout="essay", acting_user=cast.lead)


def test_publishing_does_not_break_work_in_hand(cast):
    make_ranking_batch(cast.project, tasks=2, review_rate=0)
    in_hand = claim(cast.annotator, cast.project)
    publish_form(cast.project, scale={"lowest": 0, "highest": 2}, questions=[question("a", required=True)])
    stored = submit(in_hand, cast.annotator).current  # scores up to 7, no answer: as it was asked
    assert stored.form_version.number == 1
    later = claim(cast.annotator, cast.project)
    assert later.form_version.number == 2
    with pytest.raises(Invalid) as caught:
        submit(later, cast.annotator)
    assert caught.value.field == "scores"
    low = dict.fromkeys(ranking_of(later, cast.annotator)["touched"], 1)
    with pytest.raises(Invalid) as caught:
        submit(later, cast.annotator, scores=low)
    assert caught.value.field == "answers.a"
    stored = submit(later, cast.annotator, scores=low, answers={"task": {"a": False}}).current
    assert (stored.form_version.number, stored.answers) == (2, {"task": {"a": False}})


def test_what_is_sent_after_the_lease_ran_out_is_held_against_the_form_it_showed(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    mine = claim(cast.annotator, cast.project)
    expire(mine)
    publish_form(cast.project, "demonstration", questions=[question("a", required=True)])
    theirs = claim(cast.peer, cast.project)
    release_assignment(assignment=theirs, user=cast.peer)
    assert submit(mine, cast.annotator).current.form_version.number == 1


def test_late_work_is_accepted_under_its_own_form_with_its_answers(cast):
    publish_form(cast.project, "demonstration", questions=[question("a", required=True)])
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    mine = claim(cast.annotator, cast.project)
    expire(mine)
    do_next(cast.peer, cast.project, answers={"task": {"a": True}})
    with pytest.raises(Conflict):
        submit(mine, cast.annotator, answers={"task": {"a": False}})
    publish_form(cast.project, "demonstration", questions=[])
    stored = late.accept_late_draft(draft=Draft.objects.get(is_late=True), acting_user=cast.lead).current
    assert (stored.form_version.number, stored.answers) == (2, {"task": {"a": False}})


def test_returned_work_is_taken_up_under_the_form_in_force(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Again.")
    publish_form(cast.project, "demonstration", questions=[question("a", required=True)])
    again = claim(cast.annotator, cast.project)
    with pytest.raises(Invalid):
        submit(again, cast.annotator)
    submit(again, cast.annotator, answers={"task": {"a": True}})
    versions = submission.demonstrations.order_by("revision").values_list("form_version__number", flat=True)
    assert list(versions) == [1, 2]


def test_done_work_keeps_the_words_of_its_own_form(client, cast):
    publish_form(cast.project, prompt_flags=[{"key": "odd", "label": "Strangely put"}])
    make_ranking_batch(cast.project, tasks=1, review_rate=0)
    assignment = claim(cast.annotator, cast.project)
    best = assignment.presentation["order"][0]
    submission = submit(assignment, cast.annotator, flags={best: ["invented_facts"]}, prompt_flags=["odd"])
    publish_form(cast.project, completion_flags=[], prompt_flags=[], scale={"lowest": 0, "highest": 5})
    client.force_login(cast.annotator)
    page = client.get(reverse("labeling:submission_detail", args=[cast.project.slug, submission.pk]))
    for words in ("Made-up facts", "Strangely put", "score 7 of 7", "forms/ranking/versions/2/"):
        assert words in page.content.decode()


def test_a_draft_with_answers_that_have_no_place_any_more_loses_none_silently(client, cast):
    tone = question("tone", "one_of", options=[{"key": "a", "label": "Warm"}, {"key": "b", "label": "Cold"}])
    publish_form(cast.project, questions=[question("why", "long_text"), tone])
    make_ranking_batch(cast.project, tasks=1, k=2)
    first = claim(cast.annotator, cast.project)
    [one, other] = [str(pk) for pk in first.task.completions.values_list("public_id", flat=True)]
    body = {
        "answer.task.why": "Because of this.",
        "answer.task.tone": "b",
        "answer.task.never_answered": "",
        "scores": f'{{"{one}": 7, "{other}": 2}}',
        "flags": f'{{"{one}": ["harmful"]}}',
        "prompt_flags": "unsafe",
    }
    save_draft(task=first.task, user=cast.annotator, body=body, revision=1)
    release_assignment(assignment=first, user=cast.annotator)
    fewer = [{**tone, "options": [tone["options"][0], {"key": "c", "label": "Dry"}]}]
    publish_form(cast.project, questions=fewer, scale={"highest": 3}, completion_flags=[], prompt_flags=[])
    again = claim(cast.annotator, cast.project)
    client.force_login(cast.annotator)
    page = client.get(reverse("labeling:work_task", args=[cast.project.slug, again.pk]))
    said = {each.what.partition(": ")[2] or each.what: each.answer for each in page.context["set_aside"]}
    assert said == {
        "Prompt": "Unsafe",
        "Why?": "Because of this.",
        "Tone?": "b",
        "score": "7",
        "flag": "Harmful advice",
    }
    assert "This form has changed since you began." in page.content.decode()
    # The draft carries them along, whatever is saved next.
    saved = {"set_aside": page.context["set_aside_field"]}
    save_draft(task=again.task, user=cast.annotator, body=saved, revision=2)
    page = client.get(reverse("labeling:work_task", args=[cast.project.slug, again.pk]))
    assert len(page.context["set_aside"]) == 5


def test_a_setting_that_moved_says_where_it_is_now(cast, api_client_of):
    answer = api_client_of(cast.admin).patch(
        f"/api/projects/{cast.project.slug}/", {"settings": {"allow_ties": False}}, format="json"
    )
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["field"] == "allow_ties" and "/forms/ranking/draft/" in error["hint"]


def test_a_submitted_task_is_not_reopened_by_a_form(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    assignment = claim(cast.annotator, cast.project)
    submit(assignment, cast.annotator)
    publish_form(cast.project, "demonstration", questions=[question("a", required=True)])
    with pytest.raises(Gone):
        submit(assignment, cast.annotator)


def test_an_answer_that_is_too_long_stays_in_its_field(client, cast):
    publish_form(cast.project, questions=[question("why", "short_text")])
    make_ranking_batch(cast.project, tasks=1, k=2)
    slot = claim(cast.annotator, cast.project)
    words = "long " * 100
    save_draft(task=slot.task, user=cast.annotator, body={"answer.task.why": words}, revision=1)
    client.force_login(cast.annotator)
    page = client.get(reverse("labeling:work_task", args=[cast.project.slug, slot.pk]))
    assert page.context["set_aside"] == []
    assert page.context["fields"]["answer.task.why"] == words
    assert "This form has changed" not in page.content.decode()
