"""The project's checks on an answer: off, warn, refuse; asked once; stored; shown to the reviewer."""

from __future__ import annotations

import io

import pytest
from django.urls import reverse

from annotate.errors import Invalid
from labeling.models import Demonstration, Draft, Submission
from labeling.services.answer_checks import UnconfirmedWarnings
from labeling.services.batches import create_demonstration_batch
from labeling.services.imports import start_import
from labeling.services.late import accept_late_draft
from labeling.services.projects import update_settings
from labeling.services.reviews import fix_submission, return_submission
from tests.factories import make_demonstration_batch, make_prompt

from .work import claim, submit

pytestmark = pytest.mark.django_db
MAIL = "Write to ann@example.org for more."


@pytest.fixture
def set_checks(cast):
    def change(**values):
        update_settings(project=cast.project, values=values, acting_user=cast.admin)

    return change


@pytest.fixture
def assignment(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    return claim(cast.annotator, cast.project)


def where(error: Invalid) -> list[tuple]:
    return [(each["check"], each["start"], each["end"]) for each in error.details]


def test_a_warning_is_asked_once_with_its_stretch_and_nothing_is_stored(cast, assignment):
    with pytest.raises(UnconfirmedWarnings) as caught:
        submit(assignment, cast.annotator, text=MAIL)
    assert where(caught.value) == [("personal_data", 9, 24)]
    assert caught.value.field == "text"
    assert not Submission.objects.exists()


def test_confirmed_it_is_stored_with_what_was_warned_of(cast, assignment):
    submission = submit(assignment, cast.annotator, text=MAIL, confirmed_warnings=["personal_data"])
    [warning] = submission.current.warnings
    assert (warning["check"], warning["kind"], warning["start"], warning["end"]) == (
        "personal_data",
        "email",
        9,
        24,
    )


def test_another_warning_than_the_confirmed_one_asks_again(cast, assignment, set_checks):
    set_checks(blocked_words=["write"])
    with pytest.raises(UnconfirmedWarnings) as caught:
        submit(assignment, cast.annotator, text=MAIL, confirmed_warnings=["personal_data"])
    assert where(caught.value) == [("blocked_words", 0, 5)]


def test_a_refusal_is_not_confirmed_away(cast, assignment, set_checks):
    set_checks(check_personal_data="refuse")
    with pytest.raises(Invalid) as caught:
        submit(assignment, cast.annotator, text=MAIL, confirmed_warnings=["personal_data"])
    assert (caught.value.code, where(caught.value)) == ("refused_by_check", [("personal_data", 9, 24)])
    assert not Submission.objects.exists()


def test_a_check_that_is_off_finds_nothing(cast, assignment, set_checks):
    set_checks(check_personal_data="off")
    assert submit(assignment, cast.annotator, text=MAIL).current.warnings == []


def test_an_unknown_check_cannot_be_confirmed(cast, assignment):
    with pytest.raises(Invalid) as caught:
        submit(assignment, cast.annotator, text=MAIL, confirmed_warnings=["everything"])
    assert caught.value.field == "confirmed_warnings"


def test_length_refuses_where_set_so_and_says_where(cast, assignment, set_checks):
    set_checks(response_max_characters=10)
    with pytest.raises(Invalid) as caught:
        submit(assignment, cast.annotator, text="0123456789AB")
    assert where(caught.value) == [("length", 10, 12)]


def test_length_warns_where_set_so(cast, assignment, set_checks):
    set_checks(response_max_characters=10, check_length="warn")
    with pytest.raises(UnconfirmedWarnings):
        submit(assignment, cast.annotator, text="0123456789AB")
    stored = submit(assignment, cast.annotator, text="0123456789AB", confirmed_warnings=["length"])
    assert stored.current.warnings[0]["kind"] == "long"


def test_an_answer_that_repeats_the_prompt_is_warned_of(cast):
    prompt = make_prompt(cast.project, "What is the capital of France?")
    create_demonstration_batch(project=cast.project, name="one", prompts=[prompt], acting_user=cast.admin)
    with pytest.raises(UnconfirmedWarnings) as caught:
        submit(
            claim(cast.annotator, cast.project), cast.annotator, text="What is the capital of France? Paris"
        )
    assert where(caught.value) == [("repeated_prompt", 0, 29)]


def test_a_reviewers_fix_is_refused_what_the_project_refuses_and_asked_nothing(cast, assignment, set_checks):
    submission = submit(assignment, cast.annotator, text="Fine.")
    common = {"submission": submission, "revision": 1, "reviewer": cast.lead}
    set_checks(blocked_words=["damn"], check_blocked_words="refuse")
    with pytest.raises(Invalid):
        fix_submission(**common, text="A damn answer")
    fix_submission(**common, text=MAIL)
    submission.refresh_from_db()
    assert submission.current.warnings[0]["check"] == "personal_data"


def test_late_work_keeps_what_it_is_warned_of(cast, assignment):
    draft = Draft.objects.get(task=assignment.task, user=cast.annotator)
    Draft.objects.filter(pk=draft.pk).update(body={"text": MAIL}, is_late=True, user=cast.peer)
    submission = accept_late_draft(draft=Draft.objects.get(pk=draft.pk), acting_user=cast.lead)
    assert submission.current.warnings[0]["kind"] == "email"


# --- The page and the API -----------------------------------------------------------------------------------
def send(client, cast, assignment, **fields):
    client.force_login(cast.annotator)
    url = reverse("labeling:work_submit", args=[cast.project.slug, assignment.pk])
    form = {"fence": assignment.fence, "idempotency_key": "k-1", "active_seconds": "1", **fields}
    return client.post(url, form)


def test_the_page_asks_once_and_then_takes_it(client, cast, assignment):
    answer = send(client, cast, assignment, text=MAIL)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'name="confirmed_warnings" value="personal_data"' in page
    assert "Submit anyway" in page
    assert 'data-start="9" data-end="24"' in page
    assert send(client, cast, assignment, text=MAIL, confirmed_warnings="personal_data").status_code == 302
    assert Submission.objects.get().current.text == MAIL


def test_the_page_does_not_ask_again_what_was_confirmed_when_another_check_warns(
    client, cast, assignment, set_checks
):
    set_checks(blocked_words=["damn"])
    client.force_login(cast.annotator)
    page = send(client, cast, assignment, text=MAIL)
    assert 'name="confirmed_warnings" value="personal_data"' in page.content.decode()
    assert '<q class="small mono truncate" dir="auto">ann@example.org</q>' in page.content.decode()
    page = send(client, cast, assignment, text=f"Damn. {MAIL}", confirmed_warnings="personal_data")
    assert 'name="confirmed_warnings" value="personal_data,blocked_words"' in page.content.decode()
    both = "personal_data,blocked_words"
    assert send(client, cast, assignment, text=f"Damn. {MAIL}", confirmed_warnings=both).status_code == 302


def test_the_reviewer_sees_what_was_warned_of_with_the_words(client, cast, assignment):
    submission = submit(assignment, cast.annotator, text=MAIL, confirmed_warnings=["personal_data"])
    client.force_login(cast.lead)
    page = client.get(reverse("labeling:review_submission", args=[cast.project.slug, submission.pk]))
    assert "submitted anyway" in page.content.decode()
    assert '<q class="mono" dir="auto">ann@example.org</q>' in page.content.decode()


def test_the_api_says_while_typing_what_would_be_found(api_client_of, cast, assignment):
    url = f"/api/projects/{cast.project.slug}/assignments/{assignment.pk}/checks/"
    answer = api_client_of(cast.annotator).post(url, {"text": MAIL}, format="json").json()
    [remark] = answer["remarks"]
    assert (remark["check"], remark["action"], remark["quote"]) == (
        "personal_data",
        "warn",
        "ann@example.org",
    )
    assert answer["characters"] == len(MAIL)
    assert answer["tokens"] == {"count": 9, "is_estimate": True}


def test_the_api_submits_with_a_confirmation(api_client_of, cast, assignment):
    client = api_client_of(cast.annotator)
    url = f"/api/projects/{cast.project.slug}/assignments/{assignment.pk}/submit/"
    body = {"fence": assignment.fence, "text": MAIL, "idempotency_key": "k-1"}
    refused = client.post(url, body, format="json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unconfirmed_warnings")
    detail = refused.json()["error"]["details"][0]
    assert (detail["field"], detail["start"], detail["end"], detail["check"]) == (
        "text",
        9,
        24,
        "personal_data",
    )
    body["confirmed_warnings"] = ["personal_data"]
    assert client.post(url, body, format="json").status_code == 201


def test_settings_take_a_list_of_words_and_refuse_nonsense(cast, set_checks):
    set_checks(blocked_words=["damn", "two words"], check_blocked_words="refuse")
    assert cast.project.settings.blocked_words == ["damn", "two words"]
    for values in ({"blocked_words": [""]}, {"blocked_words": [3]}, {"check_length": "maybe"}):
        with pytest.raises(Invalid) as caught:
            set_checks(**values)
        assert caught.value.field == next(iter(values))


def test_the_settings_page_edits_words_one_a_line(client, cast):
    from labeling.forms import SettingsForm

    client.force_login(cast.admin)
    url = reverse("labeling:project_settings", args=[cast.project.slug])
    form = SettingsForm(settings=cast.project.settings)
    data = {name: each.initial for name, each in form.fields.items() if each.initial is not False}
    data |= {"name": cast.project.name, "description": "", "blocked_words": "damn\r\n\r\n two words \r\ndamn"}
    answer = client.post(url, data | {"check_near_duplicate": "warn"})
    assert answer.status_code == 302
    cast.project.refresh_from_db()
    assert cast.project.settings.blocked_words == ["damn", "two words"]
    assert cast.project.settings.check_near_duplicate == "warn"


def test_returned_work_is_checked_again(cast, assignment, set_checks):
    from labeling.services.assignments import lease_assignment

    submission = submit(assignment, cast.annotator, text="Fine.")
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="More.")
    again = lease_assignment(assignment=submission.assignment, user=cast.annotator)
    with pytest.raises(UnconfirmedWarnings):
        submit(again, cast.annotator, text=MAIL)


def test_an_imported_answer_that_the_project_refuses_is_a_faulty_row(cast, set_checks):
    def bring_in(text: str):
        line = f'{{"prompt": "Q?", "response": "{text}"}}\n'
        return start_import(
            project=cast.project,
            kind="demonstrations",
            file=io.BytesIO(line.encode()),
            filename="a.jsonl",
            acting_user=cast.admin,
        )

    bring_in("Mail ann@example.org now")
    assert Demonstration.objects.get().warnings[0]["kind"] == "email"
    set_checks(check_personal_data="refuse")
    record = bring_in("Mail bob@example.org now")
    assert record.status == "failed"
    assert (record.error["row"], record.error["field"]) == (1, "answer")
    assert Demonstration.objects.count() == 1
