"""A recipe is never overwritten: another revision follows it, and each version names its own."""

from __future__ import annotations

import importlib
import re
from datetime import UTC, datetime

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotate.errors import Conflict, Invalid
from labeling.models import AuditEvent, DatasetVersion, RecipeRevision
from labeling.services import datasets
from labeling.services.dataset_rebuild import rebuild_without
from labeling.services.dataset_recipes import change_recipe, create_dataset, verify_recipes
from labeling.services.projects import add_member
from tests.factories import make_user

from .judgments import make_demonstration

WORDS = {"filters": {"blocked_words": ["darn"]}}


@pytest.fixture
def dataset(cast):
    for number in range(3):
        make_demonstration(cast.project, cast.annotator, f"Answer {number}.")
    make_demonstration(cast.project, cast.peer, "A darn answer.")
    return create_dataset(project=cast.project, kind="sft", name="set", acting_user=cast.admin)


def freeze(cast, dataset):
    return datasets.freeze_dataset(dataset=dataset, acting_user=cast.admin)


def test_a_freeze_takes_the_newest_revision_and_names_it(cast, dataset):
    stale = type(dataset).objects.get(pk=dataset.pk)  # read before the change
    first = freeze(cast, dataset)
    change_recipe(dataset=dataset, recipe=WORDS, acting_user=cast.lead, note="no swearing")
    second = freeze(cast, stale)
    assert [version.recipe_revision.number for version in (first, second)] == [1, 2]
    assert (first.row_count, second.row_count) == (4, 3)
    first.refresh_from_db()
    assert "filters" not in first.recipe  # it keeps its own
    newest = dataset.revisions.first()
    assert (newest.note, newest.created_by, newest.recipe) == ("no swearing", cast.lead, second.recipe)


def test_a_rebuild_takes_the_versions_own_recipe_not_the_newest(cast, dataset):
    first = freeze(cast, dataset)
    change_recipe(dataset=dataset, recipe={"filters": {"blocked_words": ["answer"]}}, acting_user=cast.admin)
    again = rebuild_without(
        version=first, what="annotator", which=cast.annotator.pseudonym, acting_user=cast.admin
    )
    assert (again.row_count, again.recipe_revision) == (1, first.recipe_revision)
    assert "filters" not in again.recipe


def test_the_same_recipe_again_is_no_revision(cast, dataset):
    change_recipe(dataset=dataset, recipe=WORDS, acting_user=cast.admin)
    change_recipe(dataset=dataset, recipe=WORDS, acting_user=cast.admin)
    assert list(dataset.revisions.values_list("number", flat=True)) == [2, 1]


def test_who_has_not_seen_the_newest_is_told_and_nothing_is_lost(cast, dataset):
    change_recipe(dataset=dataset, recipe=WORDS, acting_user=cast.admin, after=1)
    with pytest.raises(Conflict) as refusal:
        change_recipe(dataset=dataset, recipe={}, acting_user=cast.lead, after=1)
    assert refusal.value.code == "recipe_changed"
    with pytest.raises(Invalid):
        change_recipe(dataset=dataset, recipe={"nonsense": 1}, acting_user=cast.lead)
    assert dataset.revisions.count() == 2


def test_a_revision_is_not_changed_by_us_and_verify_names_one_that_was(dataset):
    revision = dataset.revisions.get()
    with pytest.raises(TypeError):
        revision.save()
    assert not any(problems for _, problems in verify_recipes())
    RecipeRevision.objects.update(recipe={"sources": ["people"]})
    [(name, problems)] = verify_recipes()
    assert "set" in name
    assert problems == ["revision 1 of its recipe was changed", "its recipe is not the newest revision's"]
    RecipeRevision.objects.all().delete()
    assert next(verify_recipes())[1] == ["revision 1 of its recipe was removed"]


def test_it_is_changed_and_looked_up_over_the_api(cast, admin, dataset):
    freeze(cast, dataset)
    url = f"/api/projects/{cast.project.slug}/datasets/{dataset.pk}/"
    changed = admin.patch(
        url, {"recipe": WORDS, "note": "cleaner", "after": 1}, content_type="application/json"
    )
    assert changed.status_code == 200, changed.content
    assert (changed.json()["recipe_revision"], changed.json()["recipe"]["filters"]) == (2, WORDS["filters"])
    late = admin.patch(url, {"recipe": {}, "after": 1}, content_type="application/json")
    assert (late.status_code, late.json()["error"]["code"]) == (409, "recipe_changed")
    wrong = admin.patch(url, {"recipe": {"nonsense": 1}}, content_type="application/json")
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "nonsense")
    history = admin.get(f"{url}recipes/").json()["results"]
    assert [(each["number"], each["note"], each["versions"]) for each in history] == [
        (2, "cleaner", []),
        (1, "", [1]),
    ]
    version = admin.get(f"{url}versions/1/").json()
    assert version["recipe_revision"] == 1
    assert AuditEvent.objects.get(action="dataset.recipe_changed").data["revision"] == 2
    assert DatasetVersion.objects.get().recipe_revision.number == 1


def test_lists_read_no_recipe_and_no_manifest_to_say_a_number(cast, admin, dataset):
    """Either may be a megabyte, for each revision and each version."""
    freeze(cast, dataset)
    change_recipe(dataset=dataset, recipe=WORDS, acting_user=cast.admin)
    url = f"/api/projects/{cast.project.slug}/datasets/"
    with CaptureQueriesContext(connection) as asked:
        assert [each["recipe_revision"] for each in admin.get(url).json()["results"]] == [2]
    assert not [sql for sql in said(asked) if '"labeling_reciperevision"."recipe"' in sql]
    with CaptureQueriesContext(connection) as asked:
        history = admin.get(f"{url}{dataset.pk}/recipes/").json()["results"]
    assert [each["versions"] for each in history] == [[], [1]]
    large = ('"labeling_datasetversion"."manifest"', '"labeling_datasetversion"."recipe",')
    assert not [sql for sql in said(asked) if any(column in sql for column in large)]


def said(queries) -> list[str]:
    return [each["sql"] for each in queries.captured_queries]


def test_who_may_not_freeze_changes_no_recipe(cast, client, dataset):
    url = f"/api/projects/{cast.project.slug}/datasets/{dataset.pk}/"
    for who, status in (("lead", 403), ("annotator", 403), ("outsider", 404)):
        client.force_login(getattr(cast, who))
        answer = client.patch(url, {"recipe": WORDS}, content_type="application/json")
        assert answer.status_code == status
    assert dataset.revisions.count() == 1


# --- The page ---------------------------------------------------------------------------------------------
def form_of(page) -> dict:
    """What a browser would send back of the page's form, nothing touched."""
    form = page.context["form"]
    values = {name: form[name].value() for name in form.fields if not form.fields[name].disabled}
    sent = {name: value for name, value in values.items() if value is not None and value is not False}
    return {name: "on" if value is True else value for name, value in sent.items()}


def test_the_form_shows_the_newest_and_saves_the_next(cast, admin, dataset):
    hidden = {"exclude_imports": [7], "fractions": {"train": 2 / 3, "validation": 1 / 3, "test": 0}}
    filters = {"blocked_words": ["darn"], "category_most": {"law": 5, "*": 9}, "context": 77}
    change_recipe(dataset=dataset, recipe={**hidden, "filters": filters}, acting_user=cast.admin)
    url = f"/projects/{cast.project.slug}/datasets/{dataset.pk}/recipe/"
    page = admin.get(url)
    sent = form_of(page) | {"after": "2", "dataset": dataset.pk}
    assert admin.post(url, sent).status_code == 302
    assert dataset.revisions.count() == 2  # nothing was touched, nothing is new, nothing was rounded
    change = {"blocked_words": "darn\r\nheck\r\n", "least_characters": "3", "revision_note": "more words"}
    assert admin.post(url, sent | change).status_code == 302
    newest = dataset.revisions.first()
    assert (newest.number, newest.note) == (3, "more words")
    assert newest.recipe["filters"] == filters | {"blocked_words": ["darn", "heck"], "least_characters": 3}
    assert newest.recipe["exclude_imports"] == [7]  # what the form does not show stays
    assert newest.recipe["fractions"]["train"] == 2 / 3
    dataset.refresh_from_db()
    assert (dataset.name, dataset.kind) == ("set", "sft")
    emptied = sent | {"blocked_words": "", "category_most": "", "after": "3"}
    admin.post(url, emptied)
    assert dataset.revisions.first().recipe["filters"] == {"context": 77}
    shown = admin.get(f"/projects/{cast.project.slug}/datasets/{dataset.pk}/").content.decode()
    for words in ("Revision 4", "Revision 1", "more words", "As the dataset was made", "1 word → 2 words"):
        assert words in shown


def fields_of(answer) -> dict:
    """What a browser would send back of the page as it came, nothing touched: also what is hidden in it."""
    hidden = dict(
        re.findall(r'<input type="hidden" name="(after|dataset)" value="(\d*)">', answer.content.decode())
    )
    return form_of(answer) | hidden


@pytest.fixture
def two(cast, dataset):
    """Two admins, each in front of the recipe's form, and its address."""
    second = make_user("bertha")
    add_member(project=cast.project, user=second, role="admin", acting_user=cast.admin)
    clients = Client(), Client()
    for client, user in zip(clients, (cast.admin, second), strict=True):
        client.force_login(user)
    return *clients, f"/projects/{cast.project.slug}/datasets/{dataset.pk}/recipe/"


def test_a_stale_form_is_refused_until_its_owner_chooses(cast, dataset, two):
    alice, bertha, url = two
    hers = fields_of(alice.get(url)) | {"blocked_words": "heck\r\ngosh", "revision_note": "no swearing"}
    his = fields_of(bertha.get(url)) | {"blocked_words": "darn\r\nfie", "least_characters": "3"}
    assert alice.post(url, hers).status_code == 302
    answer = bertha.post(url, his | {"revision_note": "shorter"})
    shown = answer.content.decode()
    assert answer.status_code == 422
    assert answer.context["form"]["blocked_words"].value() == "darn\r\nfie"  # what was typed is still there
    for words in ("was changed meanwhile", "Revision 2", "Alice", "no swearing", "gosh, heck", "darn, fie"):
        assert words in shown
    again = fields_of(answer)
    assert again["after"] == "1"  # what was sent, not the newest: saved once more it would overwrite that
    assert bertha.post(url, again).status_code == 422
    assert dataset.revisions.count() == 2
    assert 'name="over" value="2"' in shown
    assert bertha.post(url, again | {"over": "2"}).status_code == 302
    newest = dataset.revisions.first()
    assert (newest.number, newest.created_by.username) == (3, "bertha")
    assert newest.recipe["filters"] == {"blocked_words": ["darn", "fie"], "least_characters": 3}


def test_who_chose_is_asked_again_where_a_third_one_came_between(cast, dataset, two):
    _, bertha, url = two
    stale = fields_of(bertha.get(url)) | {"blocked_words": "fie"}
    change_recipe(dataset=dataset, recipe=WORDS, acting_user=cast.admin)
    change_recipe(dataset=dataset, recipe={"salt": "x"}, acting_user=cast.admin)
    answer = bertha.post(url, stale | {"over": "2"})
    assert answer.status_code == 422
    conflict = answer.context["conflict"]
    assert [each.number for each in conflict["newer"]] == [3, 2]
    assert conflict["begun"].number == 1
    rows = {name: tuple(rest) for name, *rest in conflict["rows"]}
    assert rows["Blocked words"] == (None, None, "fie", True)
    assert dataset.revisions.count() == 3


@pytest.mark.parametrize("after", ["", "x", "-1", "0", "7", "9" * 30, "²"])
def test_a_form_that_does_not_say_what_it_was_filled_in_from_overwrites_nothing(dataset, two, after):
    _, bertha, url = two
    answer = bertha.post(url, fields_of(bertha.get(url)) | {"blocked_words": "fie", "after": after})
    assert answer.status_code == 422
    assert "was changed meanwhile" in answer.content.decode()
    assert dataset.revisions.count() == 1


def test_a_form_sent_twice_is_one_change(dataset, two):
    _, bertha, url = two
    sent = fields_of(bertha.get(url)) | {"blocked_words": "fie"}
    assert [bertha.post(url, sent).status_code for _ in range(2)] == [302, 302]
    assert dataset.revisions.count() == 2


def test_a_stale_form_with_a_mistake_says_both(cast, dataset, two):
    _, bertha, url = two
    sent = fields_of(bertha.get(url)) | {"train": "7"}
    change_recipe(dataset=dataset, recipe=WORDS, acting_user=cast.admin)
    answer = bertha.post(url, sent)
    assert answer.status_code == 422
    assert answer.context["form"].errors["train"]
    rows = [(name, was, now) for name, was, now, *_ in answer.context["conflict"]["rows"]]
    assert rows == [("Blocked words", None, "darn")]
    assert bertha.post(url, {}).status_code == 422


def test_the_count_beside_the_form_knows_what_the_form_does_not_show(cast, admin, dataset):
    change_recipe(
        dataset=dataset, recipe={"exclude_annotators": [cast.annotator.pseudonym]}, acting_user=cast.admin
    )
    here = f"/projects/{cast.project.slug}/datasets/"
    sent = form_of(admin.get(f"{here}{dataset.pk}/recipe/")) | {"dataset": dataset.pk}
    assert '<dd class="strong">1</dd>' in admin.get(f"{here}count/", sent).content.decode()
    other = admin.get(f"{here}count/", sent | {"dataset": 10**9})
    assert other.status_code == 404


# --- Recipes from before there were revisions ------------------------------------------------------------
def migrated(dataset) -> list[RecipeRevision]:
    """The revisions that the migration makes of what the tables and the trail say without any."""
    DatasetVersion.objects.update(recipe_revision=None)
    RecipeRevision.objects.all().delete()
    migration = importlib.import_module("labeling.migrations.0027_recipes_that_there_are")
    migration.make_revisions(apps, None)
    return list(dataset.revisions.order_by("number"))


def dated(dataset, days: list[int]) -> list[datetime]:
    """The dataset and then each change of its recipe, on these days."""
    dates = [datetime(2026, 3, day, 12, tzinfo=UTC) for day in days]
    type(dataset).objects.filter(pk=dataset.pk).update(created_at=dates[0])
    events = AuditEvent.objects.filter(action="dataset.recipe_changed").order_by("pk")
    for event, when in zip(events, dates[1:], strict=True):
        AuditEvent.objects.filter(pk=event.pk).update(created_at=when)
    return dates


def test_recipes_from_before_there_were_revisions_become_some(cast, dataset):
    first = freeze(cast, dataset)
    change_recipe(dataset=dataset, recipe=WORDS, acting_user=cast.admin)
    second = freeze(cast, dataset)
    made_of_it = rebuild_without(
        version=first, what="annotator", which=cast.annotator.pseudonym, acting_user=cast.admin
    )
    migrated(dataset)
    found = [DatasetVersion.objects.get(pk=each.pk).recipe_revision for each in (first, second, made_of_it)]
    assert [each.number for each in found] == [1, 2, 1]
    assert [each.recipe for each in found[:2]] == [first.recipe, second.recipe]
    assert dataset.revisions.count() == 2


def test_they_are_by_whom_and_of_when_the_trail_says(cast, dataset):
    """Not of whoever froze a version, nor of whoever made the dataset, and each in its turn."""
    change_recipe(dataset=dataset, recipe=WORDS, acting_user=cast.lead)
    change_recipe(dataset=dataset, recipe={"categories": ["law"]}, acting_user=cast.annotator)
    change_recipe(dataset=dataset, recipe=WORDS, acting_user=None)
    dates = dated(dataset, [1, 4, 5, 9])
    version = freeze(cast, dataset)
    before = list(dataset.revisions.order_by("number").values_list("number", "recipe", "created_by"))
    revisions = migrated(dataset)
    assert [(each.number, each.recipe, each.created_by_id) for each in revisions] == before
    assert [each.created_at for each in revisions] == dates
    assert [each.created_by for each in revisions] == [cast.admin, cast.lead, cast.annotator, None]
    version.refresh_from_db()
    assert version.recipe_revision == revisions[-1]
    assert not any(problems for _, problems in verify_recipes())


def test_what_the_trail_does_not_tell_is_by_nobody_and_not_before_the_one_before(cast, dataset):
    first = freeze(cast, dataset)
    change_recipe(dataset=dataset, recipe=WORDS, acting_user=cast.lead)
    second = freeze(cast, dataset)
    change_recipe(dataset=dataset, recipe={"categories": ["law"]}, acting_user=cast.lead)
    AuditEvent.objects.filter(action="dataset.recipe_changed").delete()
    [made] = dated(dataset, [1])
    frozen = [datetime(2026, 3, day, tzinfo=UTC) for day in (3, 7)]
    for version, when in zip((first, second), frozen, strict=True):
        DatasetVersion.objects.filter(pk=version.pk).update(created_at=when)
    revisions = migrated(dataset)
    assert [each.recipe for each in revisions] == [first.recipe, second.recipe, dataset.recipe]
    assert [each.created_by for each in revisions] == [cast.admin, None, None]
    assert [each.created_at for each in revisions] == [made, frozen[1], frozen[1]]


def test_a_version_frozen_while_its_recipe_was_changed_keeps_its_own(cast, dataset):
    version = freeze(cast, dataset)
    change_recipe(dataset=dataset, recipe=WORDS, acting_user=cast.lead)
    dated(dataset, [1, 4])  # the version is younger than both
    assert [each.created_by for each in migrated(dataset)] == [cast.admin, cast.lead]
    version.refresh_from_db()
    assert version.recipe_revision.number == 1


def test_a_dataset_that_never_changed_has_one_as_it_was_made(cast, dataset):
    type(dataset).objects.filter(pk=dataset.pk).update(created_by=None)
    [made] = dated(dataset, [2])
    [revision] = migrated(dataset)
    assert (revision.number, revision.created_by, revision.created_at) == (1, None, made)
