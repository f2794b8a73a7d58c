"""Pairwise work: two answers and how much better one is, stored as a ranking like any other."""

import json

import pytest
from django.urls import reverse

from annotate.errors import Invalid
from labeling import reports
from labeling.models import Batch, Draft
from labeling.services.batches import create_batch_from_waiting, create_ranking_batch
from labeling.services.dataset_rows import canonical_rows
from labeling.services.drafts import save_draft
from labeling.services.pairwise import STRENGTHS, ranking_of_strength, strength_of, strengths
from labeling.services.quality_reports import refresh_report
from labeling.services.recipes import Recipe
from labeling.services.reviews import reopen_submission
from labeling.views.kept import kept_words
from tests.factories import make_completions, make_prompt, make_ranking_batch, publish_form, question

from .work import claim, do_next

# By hand: what each strength over A = 10 and B = 20 means.
MEANINGS = {
    "a_much_better": ([[10], [20]], ["significantly"]),
    "a_better": ([[10], [20]], ["clearly"]),
    "a_slightly_better": ([[10], [20]], ["slightly"]),
    "about_the_same": ([[10, 20]], []),
    "b_slightly_better": ([[20], [10]], ["slightly"]),
    "b_better": ([[20], [10]], ["clearly"]),
    "b_much_better": ([[20], [10]], ["significantly"]),
}


def test_each_strength_is_a_ranking_and_reads_back_as_itself():
    assert [each.value for each in STRENGTHS] == list(MEANINGS)
    for value, (tiers, margins) in MEANINGS.items():
        ranking = ranking_of_strength(value, [10, 20])
        assert (ranking["tiers"], ranking["margins"]) == (tiers, margins)
        assert strength_of(tiers, margins, [10, 20]) == value


def test_a_negligible_margin_reads_as_slightly_and_no_margin_as_no_strength():
    assert strength_of([[20], [10]], ["negligibly"], [10, 20]) == "b_slightly_better"
    assert strength_of([[20], [10]], [], [10, 20]) == ""
    assert strength_of([[10]], [], [10, 20]) == ""
    assert strength_of([], [], []) == ""


def test_without_ties_the_keys_of_the_others_stay():
    assert [each.key for each in strengths(allow_ties=False)] == ["1", "2", "3", "5", "6", "7"]


@pytest.mark.parametrize("strength", ["", None, "a", ["a_better"], {}, 3])
def test_what_is_no_strength_is_refused(strength):
    with pytest.raises(Invalid) as caught:
        ranking_of_strength(strength, [10, 20])
    assert caught.value.field == "strength"


def pairs(cast, tasks=1, **policy):
    return make_ranking_batch(cast.project, tasks=tasks, k=2, layout="pairwise", **policy)


@pytest.fixture
def worker(client, cast):
    client.force_login(cast.annotator)
    return client


def page_of(client, cast, assignment):
    return client.get(reverse("labeling:work_task", args=[cast.project.slug, assignment.pk]))


def send(client, cast, assignment, **fields):
    url = reverse("labeling:work_submit", args=[cast.project.slug, assignment.pk])
    return client.post(url, {"fence": assignment.fence, "idempotency_key": "k", **fields})


@pytest.mark.django_db
def test_a_pairwise_batch_shows_two_and_no_other_number(cast):
    prompt = make_prompt(cast.project)
    three = [each.pk for each in make_completions(prompt, 3)]
    with pytest.raises(Invalid) as caught:
        create_ranking_batch(
            project=cast.project,
            name="x",
            completion_sets=[(prompt.pk, three)],
            layout="pairwise",
            acting_user=cast.lead,
        )
    assert caught.value.field == "completion_sets"
    common = {"project": cast.project, "name": "x", "kind": "ranking", "acting_user": cast.lead}
    with pytest.raises(Invalid) as caught:
        create_batch_from_waiting(**common, layout="pairwise", completions_per_task=3)
    assert caught.value.field == "completions_per_task"
    with pytest.raises(Invalid) as caught:
        create_batch_from_waiting(**common, layout="demonstration")
    assert caught.value.field == "layout"
    batch = create_batch_from_waiting(**common, layout="pairwise")
    assert (batch.layout, batch.tasks.get().completions.count()) == ("pairwise", 2)


@pytest.mark.django_db
def test_the_page_and_the_api_make_pairwise_batches(client, cast, api_client_of):
    for _ in range(2):
        make_completions(make_prompt(cast.project), 2)
    client.force_login(cast.lead)
    fields = {"name": "A/B", "kind": "ranking", "limit": 1, "layout": "pairwise", "priority": 0}
    fields |= {"completions_per_task": 4, "overlap": 1, "review_rate": 0}
    assert client.post(reverse("labeling:batch_new", args=[cast.project.slug]), fields).status_code == 302
    body = {"name": "B/A", "kind": "ranking", "layout": "pairwise"}
    answer = api_client_of(cast.lead).post(f"/api/projects/{cast.project.slug}/batches/", body, format="json")
    assert (answer.status_code, answer.json()["layout"]) == (201, "pairwise")
    assert list(Batch.objects.values_list("layout", flat=True)) == ["pairwise", "pairwise"]


@pytest.mark.django_db
def test_a_strength_from_the_page_is_stored_by_the_order_this_person_saw(worker, cast):
    pairs(cast, review_rate=0)
    assignment = claim(cast.annotator, cast.project)
    page = page_of(worker, cast, assignment).content.decode()
    assert "A slightly better" in page and "tiny-sft" not in page
    assert send(worker, cast, assignment, strength="b_slightly_better").status_code == 302
    a, b = assignment.presentation["order"]
    stored = cast.project.submissions.get().current
    assert (stored.tiers, stored.margins, stored.touched) == ([[b], [a]], ["slightly"], [a, b])
    assert stored.presented_order == [a, b]


@pytest.mark.django_db
def test_a_form_without_a_strength_comes_back_with_what_was_entered(worker, cast):
    publish_form(
        cast.project,
        "pairwise",
        scores="required",
        completion_flags=[{"key": "odd", "label": "Odd"}],
        questions=[question("note", "short_text")],
    )
    pairs(cast, review_rate=0)
    assignment = claim(cast.annotator, cast.project)
    one, other = [each["id"] for each in page_of(worker, cast, assignment).context["completions"]]
    fields = {f"score-{one}": "6", f"score-{other}": "2", f"flag-{other}": "odd"}
    fields |= {"answer.task.note": "My words", "rationale": "My reason"}
    answer = send(worker, cast, assignment, **fields)
    assert answer.status_code == 422 and "Say which answer is better." in answer.content.decode()
    assert answer.context["pairwise"] == {
        "strength": "",
        "scores": {one: "6", other: "2"},
        "flags": {other: ["odd"]},
        "neither": {"reason": "", "note": ""},
    }
    assert "My words" in answer.content.decode() and "My reason" in answer.content.decode()
    assert send(worker, cast, assignment, strength="a_better", **fields).status_code == 302
    stored = cast.project.submissions.get().current
    ids = dict(assignment.task.completions.values_list("public_id", "pk"))
    by_public = {str(public): str(pk) for public, pk in ids.items()}
    assert stored.scores == {by_public[one]: 6, by_public[other]: 2}
    assert stored.flags == {by_public[other]: ["odd"]}
    assert (stored.answers, stored.rationale) == ({"task": {"note": "My words"}}, "My reason")


@pytest.mark.django_db
def test_a_tie_is_refused_where_none_is_allowed(worker, cast):
    publish_form(cast.project, "pairwise", allow_ties=False)
    pairs(cast)
    assignment = claim(cast.annotator, cast.project)
    assert "About the same" not in page_of(worker, cast, assignment).content.decode()
    answer = send(worker, cast, assignment, strength="about_the_same")
    assert answer.status_code == 422 and "no ties" in answer.content.decode()


@pytest.mark.django_db
def test_the_api_takes_a_strength_or_tiers_but_not_both(cast, api_client_of):
    pairs(cast, tasks=2, review_rate=0)
    make_ranking_batch(cast.project, tasks=1, k=2, priority=-1)
    api = api_client_of(cast.annotator)
    root = f"/api/projects/{cast.project.slug}/assignments/"

    def answer(key, **body):
        work = api.post(f"{root}next/", {}, format="json").json()
        ids = [each["id"] for each in work["completions"]]
        body = {
            name: [[ids[0]], [ids[1]]] if name == "tiers" else ids if name == "touched" else value
            for name, value in body.items()
        }
        sent = {"fence": work["fence"], "idempotency_key": key, **body}
        return work, api.post(f"{root}{work['id']}/submit/", sent, format="json")

    work, refused = answer("k0", strength="a_better", tiers=True, touched=True)
    assert work["layout"] == "pairwise"
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "tiers")
    for wrong in ("better", ["a_better"]):
        _, refused = answer("k0", strength=wrong)
        assert (refused.status_code, refused.json()["error"]["details"][0]["field"]) == (422, "strength")
    assert answer("k1", strength="about_the_same")[1].status_code == 201
    assert answer("k2", tiers=True, touched=True, margins=["negligibly"])[1].status_code == 201
    stored = [each.current for each in cast.project.submissions.order_by("pk")]
    assert [len(each.tiers) for each in stored] == [1, 2]
    work, refused = answer("k3", strength="a_better")
    assert work["layout"] == "ranking"
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "strength")


@pytest.mark.django_db
def test_review_and_history_say_the_strength_and_a_fix_may_change_it(client, cast):
    pairs(cast, review_rate=1)
    assignment = claim(cast.annotator, cast.project)
    client.force_login(cast.annotator)
    send(client, cast, assignment, strength="a_much_better")
    submission = cast.project.submissions.get()
    page = client.get(reverse("labeling:submission_detail", args=[cast.project.slug, submission.pk]))
    assert "<strong>A much better</strong>" in page.content.decode()
    client.force_login(cast.lead)
    url = reverse("labeling:review_submission", args=[cast.project.slug, submission.pk])
    page = client.get(url)
    assert page.context["fix"]["pairwise"]["strength"] == "a_much_better"
    fields = {"decision": "fixed", "revision": 1}
    assert client.post(url, {**fields, "strength": "a_much_better"}).status_code == 422
    assert client.post(url, {**fields, "strength": "b_better"}).status_code == 302
    submission.refresh_from_db()
    a, b = assignment.presentation["order"]
    assert (submission.current.tiers, submission.current.margins) == ([[b], [a]], ["clearly"])


@pytest.mark.django_db
def test_a_program_mends_pairwise_work_by_a_strength(client, cast, api_client_of):
    pairs(cast, review_rate=1)
    assignment = claim(cast.annotator, cast.project)
    client.force_login(cast.annotator)
    send(client, cast, assignment, strength="a_much_better")
    submission = cast.project.submissions.get()
    api, url = api_client_of(cast.lead), f"/api/projects/{cast.project.slug}/reviews/"
    body = {"submission": submission.pk, "revision": 1, "decision": "fixed", "strength": "about_the_same"}
    twice = api.post(url, {**body, "margins": ["clearly"]}, format="json")
    assert (twice.status_code, twice.json()["error"]["field"]) == (422, "margins")
    assert api.post(url, body, format="json").status_code == 201
    submission.refresh_from_db()
    assert [len(tier) for tier in submission.current.tiers] == [2]
    assert submission.current.margins == []


@pytest.mark.django_db
def test_datasets_and_agreement_take_pairwise_work_as_rankings(cast):
    batch = pairs(cast, review_rate=0, overlap=2)
    [one, other] = list(batch.tasks.get().completions.order_by("pk").values_list("pk", flat=True))
    both = {"tiers": [[other], [one]], "margins": ["clearly"], "touched": [one, other], "scores": None}
    do_next(cast.annotator, cast.project, **both)
    do_next(cast.peer, cast.project, **both)
    rows = [
        each.row for each in canonical_rows(cast.project, "comparison", Recipe().resolved_for(cast.project))
    ]
    assert [(row["ranks"], row["margins"]) for row in rows] == [([2, 1], [2 / 3])] * 2
    refresh_report(project=cast.project)
    assert reports.stored_agreement(cast.project)["value"] == 1.0


@pytest.mark.django_db
def test_a_draft_of_a_pairwise_task_starts_where_it_was_left(worker, cast, api_client_of):
    pairs(cast)
    assignment = claim(cast.annotator, cast.project)
    url = f"/api/projects/{cast.project.slug}/assignments/{assignment.pk}/draft/"
    body = {"revision": 1, "fields": {"strength": "b_better", "rationale": "Half a rea"}}
    assert api_client_of(cast.annotator).put(url, body, format="json").status_code == 200
    page = page_of(worker, cast, assignment)
    assert page.context["pairwise"]["strength"] == "b_better"
    assert "Half a rea" in page.content.decode()


@pytest.mark.django_db
def test_returned_pairwise_work_starts_from_what_was_sent(worker, cast):
    from labeling.services.reviews import return_submission

    pairs(cast, review_rate=1)
    assignment = claim(cast.annotator, cast.project)
    send(worker, cast, assignment, strength="b_much_better")
    return_submission(
        submission=cast.project.submissions.get(), revision=1, reviewer=cast.lead, note="Look again."
    )
    again = claim(cast.annotator, cast.project)
    page = page_of(worker, cast, again)
    assert page.context["pairwise"]["strength"] == "b_much_better"
    assert json.loads(page.context["fields"]["margins"]) == ["significantly"]


# --- Neither can be judged ----------------------------------------------------------------------------------
def neither(worker, cast, **fields):
    """Both set aside by the annotator, from the page."""
    pairs(cast, review_rate=0)
    assignment = claim(cast.annotator, cast.project)
    sent = {"strength": "neither", "neither_reason": "wrong_language", **fields}
    return send(worker, cast, assignment, **sent), assignment


@pytest.mark.django_db
@pytest.mark.database
def test_that_neither_can_be_judged_is_stored_as_a_ranking_stores_it(worker, cast):
    answer, assignment = neither(worker, cast, neither_note=" In Danish. ")
    assert answer.status_code == 302
    stored = cast.project.submissions.get().current
    order = assignment.presentation["order"]
    assert (stored.tiers, stored.margins, stored.unrankable) == ([], [], order)
    why = {"reason": "wrong_language", "note": "In Danish."}
    assert stored.unrankable_reasons == {str(pk): why for pk in order}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "sent", [{"neither_reason": ""}, {"neither_reason": "whim"}, {"neither_reason": "other"}]
)
def test_neither_needs_a_reason_and_other_its_words(worker, cast, sent):
    answer, _ = neither(worker, cast, **sent)
    assert answer.status_code == 422
    assert answer.context["pairwise"]["strength"] == "neither"
    assert 'value="neither" required checked' in answer.content.decode()
    assert not cast.project.submissions.exists()


@pytest.mark.django_db
@pytest.mark.database
def test_a_project_that_asks_for_a_choice_offers_and_takes_no_neither(worker, cast, api_client_of):
    publish_form(cast.project, "pairwise", allow_neither=False)
    pairs(cast, review_rate=0)
    assignment = claim(cast.annotator, cast.project)
    assert "Neither can be judged" not in page_of(worker, cast, assignment).content.decode()
    answer = send(worker, cast, assignment, strength="neither", neither_reason="unsafe")
    assert (answer.status_code, answer.context["error"].field) == (422, "strength")
    api = api_client_of(cast.annotator)
    address = f"/api/projects/{cast.project.slug}/assignments/{assignment.pk}/"
    work = api.get(address).json()
    assert work["rules"]["allow_neither"] is False
    names = [each["id"] for each in work["completions"]]
    body = {
        "fence": work["fence"],
        "idempotency_key": "n",
        "tiers": [],
        "unrankable": names,
        "unrankable_reasons": {name: {"reason": "unsafe"} for name in names},
    }
    refused = api.post(f"{address}submit/", body, format="json")
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "strength")
    assert not cast.project.submissions.exists()


@pytest.mark.django_db
def test_a_form_from_before_allows_neither_and_its_editor_shows_it(client, cast):
    form = cast.project.forms.get(layout="pairwise")
    old = {name: value for name, value in form.current.definition_json.items() if name != "allow_neither"}
    type(form.current).objects.filter(pk=form.current.pk).update(definition_json=old)
    assert form.versions.get(pk=form.current.pk).definition.allow_neither
    client.force_login(cast.lead)
    editor = client.get(reverse("labeling:form_edit", args=[cast.project.slug, "pairwise"]))
    assert 'name="allow_neither" checked' in editor.content.decode()


@pytest.mark.django_db
def test_a_draft_that_says_neither_where_it_may_no_more_shows_what_was_set_aside(worker, cast):
    pairs(cast, review_rate=0)
    assignment = claim(cast.annotator, cast.project)
    said = {"strength": "neither", "neither_reason": "unsafe"}
    Draft.objects.filter(task=assignment.task).update(body=said)
    new = publish_form(cast.project, "pairwise", allow_neither=False)
    type(assignment).objects.filter(pk=assignment.pk).update(form_version=new)
    page = page_of(worker, cast, assignment)
    assert [each.what for each in page.context["set_aside"]] == ["Which is better"]
    assert "Neither can be judged: unsafe" in page.content.decode()


@pytest.mark.django_db
def test_scores_that_the_form_requires_are_not_asked_of_what_cannot_be_judged(worker, cast):
    publish_form(cast.project, "pairwise", scores="required")
    assert neither(worker, cast)[0].status_code == 302


@pytest.mark.django_db
def test_it_shows_itself_again_on_the_screen_and_in_words(worker, client, cast):
    neither(worker, cast, neither_note="In Danish.")
    submission = cast.project.submissions.get()
    own = worker.get(reverse("labeling:submission_detail", args=[cast.project.slug, submission.pk]))
    assert "Neither can be judged" in own.content.decode() and "In Danish." in own.content.decode()
    reopen_submission(submission=submission, reviewer=cast.lead)
    client.force_login(cast.lead)
    page = client.get(reverse("labeling:review_submission", args=[cast.project.slug, submission.pk]))
    assert page.context["fix"]["pairwise"]["strength"] == "neither"
    assert page.context["fix"]["pairwise"]["neither"] == {"reason": "wrong_language", "note": "In Danish."}


@pytest.mark.django_db
@pytest.mark.database
def test_a_reviewer_turns_it_into_a_strength_and_back(worker, client, cast):
    _, assignment = neither(worker, cast)
    submission = cast.project.submissions.get()
    a, b = assignment.presentation["order"]
    reopen_submission(submission=submission, reviewer=cast.lead)
    client.force_login(cast.lead)
    address = reverse("labeling:review_submission", args=[cast.project.slug, submission.pk])
    fix = {"decision": "fixed", "revision": 1, "strength": "b_better"}
    assert client.post(address, fix).status_code == 302
    stored = cast.project.submissions.get().current
    assert (stored.tiers, stored.unrankable, stored.unrankable_reasons) == ([[b], [a]], [], {})
    reopen_submission(submission=cast.project.submissions.get(), reviewer=cast.lead)
    client.force_login(cast.admin)
    fix |= {"revision": 2, "strength": "neither", "neither_reason": "unsafe"}
    assert client.post(address, fix).status_code == 302
    stored = cast.project.submissions.get().current
    assert (stored.tiers, sorted(stored.unrankable)) == ([], sorted([a, b]))


@pytest.mark.django_db
@pytest.mark.database
def test_no_dataset_and_no_measure_of_agreement_takes_it_for_an_opinion(worker, cast):
    pairs(cast, overlap=2, review_rate=0)
    first = claim(cast.annotator, cast.project)
    send(worker, cast, first, strength="neither", neither_reason="unreadable")
    do_next(cast.peer, cast.project, margins=["slightly"], scores={})
    selected = list(canonical_rows(cast.project, "comparison", Recipe().resolved_for(cast.project)))
    assert sorted(each.left_out != "" for each in selected) == [False, True]
    [row] = [each.row for each in selected if each.row is not None]
    assert None not in row["ranks"]
    refresh_report(project=cast.project)
    headline = reports.stored_agreement(cast.project)
    assert (headline["value"], headline["size"]) == (None, 0)


@pytest.mark.django_db
def test_programs_say_it_with_a_reason_for_each(cast, api_client_of):
    pairs(cast, review_rate=0)
    api = api_client_of(cast.annotator)
    base = f"/api/projects/{cast.project.slug}/assignments/"
    work = api.post(f"{base}next/", {}, format="json").json()
    body = {"fence": work["fence"], "idempotency_key": "n", "strength": "neither"}
    missing = api.post(f"{base}{work['id']}/submit/", body, format="json")
    assert (missing.status_code, missing.json()["error"]["field"]) == (422, "unrankable_reasons")
    why = {each["id"]: {"reason": "cut_off", "note": ""} for each in work["completions"]}
    done = api.post(f"{base}{work['id']}/submit/", body | {"unrankable_reasons": why}, format="json")
    assert done.status_code == 201
    stored = cast.project.submissions.get().current
    assert {each["reason"] for each in stored.unrankable_reasons.values()} == {"cut_off"}


@pytest.mark.django_db
def test_a_draft_of_it_comes_back_and_late_work_reads_as_it_did(worker, cast):
    pairs(cast, review_rate=0)
    slot = claim(cast.annotator, cast.project)
    draft = Draft.objects.get()
    body = {"strength": "neither", "neither_reason": "other", "neither_note": "Both are code."}
    save_draft(task=slot.task, user=cast.annotator, body=body, revision=draft.revision)
    page = page_of(worker, cast, slot)
    assert page.context["pairwise"]["neither"] == {"reason": "other", "note": "Both are code."}
    assert 'value="Both are code."' in page.content.decode()
    assert "Neither can be judged" in kept_words(Draft.objects.get(), slot.task)
