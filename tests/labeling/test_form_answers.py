"""Answers to a project's own questions: checked, stored, shown, exported."""

import pytest
from django.urls import reverse

from annotate.errors import Invalid
from labeling.models.form_definition import FormDefinition
from labeling.services.answers import answers_from_fields, answers_to_fields, check_answers
from labeling.services.dataset_rows import canonical_rows
from labeling.services.judgments import clean_text
from labeling.services.recipes import Recipe
from labeling.services.reviews import fix_submission
from tests.factories import make_demonstration_batch, make_ranking_batch, publish_form, question

from .work import claim, do_next, ranking_of, submit

AB = [{"key": "a", "label": "Warm"}, {"key": "b", "label": "Cold"}]
QUESTIONS = [
    question("safe"),
    question("tone", "one_of", options=AB),
    question("topics", "several_of", options=AB),
    question("sure", "scale", scale={"lowest": 0, "highest": 3}),
    question("short", "short_text"),
    question("long", "long_text"),
    question("sources", per="completion", required=True),
]
FORM = FormDefinition.from_json("ranking", {"questions": QUESTIONS})
EACH = {"completions": {"1": {"sources": True}, "2": {"sources": False}}}


def check(answers, excused=()):
    return check_answers(answers=answers, form=FORM, completion_ids=[1, 2], excused=excused, clean=clean_text)


def test_answers_are_stored_in_their_types_without_what_is_empty():
    task = {"safe": False, "tone": "b", "topics": ["b", "a", "b"], "sure": 0, "short": " x ", "long": " "}
    assert check({"task": task, **EACH}) == {
        "task": {"safe": False, "tone": "b", "topics": ["a", "b"], "sure": 0, "short": "x"},
        **EACH,
    }


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        ([], "answers"),
        ({"task": []}, "answers"),
        ({"tasks": {}}, "answers"),
        ({"task": {"colour": "red"}}, "answers.colour"),
        ({"task": {"sources": True}}, "answers.sources"),
        ({"task": {"safe": "yes"}}, "answers.safe"),
        ({"task": {"tone": "c"}}, "answers.tone"),
        ({"task": {"tone": ["a"]}}, "answers.tone"),
        ({"task": {"topics": "a"}}, "answers.topics"),
        ({"task": {"topics": ["a", "c"]}}, "answers.topics"),
        ({"task": {"topics": [["a"]]}}, "answers.topics"),
        ({"task": {"sure": 4}}, "answers.sure"),
        ({"task": {"sure": True}}, "answers.sure"),
        ({"task": {"sure": "2"}}, "answers.sure"),
        ({"task": {"short": "x" * 301}}, "answers.short"),
        ({"task": {"long": "nul\x00"}}, "answers.long"),
        ({"task": {"long": 5}}, "answers.long"),
        ({"completions": {"3": {}}}, "answers"),
        ({"completions": {"1": {"sources": True}}}, "answers.sources"),
    ],
)
def test_answers_that_make_no_sense_are_refused_by_field(answers, field):
    if isinstance(answers, dict) and "completions" not in answers:
        answers = {**answers, **EACH}
    with pytest.raises(Invalid) as caught:
        check(answers)
    assert caught.value.field == field


def test_nothing_is_required_of_a_completion_that_cannot_be_ranked():
    assert check({"completions": {"1": {"sources": True}}}, excused=[2]) == {
        "completions": {"1": {"sources": True}}
    }


def test_fields_of_a_form_become_answers_and_back():
    answers = {
        "task": {"safe": True, "topics": ["a", "b"], "sure": 2, "short": "x"},
        "completions": {"1": {"sources": False}},
    }
    fields = answers_to_fields(answers, {1: "uuid-1"})
    assert fields == {
        "answer.task.safe": "yes",
        "answer.task.topics": ["a", "b"],
        "answer.task.sure": "2",
        "answer.task.short": "x",
        "answer.uuid-1.sources": "no",
    }
    public = {**answers, "completions": {"uuid-1": {"sources": False}}}
    assert answers_from_fields({**fields, "text": "no answer"}, FORM) == public
    assert answers_from_fields({"answer.task.topics": "a"}, FORM) == {"task": {"topics": ["a"]}}


@pytest.fixture
def ranked(cast):
    """A ranking with an answer about the task and one about each completion."""
    publish_form(cast.project, questions=QUESTIONS)
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=1)
    assignment = claim(cast.annotator, cast.project)
    order = ranking_of(assignment, cast.annotator)["touched"]
    answers = {
        "task": {"tone": "b", "sure": 3},
        "completions": {pk: {"sources": pk == order[0]} for pk in order},
    }
    return submit(assignment, cast.annotator, answers=answers)


@pytest.mark.django_db
def test_answers_are_shown_in_words_to_their_author_and_to_reviewers(client, cast, ranked):
    for user, name in ((cast.annotator, "submission_detail"), (cast.lead, "review_submission")):
        client.force_login(user)
        page = client.get(reverse(f"labeling:{name}", args=[cast.project.slug, ranked.pk])).content.decode()
        for words in ("Tone?", "Cold", "3 of 3 (best)", "Sources?", ">Yes<", ">No<"):
            assert words in page, (name, words)


@pytest.mark.django_db
def test_answers_go_into_datasets_with_the_ids_of_their_rows(cast, ranked):
    ranked.status = "accepted"
    ranked.save()
    [selected] = canonical_rows(cast.project, "comparison", Recipe().resolved_for(cast.project))
    source = selected.row["source"]
    assert source["form_version"] == 2
    assert source["answers"] == ranked.current.answers
    assert set(source["answers"]["completions"]) == {each["id"] for each in selected.row["completions"]}


@pytest.mark.django_db
def test_a_demonstration_carries_its_answers_into_datasets_and_one_without_has_none(cast):
    make_demonstration_batch(cast.project, tasks=2, review_rate=0)
    do_next(cast.annotator, cast.project)
    publish_form(cast.project, "demonstration", questions=[question("sourced")])
    do_next(cast.annotator, cast.project, answers={"task": {"sourced": True}})
    rows = canonical_rows(cast.project, "sft", Recipe().resolved_for(cast.project))
    sources = sorted((each.row["source"] for each in rows), key=lambda source: source["judgment"])
    assert "answers" not in sources[0] and "form_version" not in sources[0]
    assert (sources[1]["answers"], sources[1]["form_version"]) == ({"task": {"sourced": True}}, 2)


@pytest.mark.django_db
def test_a_fix_keeps_the_answers_unless_it_changes_them(cast, ranked):
    before = ranked.current
    tiers = list(reversed(before.tiers))
    fix_submission(submission=ranked, revision=1, reviewer=cast.lead, tiers=tiers)
    ranked.refresh_from_db()
    assert ranked.current.answers == before.answers
    assert ranked.current.form_version == before.form_version


@pytest.mark.django_db
def test_a_fix_of_answers_alone_is_a_change(cast, ranked):
    before = ranked.current
    answers = {**before.answers, "task": {"tone": "a"}}
    fix_submission(submission=ranked, revision=1, reviewer=cast.lead, tiers=before.tiers, answers=answers)
    ranked.refresh_from_db()
    assert ranked.current.answers == answers


@pytest.mark.django_db
def test_the_fix_panel_asks_and_stores_the_questions(client, cast, ranked):
    client.force_login(cast.lead)
    url = reverse("labeling:review_submission", args=[cast.project.slug, ranked.pk])
    page = client.get(url)
    names = [each["id"] for each in page.context["fix"]["completions"]]
    fields = {
        **page.context["fix"]["initial"],
        "decision": "fixed",
        "revision": 1,
        "answer.task.tone": "a",
        "answer.task.topics": ["a", "b"],
        **{f"answer.{name}.sources": "no" for name in names},
    }
    assert client.post(url, fields).status_code == 302
    ranked.refresh_from_db()
    assert ranked.current.answers["task"] == {"tone": "a", "topics": ["a", "b"]}
    assert {each["sources"] for each in ranked.current.answers["completions"].values()} == {False}


@pytest.mark.django_db
def test_a_refused_form_comes_back_with_its_answers_and_names_the_question(client, cast):
    publish_form(
        cast.project,
        "demonstration",
        questions=[question("tone", "one_of", options=AB, required=True), question("long", "long_text")],
    )
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    assignment = claim(cast.annotator, cast.project)
    client.force_login(cast.annotator)
    url = reverse("labeling:work_submit", args=[cast.project.slug, assignment.pk])
    fields = {
        "fence": assignment.fence,
        "idempotency_key": "k",
        "text": "Paris.",
        "answer.task.long": "My words",
    }
    answer = client.post(url, fields)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "“Tone?” needs an answer." in page and "My words" in page and "Paris." in page
    assert [each.is_wrong for each in answer.context["asked"]] == [True, False]
    assert client.post(url, {**fields, "answer.task.tone": "a"}).status_code == 302
    stored = cast.project.submissions.get().current
    assert stored.answers == {"task": {"tone": "a", "long": "My words"}}


@pytest.mark.django_db
def test_answers_come_and_go_through_the_api_by_public_ids(cast, api_client_of):
    publish_form(cast.project, questions=QUESTIONS)
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=0)
    api = api_client_of(cast.annotator)
    root = f"/api/projects/{cast.project.slug}/"
    work = api.post(f"{root}assignments/next/", {}, format="json").json()
    assert work["form"]["number"] == 2
    assert [each["key"] for each in work["form"]["questions"]][-1] == "sources"
    ids = [each["id"] for each in work["completions"]]
    body = {
        "fence": work["fence"],
        "tiers": [[ids[0]], [ids[1]]],
        "scores": {ids[0]: 7, ids[1]: 1},
        "touched": ids,
        "idempotency_key": "k1",
        "answers": {"task": {"safe": True}, "completions": {ids[0]: {"sources": True}}},
    }
    submit_url = f"{root}assignments/{work['id']}/submit/"
    refused = api.post(submit_url, body, format="json")
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "answers.sources")
    foreign = {"completions": {"0f8fad5b-d9cb-469f-a165-70867728950e": {"sources": True}}}
    refused = api.post(submit_url, {**body, "answers": foreign}, format="json")
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "answers")
    body["answers"]["completions"][ids[1]] = {"sources": False}
    stored = api.post(submit_url, body, format="json")
    assert stored.status_code == 201, stored.json()
    detail = api.get(f"{root}submissions/{stored.json()['id']}/").json()
    assert detail["revisions"][0]["ranking"]["answers"] == body["answers"]


@pytest.mark.django_db
def test_the_same_key_with_other_answers_is_refused(cast):
    publish_form(cast.project, "demonstration", questions=[question("sourced")])
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    assignment = claim(cast.annotator, cast.project)
    first = submit(assignment, cast.annotator, idempotency_key="k", answers={"task": {"sourced": True}})
    again = submit(assignment, cast.annotator, idempotency_key="k", answers={"task": {"sourced": True}})
    assert first == again
    with pytest.raises(Invalid) as caught:
        submit(assignment, cast.annotator, idempotency_key="k", answers={"task": {"sourced": False}})
    assert caught.value.code == "idempotency_key_reused"
