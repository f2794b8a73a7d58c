"""Category, language and further fields of prompts in versions, where a recipe names them."""

from __future__ import annotations

import csv
import io
import json

import orjson
import pytest

from annotate.errors import Invalid
from labeling.formats import SPLITS, canonical_line, read_file
from labeling.models import Prompt
from labeling.services import datasets
from labeling.services.dataset_cards import card_of
from labeling.services.dataset_diff import compare_versions
from labeling.services.prompt_fields import offered_fields, steady
from labeling.services.recipes import Recipe
from tests.factories import make_prompt

from .judgments import make_demonstration, make_ranking
from .test_dataset_freeze import make_version
from .test_dataset_pages import RECIPE, url, version_url

ALL = ["category", "language", "source", "items", "nothing has this"]
HELD = {
    "category": "law",
    "language": "de",
    "source": "ada@example.org",
    "items": {"b": [1.5, 2.0], "a": None},
}


@pytest.fixture
def filled(cast):
    metadata = {"source": HELD["source"], "items": HELD["items"], "hidden": "x", "empty": ""}
    prompt = make_prompt(cast.project, category="law", language="de", metadata=metadata)
    for person in (cast.annotator, cast.peer):
        make_demonstration(cast.project, person, "Yes.", prompt=prompt)
        make_ranking(cast.project, person, prompt=prompt)
    make_demonstration(cast.project, cast.annotator, "No.", prompt=make_prompt(cast.project))
    return cast


def version_of(cast, kind="sft", **recipe):
    return make_version(cast, kind, recipe.pop("name", kind), fractions={"train": 1}, **recipe)


def rows_of(version):
    return [row for split in SPLITS for row in datasets.open_split(version=version, split=split)]


@pytest.mark.parametrize("kind", ["sft", "comparison", "prompts"])
def test_fields_are_in_the_rows_only_where_the_recipe_names_them(filled, kind):
    bare = version_of(filled, kind)
    with_some = version_of(filled, kind, name="with", include_fields=ALL)
    assert "include_fields" not in bare.recipe and "fields" not in bare.manifest["statistics"]
    assert not [row for row in rows_of(bare) if "fields" in row]
    found = [row["fields"] for row in rows_of(with_some) if "fields" in row]
    assert found and all(each == HELD for each in found)
    # What is not there is not named; everything else of the rows is what it was.
    assert [{**row, "fields": 0} for row in rows_of(with_some)] == [
        {**row, "fields": 0} for row in rows_of(bare)
    ]


def test_no_fields_is_the_recipe_and_the_hash_it_always_was(filled):
    bare, none = version_of(filled), version_of(filled, name="none", include_fields=[])
    assert (bare.recipe, bare.sha256) == (none.recipe, none.sha256)


@pytest.mark.parametrize("kind", ["sft", "comparison", "prompts"])
def test_a_rebuild_with_fields_gives_the_same_bytes(filled, kind):
    first = version_of(filled, kind, include_fields=ALL)
    Prompt.objects.update(preview="changed meanwhile")
    again = datasets.freeze_dataset(dataset=first.dataset, acting_user=filled.admin, force=True)
    assert (again.number, again.sha256) == (2, first.sha256)


def test_numbers_come_out_alike_on_every_database():
    """PostgreSQL keeps 1e2 as 100, SQLite as it was written."""
    sqlite = '{"a": 1e2, "b": [1.0, -0.0, 0.5, 1e30, 12345678901234567890], "c": 5}'
    postgres = '{"a": 100, "b": [1, 0, 0.5, 1000000000000000000000000000000, 12345678901234567890], "c": 5}'
    lines = {canonical_line(steady(json.loads(text))) for text in (sqlite, postgres)}
    assert lines == {b'{"a":100,"b":[1,0,0.5,1e+30,12345678901234567890],"c":5}\n'}


@pytest.mark.parametrize("wrong", ["category", [""], ["x" * 101], [f"n{n}" for n in range(51)], [7]])
def test_names_that_make_no_sense_are_refused(wrong):
    with pytest.raises(Invalid) as refused:
        Recipe.from_json({"include_fields": wrong})
    assert refused.value.field == "include_fields"


def test_a_mask_of_personal_data_reaches_the_fields(filled):
    version = version_of(filled, include_fields=ALL, filters={"personal_data": "mask"})
    assert [row["fields"]["source"] for row in rows_of(version) if "fields" in row] == ["[email]"] * 2
    dropped = version_of(filled, name="drop", include_fields=ALL, filters={"personal_data": "drop"})
    assert dropped.manifest["left_out"] == {"personal data": 2}


def test_the_card_and_the_difference_tell_of_fields(filled):
    version = version_of(filled, include_fields=["category", "source"])
    assert "Fields of prompts in `fields`, with the rows that have them: category 2, source 2." in card_of(
        version=version
    )
    Prompt.objects.filter(category="law").update(category="tax")
    again = datasets.freeze_dataset(dataset=version.dataset, acting_user=filled.admin)
    changes = compare_versions(old=version, new=again).changes(limit=10)
    assert [[(f.field, f.old, f.new) for f in each.fields] for each in changes] == [
        [("fields.category", "law", "tax")]
    ] * 2


def test_a_preview_counts_the_rows_that_have_each(admin, filled, api_client_of):
    recipe = {"include_fields": ALL}
    path = f"/api/projects/{filled.project.slug}/datasets/count/"
    body = {"kind": "sft", "recipe": recipe}
    counts = api_client_of(filled.admin).post(path, body, format="json").json()
    assert counts["fields"] == {"category": 2, "items": 2, "language": 2, "nothing has this": 0, "source": 2}
    query = {"kind": "sft", **RECIPE, "include_fields": ["category", "items"]}
    page = admin.get(url(filled, "count/"), query).content.decode()
    assert "<dt>With items</dt><dd>2</dd>" in page


def test_rows_are_filtered_by_a_field(admin, filled, api_client_of):
    version = version_of(filled, include_fields=ALL)
    client = api_client_of(filled.lead)
    base = (
        f"/api/projects/{filled.project.slug}/datasets/{version.dataset_id}/versions/{version.number}/rows/"
    )
    for path in (base, f"{base}after/"):
        found = client.get(path, {"field": "category", "value": "law"}).json()["results"]
        assert [row["fields"]["category"] for row in found] == ["law"] * 2
        [without] = client.get(path, {"field": "category", "value": "none"}).json()["results"]
        assert "fields" not in without
        as_json = '{"a":null,"b":[1.5,2]}'
        assert len(client.get(path, {"field": "items", "value": as_json}).json()["results"]) == 2
        assert client.get(path, {"field": "category", "value": "tax"}).json()["results"] == []
    page = admin.get(version_url(filled, version), {"field": "category", "value": "law"}).content.decode()
    assert "of 1, 2 rows" in page and "field=source&amp;value=ada%40example.org" in page


def test_a_form_offers_what_prompts_have(admin, filled):
    assert offered_fields(filled.project) == ["category", "language", "empty", "hidden", "items", "source"]
    form = {"name": "Mine", "kind": "sft", **RECIPE, "include_fields": ["source", "category"]}
    made = admin.post(url(filled, "new/"), form)
    assert "category, source" in admin.get(made["Location"]).content.decode()


@pytest.mark.parametrize("format", ["canonical", "messages", "prompt_response", "prompt_response_csv"])
def test_an_export_with_fields_is_imported_with_them(filled, format):
    version = version_of(filled, include_fields=ALL)
    data = b"".join(datasets.export_version(version=version, format=format))
    name = f"x.{'csv' if 'csv' in format else 'jsonl'}"
    records = list(read_file(io.BytesIO(data), filename=name, kind="demonstrations"))
    [first, *_], held = [each for each in records if each.category], orjson.loads(orjson.dumps(HELD))
    assert (len(records), first.category, first.language) == (3, "law", "de")
    assert {name: first.metadata[name] for name in ("source", "items")} == {
        name: held[name] for name in ("source", "items")
    }


def test_a_table_has_columns_for_fields_only_where_the_recipe_has_some(filled):
    def header(version):
        data = b"".join(datasets.export_version(version=version, format="prompt_response_csv"))
        return next(csv.reader(io.StringIO(data.decode())))

    assert header(version_of(filled)) == ["system", "prompt", "response", "neutralised"]
    some = version_of(filled, name="some", include_fields=["language", "source"])
    assert header(some) == ["system", "prompt", "response", "language", "fields", "neutralised"]
