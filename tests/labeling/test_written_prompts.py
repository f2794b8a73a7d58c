"""Annotators who write the prompt as well: stored, checked, reviewed, mended, in datasets like any other."""

from __future__ import annotations

import io
import json
import re

import pytest
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict, Invalid
from labeling.formats import prompt_digest
from labeling.models import Demonstration, Draft, Prompt, Submission
from labeling.services.answer_checks import UnconfirmedWarnings
from labeling.services.answer_index import build_index
from labeling.services.appeals import decide_appeal, open_appeal
from labeling.services.batches import (
    create_batch_from_waiting,
    create_writing_batch,
    prompts_without_task,
)
from labeling.services.datasets import create_dataset, freeze_dataset, open_split
from labeling.services.drafts import save_draft
from labeling.services.imports import start_import
from labeling.services.late import accept_late_draft
from labeling.services.projects import update_settings
from labeling.services.reviews import (
    accept_submission,
    fix_submission,
    reject_submission,
    reopen_submission,
    return_submission,
)
from labeling.services.undo import undo_decision
from labeling.services.written_prompts import batch_prompt_ids
from labeling.worksheet import as_json, open_worksheet
from tests.factories import make_prompt

from .work import claim, expire, submit

pytestmark = [pytest.mark.django_db, pytest.mark.database]
ASKED = "What is the capital of France?"
LONG = (
    "Please explain in a few short sentences how a steam engine works and why it needs so much water. "
    "Begin with the fire and the boiler, go on to the cylinder and the piston, and say at the end what "
    "became of the heat that did no work, so that a child of ten years can follow every step of it."
)


@pytest.fixture
def batch(cast):
    return create_writing_batch(
        project=cast.project, name="Ask and answer", tasks=4, review_rate=0, acting_user=cast.lead
    )


@pytest.fixture
def set_checks(cast):
    def change(**values):
        update_settings(project=cast.project, values=values, acting_user=cast.admin)

    return change


def write(cast, user=None, *, review: bool = False, **fields) -> Submission:
    if review:
        cast.project.batches.update(review_rate=1)
    user = user or cast.annotator
    return submit(claim(user, cast.project), user, **{"prompt": ASKED, **fields})


def is_in_use(submission: Submission) -> bool:
    return Prompt.objects.active().filter(pk=Submission.objects.get(pk=submission.pk).prompt_id).exists()


def test_what_was_asked_becomes_a_prompt_of_the_project_with_its_category(cast, batch):
    submission = write(cast, category=" geography ")
    prompt = submission.prompt
    assert prompt.messages == [{"role": "user", "content": ASKED}]
    assert (prompt.digest, prompt.category) == (prompt_digest(prompt.messages), "geography")
    assert (prompt.created_by, prompt.preview) == (cast.annotator, ASKED)
    assert submission.current.prompt == prompt
    assert submission.task.prompt.messages == []
    assert is_in_use(submission)


def test_each_of_several_people_at_one_task_writes_their_own(cast):
    create_writing_batch(
        project=cast.project, name="Two", tasks=1, overlap=2, review_rate=0, acting_user=cast.lead
    )
    first, second = write(cast), write(cast, cast.peer, prompt="And of Spain?")
    assert first.task == second.task
    assert (first.prompt.preview, second.prompt.preview) == (ASKED, "And of Spain?")


def test_the_same_words_are_the_same_prompt(cast, batch):
    known = make_prompt(cast.project, ASKED, category="known")
    submission = write(cast, category="other")
    assert (submission.prompt, submission.prompt.category) == (known, "known")


@pytest.mark.parametrize("prompt", [None, "", " \n "])
def test_without_a_prompt_nothing_is_stored(cast, batch, prompt):
    with pytest.raises(Invalid) as caught:
        write(cast, prompt=prompt)
    assert caught.value.field == "prompt"
    assert not Submission.objects.exists()


def test_a_task_that_has_its_prompt_takes_no_other(cast):
    from tests.factories import make_demonstration_batch

    make_demonstration_batch(cast.project, tasks=1)
    with pytest.raises(Invalid) as caught:
        write(cast)
    assert caught.value.field == "prompt"


@pytest.mark.parametrize(
    ("settings", "prompt", "found"),
    [
        ({"prompt_min_characters": 40}, ASKED, ("length", 0, 30)),
        ({"prompt_max_characters": 10}, ASKED, ("length", 10, 30)),
        (
            {"check_blocked_words": "refuse", "blocked_words": ["capital"]},
            ASKED,
            ("blocked_words", 12, 19),
        ),
        ({"check_personal_data": "refuse"}, "Who is ann@example.org?", ("personal_data", 7, 22)),
    ],
)
def test_the_checks_read_the_prompt_as_well(cast, batch, set_checks, settings, prompt, found):
    set_checks(**settings)
    with pytest.raises(Invalid) as caught:
        write(cast, prompt=prompt, text="No.")
    [detail] = caught.value.details
    assert (detail["check"], detail["start"], detail["end"]) == found
    assert (detail["field"], caught.value.field) == ("prompt", "prompt")


def test_a_warning_of_the_prompt_is_asked_once_and_stands_with_the_answer(cast, batch):
    with pytest.raises(UnconfirmedWarnings) as caught:
        write(cast, prompt="Who is ann@example.org?")
    assert caught.value.field == "prompt"
    submission = write(cast, prompt="Who is ann@example.org?", confirmed_warnings=["personal_data"])
    [warning] = submission.current.warnings
    assert (warning["of"], warning["start"], warning["end"]) == ("prompt", 7, 22)


def test_lengths_can_be_let_pass_or_warned_of(cast, batch, set_checks):
    set_checks(prompt_min_characters=40, check_length="warn")
    with pytest.raises(UnconfirmedWarnings):
        write(cast)
    set_checks(check_length="off")
    assert write(cast).prompt.preview == ASKED


def test_an_answer_that_repeats_what_its_author_asked_is_found(cast, batch, set_checks):
    set_checks(check_repeated_prompt="refuse")
    with pytest.raises(Invalid) as caught:
        write(cast, prompt=LONG, text=f"{LONG} It boils.")
    assert caught.value.details[0]["check"] == "repeated_prompt"


def test_a_prompt_nearly_like_one_that_is_there_is_found_whichever_came_how(cast, batch, set_checks):
    make_prompt(cast.project, LONG)
    set_checks(check_near_duplicate="refuse")
    build_index(cast.project.pk)
    with pytest.raises(Invalid) as caught:
        write(cast, prompt=LONG.replace("much", "plenty of"))
    assert (caught.value.details[0]["check"], caught.value.field) == ("near_duplicate", "prompt")
    other = " ".join(reversed(LONG.split()))
    assert write(cast, prompt=other)
    with pytest.raises(Invalid):  # one written a moment ago is in the index as well
        write(cast, cast.peer, prompt=other + " Please.")


def test_the_very_same_prompt_is_a_duplicate_however_short(cast, batch, set_checks):
    make_prompt(cast.project, "Why?")
    set_checks(check_near_duplicate="refuse")
    with pytest.raises(Invalid) as caught:
        write(cast, prompt="Why?")
    assert caught.value.details[0]["check"] == "near_duplicate"


def test_ones_own_prompt_is_no_duplicate_when_the_work_comes_back(cast, batch, set_checks):
    set_checks(check_near_duplicate="refuse")
    submission = write(cast, review=True, prompt=LONG)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Better.")
    assert write(cast, prompt=LONG, text="By heat.").pk == submission.pk


# --- In use, or not -----------------------------------------------------------------------------------------
def test_a_prompt_is_in_use_once_its_answer_is_accepted_and_not_before(cast, batch):
    submission = write(cast, review=True)
    assert not is_in_use(submission)
    accept_submission(submission=submission, revision=1, reviewer=cast.lead)
    assert is_in_use(submission)
    reopen_submission(submission=submission, reviewer=cast.lead)
    assert not is_in_use(submission)
    reject_submission(submission=Submission.objects.get(), revision=1, reviewer=cast.lead, note="No.")
    assert not is_in_use(submission)


def test_a_prompt_that_was_there_before_is_not_taken_away(cast, batch):
    known = make_prompt(cast.project, ASKED)
    submission = write(cast, review=True)
    reject_submission(submission=submission, revision=1, reviewer=cast.lead, note="No.")
    assert Prompt.objects.active().filter(pk=known.pk).exists()


def test_nobody_is_asked_to_answer_it_once_more_and_it_can_be_ranked(cast, batch):
    submission = write(cast)
    waiting = prompts_without_task(project=cast.project, kind="demonstration")
    assert submission.prompt not in waiting
    assert submission.prompt in prompts_without_task(project=cast.project, kind="ranking")
    assert batch_prompt_ids(batch) == [submission.prompt_id]


def test_the_blank_prompt_is_in_no_list(cast, batch, client):
    blank = Prompt.objects.get(digest=Prompt.BLANK)
    client.force_login(cast.lead)
    page = client.get(reverse("labeling:prompts", args=[cast.project.slug]) + "?status=archived")
    assert page.status_code == 200 and blank.preview not in page.content.decode()
    assert (
        client.get(reverse("labeling:prompt_detail", args=[cast.project.slug, blank.pk])).status_code == 404
    )
    listed = client.get(f"/api/projects/{cast.project.slug}/prompts/").json()
    assert listed["count"] == 0


# --- Mended -------------------------------------------------------------------------------------------------
def test_returned_work_may_ask_something_else_and_the_first_prompt_goes_out_of_use(cast, batch):
    submission = write(cast, review=True)
    first = submission.prompt
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Ask more.")
    write(cast, prompt="Name two capitals.", text="Paris, Rome.")
    submission.refresh_from_db()
    accept_submission(submission=submission, revision=2, reviewer=cast.lead)
    asked = list(submission.demonstrations.order_by("revision").values_list("prompt__preview", flat=True))
    assert asked == [ASKED, "Name two capitals."]
    assert submission.prompt.preview == "Name two capitals."
    assert is_in_use(submission)
    assert not Prompt.objects.active().filter(pk=first.pk).exists()


def test_a_reviewer_mends_the_prompt_and_undo_brings_the_authors_back(cast, batch):
    submission = write(cast, review=True)
    review = fix_submission(
        submission=submission,
        revision=1,
        reviewer=cast.lead,
        text=submission.current.text,
        prompt="Which city is France's capital?",
    )
    submission.refresh_from_db()
    assert submission.prompt.preview == "Which city is France's capital?"
    assert is_in_use(submission)
    undo_decision(review=review, reviewer=cast.lead)
    submission.refresh_from_db()
    assert submission.prompt.preview == ASKED
    assert submission.current.prompt == submission.prompt
    assert not Prompt.objects.active().filter(preview="Which city is France's capital?").exists()


def test_a_fix_without_a_prompt_keeps_it_and_without_any_change_is_refused(cast, batch):
    submission = write(cast, review=True)
    with pytest.raises(Invalid) as caught:
        fix_submission(
            submission=submission, revision=1, reviewer=cast.lead, text=submission.current.text, prompt=ASKED
        )
    assert caught.value.code == "unchanged"
    fix_submission(submission=submission, revision=1, reviewer=cast.lead, text="Paris, of course.")
    submission.refresh_from_db()
    assert (submission.prompt.preview, submission.current.prompt_id) == (ASKED, submission.prompt_id)


def test_an_appeal_that_is_upheld_restores_what_was_asked(cast, batch):
    submission = write(cast, review=True)
    fix_submission(
        submission=submission, revision=1, reviewer=cast.lead, text="Rome.", prompt="And of Italy?"
    )
    appeal = open_appeal(submission=submission, author=cast.annotator, text="Mine was right.")
    decide_appeal(appeal=appeal, reviewer=cast.admin, outcome="overturned", note="It was.")
    submission.refresh_from_db()
    assert (submission.prompt.preview, submission.status) == (ASKED, "accepted")
    assert is_in_use(submission)


def test_late_work_brings_its_prompt(cast):
    create_writing_batch(project=cast.project, name="One", tasks=1, review_rate=0, acting_user=cast.lead)
    slot = claim(cast.annotator, cast.project)
    expire(slot)
    write(cast, cast.peer, prompt="Somebody else's?")
    with pytest.raises(Conflict):
        submit(slot, cast.annotator, prompt=ASKED, category="late")
    draft = Draft.objects.get(is_late=True)
    assert (draft.body["prompt"], draft.body["category"]) == (ASKED, "late")
    submission = accept_late_draft(draft=draft, acting_user=cast.lead)
    assert (submission.prompt.preview, submission.prompt.category) == (ASKED, "late")


# --- Datasets -----------------------------------------------------------------------------------------------
def frozen(cast, kind: str):
    dataset = create_dataset(
        project=cast.project,
        kind=kind,
        name=kind,
        recipe={"fractions": {"train": 1, "validation": 0, "test": 0}},
        acting_user=cast.admin,
    )
    return list(open_split(version=freeze_dataset(dataset=dataset, acting_user=cast.admin), split="train"))


def test_a_dataset_holds_prompt_and_answer_with_their_lineage(cast, batch, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    submission = write(cast)
    write(cast, cast.peer, review=True, prompt="Not accepted yet?")
    [row] = frozen(cast, "sft")
    assert [turn["content"] for turn in row["messages"]] == [ASKED, submission.current.text]
    assert (row["prompt_id"], row["source"]["judgment"]) == (str(submission.prompt_id), submission.pk)
    assert row["source"]["prompt_written"] is True
    [prompt] = frozen(cast, "prompts")
    assert prompt["messages"] == [{"role": "user", "content": ASKED}]


def test_two_answers_to_the_same_written_words_are_on_one_side_of_a_split(cast, batch, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    write(cast), write(cast, cast.peer, text="It is Paris.")
    rows = frozen(cast, "sft")
    assert len({row["prompt_id"] for row in rows}) == 1 and len(rows) == 2


# --- Batches ------------------------------------------------------------------------------------------------
def test_a_batch_of_such_tasks_is_made_as_any_other(cast):
    batch = create_batch_from_waiting(
        project=cast.project, name="Write", kind="demonstration", limit=3, writes_prompt=True,
        category="maths", acting_user=cast.lead,
    )  # fmt: skip
    assert (batch.writes_prompt, batch.tasks.count(), batch.assignments.count()) == (True, 3, 3)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kind": "ranking"}, "writes_prompt"),
        ({"starts_from_draft": True}, "writes_prompt"),
        ({"purpose": "screening"}, "purpose"),
        ({"purpose": "calibration"}, "purpose"),
    ],
)
def test_what_cannot_be_written_is_refused(cast, given, field):
    values = {"kind": "demonstration", "limit": 2, "writes_prompt": True, **given}
    with pytest.raises(Invalid) as caught:
        create_batch_from_waiting(project=cast.project, name="W", acting_user=cast.lead, **values)
    assert caught.value.field == field
    assert not cast.project.batches.exists()


# --- Pages and API ------------------------------------------------------------------------------------------
def address(name: str, cast, *args) -> str:
    return reverse(f"labeling:{name}", args=[cast.project.slug, *args])


def test_the_form_of_a_batch_offers_it(cast, client):
    client.force_login(cast.lead)
    values = {"name": "W", "kind": "demonstration", "limit": 2, "completions_per_task": 4, "overlap": 1}
    values |= {"review_rate": 0, "priority": 0, "writes_prompt": "on"}
    assert client.post(address("batch_new", cast), values).status_code == 302
    batch = cast.project.batches.get()
    assert batch.writes_prompt
    assert (
        "annotator writes the prompt" in client.get(address("batch_detail", cast, batch.pk)).content.decode()
    )


def test_the_screen_asks_for_both_saves_both_and_submits_both(cast, batch, client):
    client.force_login(cast.annotator)
    slot = claim(cast.annotator, cast.project)
    page = client.get(address("work_task", cast, slot.pk)).content.decode()
    assert 'name="prompt"' in page and 'name="text"' in page and 'name="category"' in page
    save_draft(
        task=slot.task,
        user=cast.annotator,
        body={"prompt": "What is <b>", "text": "An ans", "category": "c1"},
        revision=Draft.objects.get().revision,
    )
    again = client.get(address("work_task", cast, slot.pk)).content.decode()
    assert "What is &lt;b&gt;" in again and "An ans" in again and 'value="c1"' in again
    sent = {"fence": slot.fence, "idempotency_key": "k1", "prompt": ASKED, "text": "Paris.", "category": "c1"}
    assert client.post(address("work_submit", cast, slot.pk), sent).status_code == 302
    assert Submission.objects.get().prompt.preview == ASKED


def test_what_is_wrong_with_the_prompt_is_said_beside_it_and_nothing_is_lost(cast, batch, client):
    client.force_login(cast.annotator)
    slot = claim(cast.annotator, cast.project)
    sent = {"fence": slot.fence, "idempotency_key": "k1", "prompt": "Who is ann@example.org?", "text": "X."}
    answer = client.post(address("work_submit", cast, slot.pk), sent)
    html = answer.content.decode()
    assert answer.status_code == 422
    assert 'data-stretch="prompt-text"' in html and "Who is ann@example.org?" in html
    sent |= {"confirmed_warnings": "personal_data", "idempotency_key": "k2"}
    assert client.post(address("work_submit", cast, slot.pk), sent).status_code == 302


def test_the_reviewer_and_the_author_see_both(cast, batch, client):
    submission = write(cast, review=True, category="geo")
    client.force_login(cast.lead)
    page = client.get(address("review_submission", cast, submission.pk)).content.decode()
    assert ASKED in page and submission.current.text in page
    assert "written together with the answer" in page and 'name="prompt"' in page
    fix = {"decision": "fixed", "revision": 1, "text": submission.current.text, "prompt": "Where is Paris?"}
    assert client.post(address("review_submission", cast, submission.pk), fix).status_code == 302
    submission.refresh_from_db()
    assert submission.prompt.preview == "Where is Paris?"
    client.force_login(cast.annotator)
    own = client.get(address("submission_detail", cast, submission.pk)).content.decode()
    assert "Where is Paris?" in own and "What changed in the prompt" in own


def test_returned_work_starts_from_what_was_asked_before(cast, batch, client):
    submission = write(cast, review=True, category="geo")
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Again.")
    slot = claim(cast.annotator, cast.project)
    client.force_login(cast.annotator)
    sheet = client.get(f"/api/projects/{cast.project.slug}/assignments/{slot.pk}/").json()
    assert sheet["writes_prompt"] is True and sheet["prompt"]["messages"] == []
    assert sheet["draft"]["fields"]["prompt"] == ASKED
    assert sheet["draft"]["fields"]["category"] == "geo"


def test_programs_submit_both_and_ask_the_checks_about_either(cast, batch, client):
    client.force_login(cast.annotator)
    slot = claim(cast.annotator, cast.project)
    base = f"/api/projects/{cast.project.slug}/assignments/{slot.pk}/"
    look = {"text": "Who is ann@example.org?", "of": "prompt"}
    [remark] = client.post(f"{base}checks/", look, content_type="application/json").json()["remarks"]
    assert (remark["check"], remark["of"], remark["start"]) == ("personal_data", "prompt", 7)
    body = {"fence": slot.fence, "idempotency_key": "a", "text": "Paris."}
    missing = client.post(f"{base}submit/", body, content_type="application/json")
    assert (missing.status_code, missing.json()["error"]["field"]) == (422, "prompt")
    done = client.post(f"{base}submit/", body | {"prompt": ASKED}, content_type="application/json")
    assert done.status_code == 201
    other = client.post(f"{base}submit/", body | {"prompt": "Other?"}, content_type="application/json")
    assert other.json()["error"]["code"] == "idempotency_key_reused"


def test_prompts_from_a_file_meet_the_index_too(cast, batch, set_checks):
    set_checks(check_near_duplicate="refuse")
    file = io.BytesIO(json.dumps({"prompt": LONG}).encode())
    start_import(project=cast.project, kind="prompts", file=file, filename="p.jsonl", acting_user=cast.admin)
    with pytest.raises(Invalid):
        write(cast, prompt=LONG.replace("much", "plenty of"))


def test_a_demonstration_of_a_prompt_that_was_given_names_none(cast):
    from tests.factories import make_demonstration_batch

    make_demonstration_batch(cast.project, tasks=1)
    submit(claim(cast.annotator, cast.project), cast.annotator)
    assert Demonstration.objects.get().prompt is None


# --- In a language ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("matches", [False, True])
def test_prompts_are_written_in_the_language_that_the_batch_asks_for(cast, matches):
    update_settings(project=cast.project, values={"match_languages": matches}, acting_user=cast.admin)
    batch = create_batch_from_waiting(
        project=cast.project, name="German", kind="demonstration", limit=2, category="law", language="de",
        writes_prompt=True, review_rate=0, acting_user=cast.lead,
    )  # fmt: skip
    assert batch.source == {"tasks": 2, "category": "law", "language": "de"}
    assert set(batch.tasks.values_list("assignments__language", flat=True)) == {"de" if matches else ""}
    if matches:  # only who works in it gets one
        membership = cast.project.memberships.get(user=cast.annotator)
        membership.languages.create(code="de", confirmed_at=timezone.now())
    assignment = claim(cast.annotator, cast.project)
    sheet = open_worksheet(assignment=assignment, user=cast.annotator, project=cast.project)
    assert as_json(sheet)["prompt_language"] == "de"
    submission = submit(assignment, cast.annotator, prompt="Was ist ein Vertrag?", category="law")
    assert (submission.prompt.language, submission.prompt.category) == ("de", "law")


def test_a_batch_that_asks_for_a_language_keeps_it_when_languages_are_matched_later(cast):
    batch = create_batch_from_waiting(
        project=cast.project, name="German", kind="demonstration", limit=2, language="de",
        writes_prompt=True, acting_user=cast.lead,
    )  # fmt: skip
    for matches, language in ((True, "de"), (False, ""), (True, "de")):
        update_settings(project=cast.project, values={"match_languages": matches}, acting_user=cast.admin)
        assert set(batch.tasks.values_list("assignments__language", flat=True)) == {language}


def test_a_batch_takes_up_prompts_of_one_language(cast):
    german = make_prompt(cast.project, language="de")
    make_prompt(cast.project, language="en")
    batch = create_batch_from_waiting(
        project=cast.project, name="German", kind="demonstration", language="de", acting_user=cast.lead
    )
    assert list(batch.tasks.values_list("prompt_id", flat=True)) == [german.pk]


def test_a_link_proposes_what_the_form_begins_with(client, cast):
    client.force_login(cast.lead)
    page = f"/projects/{cast.project.slug}/batches/new/"
    proposed = {"kind": "demonstration", "writes_prompt": "on", "name": "More law", "limit": "21",
                "category": "law", "language": "de"}  # fmt: skip
    shown = client.get(page, proposed).content.decode()
    chosen = [f'<option value="{value}" selected>' for value in ("law", "de", "demonstration")]
    for said in ('value="More law"', 'value="21"', *chosen):
        assert said in shown, said
    assert re.search(r'name="writes_prompt"[^>]*checked', shown)
    assert "law" not in client.get(page).content.decode()
    form = proposed | {"layout": "ranking", "completions_per_task": 4, "overlap": 1, "review_rate": 0.1,
                       "priority": 0, "purpose": "work"}  # fmt: skip
    assert client.post(page, form).status_code == 302
    batch = cast.project.batches.get(name="More law")
    assert batch.source == {"tasks": 21, "category": "law", "language": "de"}
