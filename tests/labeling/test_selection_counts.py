"""What a recipe's selection leaves out is counted by reason, and no row is lost between the numbers."""

from __future__ import annotations

import dataclasses

import pytest
from django.utils import translation

from labeling.models import DatasetVersion
from labeling.services import datasets, restrictions, selection_counts, verification
from labeling.services.dataset_cards import card_of
from labeling.services.dataset_rows import count_selected
from labeling.services.recipes import Recipe
from labeling.services.selection_counts import count_selection, preview_counts
from tests.factories import make_prompt

from .judgments import make_demonstration
from .selection_world import (
    ORDER,
    USED,
    could_be_rows,
    left_out_by_hand,
    make_world,
    rows_of_kind,
    some_recipe,
)
from .test_dataset_freeze import make_version
from .test_dataset_pages import RECIPE, url, version_url

KINDS = ["sft", "comparison", "prompts", "completions"]
RECIPES = 80


# --- Against counting by hand -----------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_each_reason_is_as_counted_row_by_row_and_nothing_is_lost(cast, kind):
    """Also entries that say nothing of the kind: recipes stored before those were refused may have some."""
    world, met = make_world(cast), set()
    every = rows_of_kind(cast, kind)
    for number in range(RECIPES):
        recipe = some_recipe(world)
        rows, reasons = left_out_by_hand(every, kind, recipe)
        counted = count_selection(cast.project, kind, recipe)
        found = counted.left_out
        assert counted.selected == rows, recipe
        assert list(found.items()) == list(reasons.items()), recipe
        assert rows + sum(found.values()) == len(could_be_rows(every, recipe)), recipe
        if number % 4 == 0:
            counts = preview_counts(cast.project, kind, recipe)
            assert (counts["rows"], counts["not_selected"]) == (rows, found), recipe
        met |= set(found)
    assert met == {reason for name, reason in ORDER if name in USED[kind]}  # each had rows at least once


def test_the_order_is_the_stated_one():
    assert list(restrictions.REASONS.items()) == ORDER


# --- What it costs ----------------------------------------------------------------------------------------
RESTRICTED = {
    "sources": ("people",), "imports": (1,), "exclude_imports": (2,), "batches": (1,), "categories": ("law",),
    "submitted_from": "2026-03-01", "submitted_until": "2026-03-09", "decisions": ("fixed",),
    "guideline_versions": (1,), "exclude_guideline_versions": (2,), "exclude_annotators": ("a",),
    "annotators": ("b",),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_all_reasons_are_counted_in_one_query_however_many_there_are(cast, django_assert_num_queries, kind):
    make_world(cast)
    recipe = Recipe(include_gold=True)
    for name, value in RESTRICTED.items():
        with django_assert_num_queries(1):
            count_selection(cast.project, kind, recipe)
        recipe = dataclasses.replace(recipe, **{name: value})
    with django_assert_num_queries(1):
        count_selection(cast.project, kind, recipe)
    with django_assert_num_queries(2 if kind == "comparison" else 1):
        count_selection(cast.project, kind, dataclasses.replace(recipe, sources=("people", "edits")))


def test_the_last_review_is_looked_up_only_for_rows_that_come_so_far(cast, django_assert_num_queries):
    """The database asks for one restriction after another: each stands within the one before it."""
    with django_assert_num_queries(1) as asked:
        count_selection(cast.project, "sft", Recipe(categories=("law",), decisions=("accepted",)))
    sql = asked[0]["sql"]
    assert sql.index('"category" IN') < sql.index('"labeling_review"')


# --- A frozen version -------------------------------------------------------------------------------------
@pytest.fixture
def filled(cast):
    """Three answers to questions of law, one of them the peer's, and two of maths."""
    for category, person in (
        ("law", cast.annotator),
        ("law", cast.annotator),
        ("law", cast.peer),
        ("maths", cast.annotator),
        ("maths", cast.peer),
    ):
        make_demonstration(cast.project, person, prompt=make_prompt(cast.project, category=category))
    return cast


LAW_OF_ONE = {"of other categories": 2, "by none of the people chosen": 1}


def law_of_one(cast) -> dict:
    return {"categories": ["law"], "annotators": [cast.annotator.pseudonym]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_version_keeps_what_was_counted_and_its_manifest_is_the_one_it_always_was(cast, kind):
    """The people chosen alone are counted there, of what all the rest selects, as ever."""
    world, frozen = make_world(cast), 0
    every = rows_of_kind(cast, kind)
    while frozen < 5:
        recipe = some_recipe(world)
        rows, reasons = left_out_by_hand(every, kind, recipe)
        if not rows:
            continue
        dataset = datasets.Dataset.objects.create(
            project=cast.project, kind=kind, name=f"set {frozen}", recipe=recipe.to_json()
        )
        version = datasets.freeze_dataset(dataset=dataset, acting_user=cast.admin)
        version = DatasetVersion.objects.get(pk=version.pk)  # as the database gives it back
        kept = version.facts["not_selected"]
        assert [(each["reason"], each["rows"]) for each in kept] == list(reasons.items())
        everyone = count_selected(cast.project, kind, dataclasses.replace(recipe, annotators=()))
        others = everyone - count_selected(cast.project, kind, recipe)
        told = [reason for _, reason in ORDER]
        in_manifest = {name: rows for name, rows in version.manifest["left_out"].items() if name in told}
        assert in_manifest == ({"by none of the people chosen": others} if others else {})
        assert verification.verify_version(version=version) == []
        frozen += 1


def test_the_numbers_are_sealed_with_the_other_facts(filled):
    version = make_version(filled, **law_of_one(filled))
    version.facts["not_selected"][0]["rows"] = 0
    version.save(update_fields=["facts"])
    assert verification.verify_version(version=version) == ["what its data card says was changed"]


def without_the_numbers(version) -> DatasetVersion:
    """As it was frozen before they were counted."""
    facts = {name: value for name, value in version.facts.items() if name != "not_selected"}
    DatasetVersion.objects.filter(pk=version.pk).update(facts=facts)
    return DatasetVersion.objects.get(pk=version.pk)


def test_the_card_names_them_in_their_order_and_each_row_once(filled):
    version = make_version(filled, **law_of_one(filled))
    lines = card_of(version=version).splitlines()
    first = lines.index("- left out by selection: 2 rows, of other categories")
    assert lines[first + 1] == "- left out by selection: 1 rows, by none of the people chosen"
    assert lines[first + 2] == "- each of those rows counts once, under the first reason that leaves it out"
    assert "left out: 1 rows" not in "\n".join(lines)  # the same row, as the manifest has it
    old = card_of(version=without_the_numbers(version))
    assert "by selection" not in old and "- left out: 1 rows, by none of the people chosen" in old
    alone = card_of(version=make_version(filled, name="alone", categories=["law"]))
    assert "- left out by selection: 2 rows, of other categories" in alone and "counts once" not in alone


def test_the_page_of_a_version_shows_them_beside_what_filters_left_out(filled, admin):
    version = make_version(filled, **law_of_one(filled), filters={"category_most": 1})
    page = admin.get(version_url(filled, version)).content.decode()
    shown = page.split("Left out by selection")[1].split("</dl>")[0]
    assert '<dt>of other categories</dt><dd class="num">2</dd>' in shown
    assert '<dt>by none of the people chosen</dt><dd class="num">1</dd>' in shown
    assert page.count("by none of the people chosen") == 1
    assert "Left out: over 1 rows of its category" in page
    assert "first reason that leaves it out" in page
    without_the_numbers(version)
    page = admin.get(version_url(filled, version)).content.decode()
    assert "Left out by selection" not in page and "Left out: by none of the people chosen" in page


def test_the_page_says_what_leaving_a_person_out_leaves_in(filled, admin, client):
    version = make_version(filled, **law_of_one(filled))
    says = "Answers of theirs that others ranked stay"
    assert says in admin.get(version_url(filled, version)).content.decode()
    client.force_login(filled.lead)  # who may not freeze has no such button
    assert says not in client.get(version_url(filled, version)).content.decode()


def test_the_api_has_them_of_a_version(filled, api_client_of):
    version = make_version(filled, **law_of_one(filled))
    program = api_client_of(filled.admin)
    path = f"/api/projects/{filled.project.slug}/datasets/{version.dataset_id}/versions/1/"
    assert program.get(path).json()["not_selected"] == LAW_OF_ONE
    without_the_numbers(version)
    assert program.get(path).json()["not_selected"] is None


# --- Before it is frozen ----------------------------------------------------------------------------------
def test_the_form_and_the_page_of_a_dataset_count_them(filled, admin):
    query = {"kind": "sft", **RECIPE, **law_of_one(filled)}
    shown = admin.get(url(filled, "count/"), query).content.decode().split("Left out by selection")[1]
    assert '<dt>of other categories</dt><dd class="num">2</dd>' in shown
    assert '<dt>by none of the people chosen</dt><dd class="num">1</dd>' in shown
    made = admin.post(url(filled, "new/"), {"name": "Mine", **query})
    assert '<dt>of other categories</dt><dd class="num">2</dd>' in admin.get(made.url).content.decode()
    everything = {"kind": "sft", **RECIPE}
    assert "by selection" not in admin.get(url(filled, "count/"), everything).content.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_a_dataset_with_many_rows_is_shown_before_they_are_counted(
    filled, admin, monkeypatch, kind
):
    make_world(filled)
    dataset = datasets.create_dataset(
        project=filled.project, kind=kind, name="Large", acting_user=filled.admin
    )
    path = f"/projects/{filled.project.slug}/datasets/{dataset.pk}/"
    rows = f'<dd class="strong">{count_selection(filled.project, kind, Recipe()).selected}</dd>'
    assert rows in admin.get(path).content.decode()
    monkeypatch.setattr(selection_counts, "MOST_WHILE_WAITING", 1)
    at_once = admin.get(path).content.decode()
    assert rows not in at_once and 'hx-get="?counted=1"' in at_once and "disabled" not in at_once
    asked_for = admin.get(f"{path}?counted=1").content.decode()
    assert rows in asked_for and 'hx-get="?counted=1"' not in asked_for


def test_nothing_is_counted_for_who_may_not_freeze(filled, client, monkeypatch):
    dataset = datasets.create_dataset(project=filled.project, kind="sft", name="M", acting_user=filled.admin)
    monkeypatch.setattr("labeling.views.datasets.preview_counts", None)
    client.force_login(filled.lead)
    page = client.get(f"/projects/{filled.project.slug}/datasets/{dataset.pk}/?counted=1")
    assert page.status_code == 200 and "Freeze a version" not in page.content.decode()


def test_the_api_counts_them_by_stable_names(filled, api_client_of):
    program = api_client_of(filled.admin)
    asked = {"kind": "sft", "recipe": law_of_one(filled)}
    path = f"/api/projects/{filled.project.slug}/datasets/count/"
    with translation.override("de"):
        found = program.post(path, asked, headers={"Accept-Language": "de"}).json()
    assert list(found["not_selected"].items()) == list(LAW_OF_ONE.items())
    assert program.post(path, {"kind": "sft"}).json()["not_selected"] == {}


def test_a_reason_is_said_in_the_readers_language(filled, admin, monkeypatch):
    """Whatever the catalogue has for it: it is looked up when it is shown, and stored as it is."""
    plain = translation._trans.gettext
    monkeypatch.setattr(
        translation._trans,
        "gettext",
        lambda text: "aus Anderem" if text == "of other categories" else plain(text),
    )
    version = make_version(filled, categories=["law"])
    assert "<dt>aus Anderem</dt>" in admin.get(version_url(filled, version)).content.decode()
    assert version.facts["not_selected"] == [{"reason": "of other categories", "rows": 2}]
