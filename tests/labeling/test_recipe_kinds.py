"""What is about judgments is refused of datasets that hold none, and not offered by their form."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from annotate.errors import Invalid
from labeling.models import Dataset, RecipeRevision
from labeling.services import datasets
from labeling.services.dataset_recipes import change_recipe, create_dataset
from tests.factories import make_completions, make_prompt, publish_guideline

from .judgments import make_demonstration
from .test_dataset_pages import RECIPE, url

RESTRICTIONS = {
    "decisions": ["accepted"],
    "guideline_versions": [1],
    "exclude_guideline_versions": [1],
    "annotators": ["Ann"],
    "exclude_annotators": ["Ann"],
}
FILTERS = {"least_agreement": 0.5, "weights": {"annotator": {"Ann": 0.5}}}
REFUSED = [
    (kind, name)
    for kind in ("prompts", "completions")
    for name in (*RESTRICTIONS, *FILTERS)
    if (kind, name) != ("completions", "exclude_annotators")
]


def recipe_with(name: str) -> dict:
    return {"filters": {name: FILTERS[name]}} if name in FILTERS else {name: RESTRICTIONS[name]}


def made(cast, kind, recipe=None, name="set"):
    return create_dataset(project=cast.project, kind=kind, name=name, acting_user=cast.admin, recipe=recipe)


@pytest.fixture
def answered(cast):
    make_completions(make_prompt(cast.project), 2)
    return cast


@pytest.mark.parametrize(("kind", "name"), REFUSED)
def test_an_entry_about_judgments_is_refused_by_name(answered, api_client_of, tmp_path, kind, name):
    cast, recipe = answered, recipe_with(name)
    with pytest.raises(Invalid) as refusal:
        made(cast, kind, recipe)
    assert refusal.value.field == name
    dataset = made(cast, kind)
    with pytest.raises(Invalid) as refusal:
        change_recipe(dataset=dataset, recipe=recipe, acting_user=cast.admin)
    assert refusal.value.field == name
    client, base = api_client_of(cast.admin), f"/api/projects/{cast.project.slug}/datasets/"
    for answer in (
        client.post(base, {"kind": kind, "name": "other", "recipe": recipe}, format="json"),
        client.post(f"{base}count/", {"kind": kind, "recipe": recipe}, format="json"),
        client.patch(f"{base}{dataset.pk}/", {"recipe": recipe}, format="json"),
    ):
        assert answer.status_code == 422
        assert answer.json()["error"]["field"] == name
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe))
    with pytest.raises(CommandError, match=name if name != "weights" else "annotator"):
        call_command(
            "freeze_dataset", "--project", cast.project.slug, "--as", kind, "--name", "x", "--recipe",
            str(path),
        )  # fmt: skip
    assert Dataset.objects.count() == RecipeRevision.objects.count() == 1


def test_what_restricts_nothing_or_means_something_is_taken(answered):
    cast = answered
    all_of_them = {"decisions": ["accepted", "fixed", "unreviewed"], "annotators": []}
    for kind in ("prompts", "completions"):
        assert not made(cast, kind, all_of_them, name=kind).recipe.get("annotators")
    authors = made(cast, "completions", {"exclude_annotators": [cast.annotator.pseudonym]}, name="authors")
    assert authors.recipe["exclude_annotators"] == [cast.annotator.pseudonym]
    weights = {"category": {"law": 0.5}}
    weighed = made(cast, "prompts", {"filters": {"weights": weights}}, name="weighed")
    assert weighed.recipe["filters"]["weights"] == weights


@pytest.mark.parametrize("kind", ["prompts", "completions"])
def test_a_stored_recipe_that_has_some_is_read_frozen_and_changed_without_them(answered, admin, kind):
    """From before they were refused: it selected the same rows with them as without."""
    cast = answered
    make_demonstration(cast.project, cast.annotator)
    dataset = made(cast, kind)
    old = dataset.recipe | RESTRICTIONS | {"exclude_annotators": [], "filters": FILTERS | {"names": True}}
    Dataset.objects.filter(pk=dataset.pk).update(recipe=old)
    RecipeRevision.objects.filter(dataset=dataset).update(recipe=old)
    assert admin.get(url(cast, f"{dataset.pk}/")).status_code == 200
    version = datasets.freeze_dataset(dataset=dataset, acting_user=cast.admin)
    assert version.recipe["annotators"] == ["Ann"]
    page = url(cast, f"{dataset.pk}/recipe/")
    assert "annotator Ann" not in admin.get(page).content.decode()
    assert admin.post(page, RECIPE | {"after": "1", "names": "on", "categories": []}).status_code == 302
    dataset.refresh_from_db()
    newest = dataset.recipe
    assert dataset.revisions.count() == 2
    assert (newest["filters"], newest["guideline_versions"]) == ({"names": True}, [])
    assert not {"annotators", "exclude_guideline_versions"} & newest.keys()


def test_the_form_offers_what_the_kind_has(answered, admin):
    cast = answered
    make_demonstration(cast.project, cast.annotator)
    publish_guideline(cast.project)
    fields = ("decisions", "annotators", "exclude_annotators", "guideline_versions", "least_agreement",
              "rankings", "include_scores")  # fmt: skip

    def offered(kind, **headers):
        page = admin.get(url(cast, "new/"), {"kind": kind}, headers=headers).content.decode()
        assert ("<html" in page) == (not headers)
        assert 'name="languages"' in page
        return {name for name in fields if f'name="{name}"' in page}

    fragment = {"HX-Request": "true", "HX-Target": "recipe-choices"}
    for headers in ({}, fragment):
        assert offered("comparison", **headers) == set(fields)
        assert offered("sft", **headers) == set(fields) - {"rankings", "include_scores"}
        assert offered("prompts", **headers) == set()
        assert offered("completions", **headers) == {"exclude_annotators"}
    chosen = {"kind": "prompts", "blocked_words": "darn", "sources": ["people"], "names": "on"}
    kept = admin.get(url(cast, "new/"), chosen, headers=fragment).content.decode()
    assert "darn" in kept and kept.count("checked") == 2
    sent = {"name": "Mine", "kind": "prompts", **RECIPE}
    del sent["decisions"]
    assert admin.post(url(cast, "new/"), sent).status_code == 302
