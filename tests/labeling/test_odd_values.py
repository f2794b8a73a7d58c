"""Values of a right type and a wrong shape, and numbers that no database holds: refused or read as nothing,
never a page that cannot be opened any more.
"""

from __future__ import annotations

import itertools
import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.models import Dataset, Draft, Layout, TaskKind
from labeling.services.draft_shapes import readable_fields
from labeling.services.guidelines import acknowledge_version
from labeling.services.late import accept_late_draft
from tests.factories import make_demonstration_batch, make_project, make_ranking_batch, publish_guideline

from .test_dataset_rows import freeze
from .work import claim, do_next

pytestmark = [pytest.mark.django_db, pytest.mark.database]
TOO_LARGE = 10**30
ODD = [
    None,
    5,
    True,
    "",
    "{",
    "[1,",
    '{"a": {"b": 1}}',
    [],
    [[1]],
    [{"a": 1}],
    {},
    {"a": {"b": 1}},
    {"a": [[1]]},
]
FIELDS = [
    *(
        "text",
        "rationale",
        "strength",
        "neither_reason",
        "prompt_flags",
        "answer.task.x",
        "pasted_characters",
    ),
    *("tiers", "unrankable", "touched", "margins", "scores", "flags", "unrankable_reasons", "notes"),
    *("set_aside", "score-{id}", "flag-{id}", "{id}"),
]


@pytest.mark.parametrize("layout", [None, Layout.RANKING, Layout.PAIRWISE])
def test_a_draft_of_any_shape_can_be_opened(cast, client, layout):
    if layout is None:
        make_demonstration_batch(cast.project, tasks=1)
    else:
        make_ranking_batch(cast.project, tasks=1, k=2, layout=layout)
    slot = claim(cast.annotator, cast.project)
    ids = [str(each.completion.public_id) for each in slot.task.task_completions.all()] if layout else ["x"]
    client.force_login(cast.annotator)
    page = reverse("labeling:work_task", args=[cast.project.slug, slot.pk])
    for name, value in itertools.product(FIELDS, ODD):
        body = {name.format(id=ids[0]): value, "scores" if name != "scores" else "flags": {ids[0]: value}}
        Draft.objects.update(body=body, is_late=False)
        assert client.get(page).status_code == 200, body
    Draft.objects.update(body={"text": "My words.", "prompt_flags": {"a": {"b": 1}}})
    assert (b"My words." in client.get(page).content) == (layout is None)


def test_what_has_the_right_shape_is_kept_as_it_is():
    body = {
        "text": "a",
        "prompt_flags": ["unsafe"],
        "tiers": '[["x"]]',
        "scores": {"x": "3"},
        "other": {"y": [1]},
    }
    assert readable_fields(Draft(body=body)) == body
    assert readable_fields(Draft(body={"tiers": '[[["x"]]]', "text": ["a"]})) == {}


@pytest.mark.parametrize("value", [{"a": 1}, [[1]], "{"])
def test_late_work_of_a_wrong_shape_is_refused_by_words_or_taken_without_it(cast, value):
    make_demonstration_batch(cast.project, tasks=1)
    slot = claim(cast.annotator, cast.project)
    draft = slot.task.drafts.get()
    Draft.objects.update(
        body={"text": "My late answer.", "notes": value, "prompt_flags": [{"a": 1}]}, is_late=True
    )
    slot.task.assignments.update(annotator=None, status="open")
    draft.refresh_from_db()
    assert accept_late_draft(draft=draft, acting_user=cast.lead).prompt_flags == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", f"datasets/{TOO_LARGE}/versions/1/formats/", None),
        ("get", f"datasets/{TOO_LARGE}/versions/1/card/", None),
        ("get", f"submissions/?task={TOO_LARGE}", None),
        ("post", "submissions/requeue/", {"submissions": [TOO_LARGE], "mode": "return", "note": "x"}),
        ("post", "datasets/", {"name": "d", "kind": "sft", "recipe": {"batches": [TOO_LARGE]}}),
        ("post", "datasets/count/", {"kind": "sft", "recipe": {"guideline_versions": [TOO_LARGE]}}),
        ("post", "runs/", {"stage": "pretrain", "options": {"text_files": 5}}),
        ("post", "runs/", {"stage": "pretrain", "options": {"text_files": [{"a": 1}]}}),
        ("post", "runs/", {"stage": "sample", "options": {"prompt_ids": [TOO_LARGE]}}),
        ("post", "runs/", {"stage": "sample", "options": {"prompt_ids": [[1]]}}),
        ("post", "runs/", {"stage": "sample", "options": {"splits": 7}}),
    ],
)
def test_numbers_that_no_database_holds_are_refused(cast, api_client_of, method, path, body):
    client = api_client_of(cast.admin)
    answer = getattr(client, method)(f"/api/projects/{cast.project.slug}/{path}", body, format="json")
    assert answer.status_code in (200, 404, 422), answer.content
    assert answer.status_code != 200 or answer.json()["count"] == 0
    assert not Dataset.objects.exists()


def test_a_page_number_of_thousands_of_digits_is_the_first_page(cast, client):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    do_next(cast.annotator, cast.project)
    version = freeze(cast, "sft")
    client.force_login(cast.admin)
    url = reverse("labeling:dataset_version", args=[cast.project.slug, version.dataset_id, version.number])
    assert client.get(url, {"page": "9" * 5000}).status_code == 200


def test_a_filter_by_number_does_not_tell_whether_there_is_such_a_row(cast, api_client_of):
    batch = make_demonstration_batch(cast.other_project, tasks=1)
    foreign = batch.tasks.get()
    for person in (cast.annotator, cast.lead):
        client = api_client_of(person)
        url = f"/api/projects/{cast.project.slug}/submissions/"
        answers = [client.get(url, {"task": pk}) for pk in (foreign.pk, foreign.pk + 1_000)]
        told = [answer.json().get("count", answer.status_code) for answer in answers]
        assert told == ([400, 400] if person == cast.annotator else [0, 0])


def test_annotators_cannot_find_their_work_by_the_number_of_a_task(cast, api_client_of):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    done = do_next(cast.annotator, cast.project)
    url = f"/api/projects/{cast.project.slug}/submissions/"
    for query in ({"task": done.task_id + 1}, {"prompt": done.prompt_id + 1}):
        refused = api_client_of(cast.annotator).get(url, query)  # no such filter for them
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unknown_parameter")
        assert api_client_of(cast.lead).get(url, query).json()["count"] == 0


def test_settings_are_no_business_of_annotators(cast, api_client_of):
    one = f"/api/projects/{cast.project.slug}/"
    for person, sees in ((cast.annotator, False), (cast.lead, True), (cast.admin, True)):
        client = api_client_of(person)
        rows = client.get("/api/projects/").json()["results"]
        assert [row["settings"] is not None for row in rows] == [sees]
        assert (client.get(one).json()["settings"] is not None) == sees
    client, counts = api_client_of(cast.admin), []
    for name in ("One more", "And one more"):
        make_project(name, acting_user=cast.admin)
        with CaptureQueriesContext(connection) as queries:
            client.get("/api/projects/")
        counts.append(len(queries))
    assert counts[0] == counts[1]  # however many projects


def test_a_method_a_route_does_not_have_is_named(cast, api_client_of):
    answer = api_client_of(cast.admin).get(f"/api/projects/{cast.project.slug}/assignments/next/")
    assert answer.status_code == 405


def test_the_work_screen_does_not_name_the_batch(cast, client):
    """Gold comes from other batches than work: their names would tell it apart."""
    make_demonstration_batch(cast.project, tasks=1)
    cast.project.batches.update(name="A batch of gold")
    slot = claim(cast.annotator, cast.project)
    client.force_login(cast.annotator)
    page = client.get(reverse("labeling:work_task", args=[cast.project.slug, slot.pk]))
    assert b"A batch of gold" not in page.content


def test_the_guideline_to_read_first_is_that_of_the_work_that_waits(cast, client):
    for kind in TaskKind.values:
        publish_guideline(cast.project, kind=kind)
    make_ranking_batch(cast.project, tasks=1, k=2)
    client.force_login(cast.annotator)
    answer = client.post(reverse("labeling:work_next", args=[cast.project.slug]))
    assert answer.url == reverse("labeling:work_guideline", args=[cast.project.slug, "ranking"])
    version = cast.project.guidelines.get(kind="ranking").versions.get()
    acknowledge_version(version=version, user=cast.annotator)
    assert "/work/" in client.post(reverse("labeling:work_next", args=[cast.project.slug])).url


@pytest.mark.parametrize("search", ["a+" * 1_100, "a" * 60_000, "%00"])
def test_a_search_too_long_is_refused_and_the_database_is_not_said_to_be_away(
    cast, client, api_client_of, search
):
    api = api_client_of(cast.lead).get(f"/api/projects/{cast.project.slug}/submissions/?search={search}")
    assert api.status_code in (200, 422), api.content
    client.force_login(cast.lead)
    page = client.get(f"/projects/{cast.project.slug}/submissions/?q={search}")
    assert page.status_code in (200, 422)


def test_signing_in_with_a_name_of_a_page_is_no_outage(client, db):
    answer = client.post(reverse("account_login"), {"login": "a" * 60_000, "password": "x"})
    assert answer.status_code in (200, 422)


def test_settings_of_a_sampling_may_be_odd(cast, api_client_of):
    """Whole numbers of any size are kept; what PostgreSQL could not hold is refused on both databases."""
    make_demonstration_batch(cast.project, tasks=1)
    prompt = cast.project.prompts.written().first()
    api = api_client_of(cast.admin)

    def post(sampling):
        row = {"prompt_id": prompt.pk, "text": "a", "generator": "m", "source_key": "k", "sampling": sampling}
        url = f"/api/projects/{cast.project.slug}/completions/"
        body = json.dumps({"completions": [row]})
        return api.post(url, body, content_type="application/json")

    assert post({"seed": TOO_LARGE}).status_code == 201
    assert cast.project.completions.get().sampling == {"seed": TOO_LARGE}
    for odd in ("\ud800", "a\x00b"):
        for sampling in ({"stop": odd}, {odd: 1}, {"stop": [{"x": odd}]}):
            answer = post(sampling)
            assert (answer.status_code, answer.json()["error"]["field"]) == (422, "sampling"), sampling
