"""Quality for leads, as pages: numbers, where they lead, and a clarified guideline's way back to the work."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.models import Submission, TaskAgreement
from labeling.quality_page import heat_map
from labeling.services.quality_reports import refresh_report
from tests.factories import make_demonstration_batch, make_ranking_batch, publish_guideline

from .ranked import rank
from .work import do_next

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead(client, cast):
    client.force_login(cast.lead)
    return client


@pytest.fixture
def shared(cast):
    """Two people rank two tasks: alike in the first, the other way round in the second, which one flags."""
    make_ranking_batch(cast.project, tasks=2, k=3, overlap=2, review_rate=0)
    settings = cast.project.settings_json | {"review_flagged": False}
    type(cast.project).objects.filter(pk=cast.project.pk).update(settings_json=settings)
    cast.project.refresh_from_db()
    for user, second, flags in (
        (cast.annotator, [[0], [1], [2]], []),
        (cast.peer, [[2], [1], [0]], ["unclear"]),
    ):
        rank(user, cast.project, [[0], [1], [2]])
        rank(user, cast.project, second, prompt_flags=flags)
    refresh_report(project=cast.project)
    low = TaskAgreement.objects.order_by("value").first()
    low.task.prompt.category = "history"
    low.task.prompt.save()
    refresh_report(project=cast.project)
    return cast.project


def url(name, project, query="", **kwargs):
    return reverse(f"labeling:{name}", kwargs={"slug": project.slug, **kwargs}) + query


def text_of(answer) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def test_before_the_first_report_the_page_says_what_it_needs(lead, cast):
    answer = lead.get(url("quality", cast.project))
    assert answer.status_code == 200
    assert "give a batch an overlap of 2" in text_of(answer)


def test_a_lead_can_have_it_computed_now(lead, cast):
    answer = lead.post(url("quality_refresh", cast.project), follow=True)
    assert "No task was ranked by two people yet" in text_of(answer)


def test_the_headline_has_value_interval_and_size(lead, shared):
    text = text_of(lead.get(url("quality", shared)))
    assert "Pairwise agreement 50.0 %" in text
    assert "of 6 comparisons" in text
    assert "Ceiling of a reward model 50.0 %" in text


@pytest.mark.parametrize(
    "query", ["", "?by=pair", "?by=batch", "?by=margin", "?tab=ratings", "?tab=meters", "?by=x"]
)
def test_each_part_of_the_report_is_shown_in_few_queries(lead, shared, query):
    lead.get(url("quality", shared))
    with CaptureQueriesContext(connection) as queries:
        answer = lead.get(url("quality", shared, query))
    assert answer.status_code == 200
    assert len(queries) <= 11


def test_queries_do_not_grow_with_people(lead, shared, cast):
    with CaptureQueriesContext(connection) as before:
        lead.get(url("quality", shared, "?by=pair"))
    make_ranking_batch(shared, tasks=1, k=3, overlap=4, review_rate=0)
    for user in (cast.annotator, cast.peer, cast.lead, cast.admin):
        rank(user, shared, [[0], [1], [2]])
    refresh_report(project=shared)
    with CaptureQueriesContext(connection) as after:
        lead.get(url("quality", shared, "?by=pair"))
    assert len(after) == len(before)


def test_pairs_of_people_are_a_table_with_text_values(lead, shared, cast):
    answer = lead.get(url("quality", shared, "?by=pair"))
    grid = answer.context["heat_map"]
    assert sorted(grid["people"]) == sorted([cast.annotator.name, cast.peer.name])
    assert grid["rows"][0]["cells"][0] is None
    assert grid["rows"][0]["cells"][1]["value"] == 0.5
    assert b'class="num heat-0"' in answer.content


def test_many_people_are_listed_instead(db):
    rows = [{"key": [1, other], "agreement": {"value": 1.0}, "query": ""} for other in range(2, 20)]
    assert heat_map(rows) is None


def test_every_number_leads_to_the_work_behind_it(lead, shared, cast):
    answer = lead.get(url("quality", shared))
    links = re.findall(r'href="([^"]*/submissions/\?[^"]*person=[^"]*)"', answer.content.decode())
    assert len(links) == 2
    page = lead.get(links[0].replace("&amp;", "&")).context["listing"].page
    assert len({each.annotator_id for each in page}) == 1
    assert len(page) == 2


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 5),
        ("?kind=ranking", 4),
        ("?shared=yes", 4),
        ("?agreement=below-50", 2),
        ("?agreement=from-90", 2),
        ("?category=history", 2),
        ("?status=awaiting_review", 1),
        ("?from=2000-01-01&to=2000-01-02", 0),
        ("?from=2000-01-01", 5),
        ("?from=never", 5),
    ],
)
def test_the_list_of_work_is_filtered(lead, shared, cast, query, count):
    make_demonstration_batch(shared, tasks=1, overlap=1, review_rate=1)
    do_next(cast.annotator, shared, "demonstration")
    assert lead.get(url("submissions", shared, query)).context["listing"].page.paginator.count == count


def test_the_list_knows_who_judged_the_same_tasks_and_what_one_task_got(lead, shared, cast):
    make_ranking_batch(shared, tasks=1, k=3, overlap=1, review_rate=0)
    rank(cast.annotator, shared, [[0], [1], [2]])
    query = f"?person={cast.annotator.pk}&with={cast.peer.pk}"
    assert lead.get(url("submissions", shared, query)).context["listing"].page.paginator.count == 2
    task = TaskAgreement.objects.first().task_id
    assert lead.get(url("submissions", shared, f"?task={task}")).context["listing"].page.paginator.count == 2
    assert lead.get(url("submissions", shared, "?task=999999")).status_code == 404


def test_the_list_of_work_costs_the_same_for_every_length(lead, shared, cast):
    lead.get(url("submissions", shared))  # categories are remembered for a minute
    with CaptureQueriesContext(connection) as before:
        lead.get(url("submissions", shared))
    make_demonstration_batch(shared, tasks=5, overlap=1, review_rate=0)
    for _ in range(5):
        do_next(cast.annotator, shared, "demonstration")
    with CaptureQueriesContext(connection) as after:
        lead.get(url("submissions", shared))
    assert len(after) == len(before) <= 16


# --- Where people disagree ----------------------------------------------------------------------------------
def test_items_come_with_the_lowest_agreement_first_and_are_grouped(lead, shared):
    answer = lead.get(url("quality_items", shared))
    assert [row.value for row in answer.context["listing"].page] == [0.0, 1.0]
    groups = answer.context["groups"]
    assert [(each["key"], each["low"]) for each in groups["category"]] == [("history", 1), ("", 0)]
    assert [(each["label"], each["low"]) for each in groups["flag"]] == [("Unclear", 1)]


@pytest.mark.parametrize("query", ["?flag=unclear", "?category=history", "?agreement=below-50"])
def test_items_are_filtered(lead, shared, query):
    [row] = lead.get(url("quality_items", shared, query)).context["listing"].page
    assert row.value == 0


def test_from_items_to_a_clarified_guideline(lead, shared, cast):
    publish_guideline(shared, "ranking", readers=[cast.annotator, cast.peer])
    task = TaskAgreement.objects.order_by("value").first().task_id
    editor = url("guideline_edit", shared, f"?item={task}", kind="ranking")
    answer = lead.get(editor)
    assert [item.task_id for item in answer.context["items"]] == [task]
    assert b"Clarified after 1 item" in answer.content
    revision = shared.guidelines.get(kind="ranking").draft_revision
    saved = lead.post(editor, {"markdown": "# Clearer", "revision": revision})
    assert saved["Location"] == editor  # the items stay at hand


def test_items_of_another_project_are_not_taken_along(lead, shared, cast):
    make_ranking_batch(cast.other_project, tasks=1)
    foreign = cast.other_project.tasks.get()
    TaskAgreement.objects.create(task=foreign, project=cast.other_project, people=2, comparisons=1, value=0)
    answer = lead.get(url("guideline_edit", shared, f"?item={foreign.pk}", kind="ranking"))
    assert answer.context["items"] == []


def test_the_judgments_made_under_a_version_are_listed(lead, cast):
    project = cast.project
    publish_guideline(project, "ranking", readers=[cast.annotator])
    make_ranking_batch(project, tasks=2, k=2, overlap=1, review_rate=0)
    first = rank(cast.annotator, project, [[0], [1]])
    publish_guideline(project, "ranking", readers=[cast.annotator])
    rank(cast.annotator, project, [[0], [1]])
    page = lead.get(url("guideline_versions", project, kind="ranking"))
    assert b"kind=ranking&amp;guideline=1" in page.content
    listing = lead.get(url("submissions", project, "?kind=ranking&guideline=1")).context["listing"]
    assert [each.pk for each in listing.page] == [first.pk]


# --- Judged again -------------------------------------------------------------------------------------------
def test_chosen_work_goes_back_to_its_author(lead, shared, cast):
    chosen = shared.submissions.filter(annotator=cast.peer).order_by("pk").last()
    form = {"chosen": [chosen.pk], "mode": "return", "note": "Version 2 says more about dates."}
    answer = lead.post(url("submissions_requeue", shared), form, follow=True)
    assert "To be judged again: 1." in text_of(answer)
    assert Submission.objects.get(pk=chosen.pk).status == "returned"


def test_all_that_the_filters_show_can_be_chosen_at_once(lead, shared, cast):
    form = {"everything": "1", "mode": "return", "note": "Again, please."}
    lead.post(url("submissions_requeue", shared, f"?person={cast.annotator.pk}"), form)
    returned = Submission.objects.filter(status="returned")
    assert {each.annotator for each in returned} == {cast.annotator}
    assert returned.count() == 2


def test_a_missing_note_comes_back_with_what_was_chosen(lead, shared, cast):
    chosen = shared.submissions.first()
    form = {"chosen": [chosen.pk], "mode": "return", "note": " "}
    answer = lead.post(url("submissions_requeue", shared), form)
    assert answer.status_code == 422
    assert "Say what to look at again" in text_of(answer)
    assert (
        f'value="{chosen.pk}" aria-label="Choose submission {chosen.pk}" checked' in answer.content.decode()
    )


def test_annotators_see_none_of_it(client, shared, cast):
    client.force_login(cast.annotator)
    for name in ("quality", "quality_items", "submissions"):
        assert client.get(url(name, shared)).status_code == 403
