"""The hand-out and the review queue over REST."""

from __future__ import annotations

import json
import uuid

import pytest

from labeling.models import Completion, Submission
from labeling.services.assignments import release_expired
from tests.factories import make_demonstration_batch, make_ranking_batch, publish_guideline

from .work import claim, do_next, expire


@pytest.fixture
def api(cast, api_client_of):
    """`api.annotator("post", "assignments/next/", {...})` under the cast's project."""

    class Api:
        def __getattr__(self, name):
            client = api_client_of(getattr(cast, name))

            def call(method, path, body=None, **headers):
                url = f"/api/projects/{cast.project.slug}/{path}"
                return getattr(client, method)(
                    url, body, format="json" if body is not None else None, **headers
                )

            return call

    return Api()


def test_a_program_does_a_demonstration_from_start_to_receipt(cast, api):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    work = api.annotator("post", "assignments/next/", {}).json()
    assert work["prompt"]["messages"][0]["role"] == "user"
    body = {"fence": work["fence"], "text": "Paris.", "idempotency_key": "k-1", "active_seconds": 20}
    answer = api.annotator("post", f"assignments/{work['id']}/submit/", body)
    assert answer.status_code == 201, answer.json()
    stored = Submission.objects.get()
    assert (stored.pk, stored.current.text) == (answer.json()["id"], "Paris.")
    assert api.annotator("post", "assignments/next/", {}).status_code == 204


def test_repeating_a_submit_is_answered_alike(cast, api):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    work = api.annotator("post", "assignments/next/", {}).json()
    url, body = f"assignments/{work['id']}/submit/", {"fence": 1, "text": "Paris."}
    first = api.annotator("post", url, body, HTTP_IDEMPOTENCY_KEY="k-1")
    again = api.annotator("post", url, body, HTTP_IDEMPOTENCY_KEY="k-1")
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    other = api.annotator("post", url, body | {"text": "Rome."}, HTTP_IDEMPOTENCY_KEY="k-1")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


def test_a_program_ranks_completions_by_their_public_ids(cast, api):
    make_ranking_batch(cast.project, tasks=1, k=3, review_rate=0)
    work = api.annotator("post", "assignments/next/", {"kind": "ranking"}).json()
    ids = [each["id"] for each in work["completions"]]
    body = {
        "fence": work["fence"],
        "idempotency_key": str(uuid.uuid4()),
        "tiers": [[ids[2]], [ids[0], ids[1]]],
        "scores": {ids[0]: 3, ids[1]: 3, ids[2]: 7},
        "flags": {ids[0]: ["impolite"]},
        "touched": ids,
    }
    answer = api.annotator("post", f"assignments/{work['id']}/submit/", body)
    assert answer.status_code == 201, answer.json()
    pk = {str(each.public_id): each.pk for each in Completion.objects.all()}
    stored = Submission.objects.get().current
    assert stored.tiers == [[pk[ids[2]]], [pk[ids[0]], pk[ids[1]]]]
    assert stored.presented_order == [pk[each] for each in ids]
    detail = api.annotator("get", f"submissions/{answer.json()['id']}/").json()
    assert detail["revisions"][0]["ranking"]["tiers"] == body["tiers"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tiers": [[str(uuid.uuid4())]]}, "tiers"),
        ({"tiers": "x"}, "tiers"),
        ({"text": "Not a ranking."}, "text"),
        ({"scores": {"not an id": 3}}, "scores"),
        ({"fence": "x"}, "fence"),
    ],
)
def test_bad_rankings_are_refused_by_field(cast, api, change, field):
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=0)
    work = api.annotator("post", "assignments/next/", {}).json()
    ids = [each["id"] for each in work["completions"]]
    body = {"fence": 1, "tiers": [[each] for each in ids], "touched": ids, "scores": dict.fromkeys(ids, 4)}
    answer = api.annotator(
        "post", f"assignments/{work['id']}/submit/", body | change, HTTP_IDEMPOTENCY_KEY="k"
    )
    assert answer.status_code == 422
    assert answer.json()["error"]["field"].split(".")[0] == field


def test_annotators_never_learn_which_model_wrote_a_completion(cast, api):
    make_ranking_batch(cast.project, tasks=1, k=2, overlap=2, review_rate=0)
    Completion.objects.update(generator="secret-model", checkpoint_key=uuid.uuid4(), run_key=uuid.uuid4())
    keys = [str(each.checkpoint_key) for each in Completion.objects.all()]
    work = api.annotator("post", "assignments/next/", {})
    submission = do_next(cast.annotator, cast.project)
    answers = [work, api.annotator("get", f"submissions/{submission.pk}/")]
    answers += [api.annotator("get", path) for path in ("submissions/", "assignments/")]
    for answer in answers:
        assert answer.status_code == 200
        assert "secret-model" not in answer.content.decode()
        assert not any(key in answer.content.decode() for key in keys)


def test_annotators_see_neither_peers_work_nor_why_something_is_reviewed(cast, api):
    make_demonstration_batch(cast.project, tasks=1, overlap=2, review_rate=1)
    theirs = do_next(cast.peer, cast.project)
    mine = do_next(cast.annotator, cast.project)
    listed = api.annotator("get", "submissions/").json()["results"]
    assert [row["id"] for row in listed] == [mine.pk]
    assert "review_reason" not in listed[0]
    assert api.annotator("get", f"submissions/{theirs.pk}/").status_code == 404
    assert api.annotator("get", "submissions/queue/").status_code == 403
    assert len(api.lead("get", "submissions/").json()["results"]) == 2


def test_nobody_reaches_another_persons_assignment(cast, api):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    path = f"assignments/{assignment.pk}/"
    assert api.peer("get", path).status_code == 404
    assert api.outsider("get", path).status_code == 404
    body = {"fence": 1, "text": "Mine now."}
    assert api.peer("post", f"{path}submit/", body, HTTP_IDEMPOTENCY_KEY="k").status_code == 404
    assert api.peer("post", f"{path}skip/", {"reason": "unclear"}).status_code == 404
    assert api.peer("put", f"{path}draft/", {"revision": 1, "fields": {}}).status_code == 404


def test_drafts_are_saved_and_a_stale_window_gets_both_texts(cast, api):
    make_demonstration_batch(cast.project, tasks=1)
    work = api.annotator("post", "assignments/next/", {}).json()
    url = f"assignments/{work['id']}/draft/"
    fields = {"text": "Pa", "active_seconds": "12"}
    saved = api.annotator("put", url, {"revision": work["draft"]["revision"], "fields": fields}).json()
    assert (saved["revision"], saved["fields"]) == (2, {"text": "Pa"})
    stale = api.annotator("put", url, {"revision": 1, "fields": {"text": "Ro"}})
    assert (stale.status_code, stale.json()["fields"]) == (409, {"text": "Pa"})
    assert stale.json()["error"]["code"] == "stale_draft"
    assert api.annotator("get", url).json()["fields"] == {"text": "Pa"}


def test_a_draft_stays_reachable_after_the_task_went_to_somebody_else(cast, api):
    make_demonstration_batch(cast.project, tasks=1)
    work = api.annotator("post", "assignments/next/", {}).json()
    url = f"assignments/{work['id']}/draft/"
    api.annotator("put", url, {"revision": 1, "fields": {"text": "Pa"}})
    assignment = cast.project.assignments.get()
    expire(assignment)
    release_expired()
    claim(cast.peer, cast.project)
    assert api.annotator("get", url).json()["fields"] == {"text": "Pa"}


def test_the_guideline_gate_says_which_version_to_read(cast, api):
    make_demonstration_batch(cast.project, tasks=1)
    version = publish_guideline(cast.project)
    answer = api.annotator("post", "assignments/next/", {})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (409, "guideline_not_acknowledged")
    assert error["details"][0]["message"] == str(version.pk)
    api.annotator("post", "guidelines/demonstration/acknowledge/", {})
    assert api.annotator("post", "assignments/next/", {}).json()["guideline"]["number"] == version.number


def test_leases_are_renewed_released_and_skipped(cast, api):
    make_demonstration_batch(cast.project, tasks=2)
    work = api.annotator("post", "assignments/next/", {}).json()
    path = f"assignments/{work['id']}/"
    expire(cast.project.assignments.get(pk=work["id"]))
    assert api.annotator("post", f"{path}renew/", {"fence": 1}).status_code == 200
    assert release_expired() == 0
    assert api.annotator("post", f"{path}release/").status_code == 204
    again = api.annotator("post", "assignments/next/", {}).json()
    skip = api.annotator("post", f"assignments/{again['id']}/skip/", {"reason": "unclear"})
    assert skip.status_code == 204
    assert api.annotator("post", f"assignments/{again['id']}/skip/", {"reason": "boring"}).status_code in (
        404,
        422,
    )


def test_leads_review_over_the_api(cast, api):
    make_demonstration_batch(cast.project, tasks=4, review_rate=1)
    submissions = [do_next(cast.annotator, cast.project) for _ in range(4)]
    queue = api.lead("get", "submissions/queue/").json()["results"]
    assert [row["id"] for row in queue] == [each.pk for each in submissions]
    assert queue[0]["revisions"][0]["text"] == "Paris is the capital of France."
    decisions = [
        {"decision": "accepted"},
        {"decision": "returned", "reasons": ["style"]},
        {"decision": "fixed", "text": "Paris."},
        {"decision": "rejected", "note": "Copied."},
    ]
    for submission, decision in zip(submissions, decisions, strict=True):
        body = {"submission": submission.pk, "revision": 1, **decision}
        assert api.lead("post", "reviews/", body).status_code == 201
    statuses = [Submission.objects.get(pk=each.pk).status for each in submissions]
    assert statuses == ["accepted", "returned", "accepted", "rejected"]
    late = api.admin(
        "post", "reviews/", {"submission": submissions[0].pk, "revision": 1, "decision": "accepted"}
    )
    assert (late.status_code, late.json()["error"]["code"]) == (409, "already_decided")
    assert api.lead("get", "reviews/").json()["count"] == 4


def test_a_lead_fixes_a_ranking_over_the_api(cast, api):
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    row = api.lead("get", "submissions/queue/").json()["results"][0]
    tiers = list(reversed(row["revisions"][0]["ranking"]["tiers"]))
    body = {"submission": submission.pk, "revision": 1, "decision": "fixed", "tiers": tiers}
    answer = api.lead("post", "reviews/", body)
    assert answer.status_code == 201, answer.json()
    stored = api.lead("get", f"submissions/{submission.pk}/").json()["revisions"]
    assert [(each["origin"], each["ranking"]["tiers"]) for each in stored][1] == ("fix", tiers)


def test_only_leads_decide(cast, api):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    body = {"submission": submission.pk, "revision": 1, "decision": "accepted"}
    assert api.peer("post", "reviews/", body).status_code == 403
    assert api.outsider("post", "reviews/", body).status_code == 404
    assert api.peer("post", f"submissions/{submission.pk}/reopen/", {}).status_code == 403


def test_the_answer_of_the_hand_out_is_plain_json(cast, api):
    make_ranking_batch(cast.project, tasks=1, k=2)
    work = json.loads(api.annotator("post", "assignments/next/", {}).content)
    assert set(work) == {
        "id", "kind", "status", "task", "fence", "lease_expires_at", "why", "prompt", "completions", "rules",
        "writes_prompt", "prompt_language", "guideline", "draft", "returned", "layout", "form",
        "starting_draft",
    }  # fmt: skip


def test_a_program_says_why_one_cannot_be_ranked_and_reads_it_back(cast, api):
    make_ranking_batch(cast.project, tasks=1, k=2)
    work = api.annotator("post", "assignments/next/", {"kind": "ranking"}).json()
    good, bad = (each["id"] for each in work["completions"])
    body = {
        "fence": work["fence"],
        "idempotency_key": "k-why",
        "tiers": [[good]],
        "unrankable": [bad],
        "scores": {good: 5},
        "touched": [good, bad],
    }
    refused = api.annotator("post", f"assignments/{work['id']}/submit/", body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "unrankable_reasons")
    why = {bad: {"reason": "cut_off", "note": ""}}
    answer = api.annotator("post", f"assignments/{work['id']}/submit/", {**body, "unrankable_reasons": why})
    assert answer.status_code == 201
    detail = api.annotator("get", f"submissions/{answer.json()['id']}/").json()
    assert detail["revisions"][0]["ranking"]["unrankable_reasons"] == why
