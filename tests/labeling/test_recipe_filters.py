"""Filters of a recipe: what is left out, masked or capped, and counted by reason."""

from __future__ import annotations

import pytest

from annotate.errors import Invalid
from labeling.formats import SPLITS
from labeling.models import SpanNote, Submission, TaskAgreement
from labeling.services import datasets
from labeling.services.dataset_cards import card_of
from labeling.services.dataset_filters import preview_filters
from labeling.services.recipes import Recipe
from tests.factories import make_prompt

from .judgments import make_demonstration
from .test_dataset_freeze import make_version

TEXTS = {
    "en": "A plain answer.",
    "de": "Eine Antwort, die etwas länger ist.",
    "mail": "Write to ada@example.org.",
    "rude": "Such a Darn thing.",
}


@pytest.fixture
def filled(cast):
    for language, text in TEXTS.items():
        prompt = make_prompt(cast.project, category="one", language=language if len(language) == 2 else "en")
        make_demonstration(cast.project, cast.annotator, text, prompt=prompt)
    return cast


def frozen(cast, **filters):
    """(texts in the version, what was left out, what was changed)."""
    version = make_version(cast, filters=filters)
    rows = [row for split in SPLITS for row in datasets.open_split(version=version, split=split)]
    texts = {row["messages"][-1]["content"] for row in rows}
    return texts, version.manifest["left_out"], version.manifest.get("changed", {})


@pytest.mark.parametrize(
    "filters, gone, reason",
    [
        ({"languages": ["en"]}, ["de"], "another language"),
        ({"most_characters": 30}, ["de"], "over 30 characters"),
        ({"least_characters": 16}, ["en"], "under 16 characters"),
        ({"blocked_words": ["darn"]}, ["rude"], "a blocked word"),
        ({"personal_data": "drop"}, ["mail"], "personal data"),
    ],
)
def test_what_a_filter_takes_out_is_counted_by_reason(filled, filters, gone, reason):
    texts, left_out, changed = frozen(filled, **filters)
    assert texts == {text for name, text in TEXTS.items() if name not in gone}
    assert (left_out, changed) == ({reason: len(gone)}, {})


def test_personal_data_is_masked_or_flagged_and_counted(filled):
    texts, left_out, changed = frozen(filled, personal_data="mask")
    assert "Write to [email]." in texts
    assert (left_out, changed) == ({}, {"personal data: mask": 1})
    masking = {"personal_data": "mask", "blocked_words": ["secret"]}
    card = card_of(version=make_version(filled, name="masked", filters=masking))
    assert "changed: 1 rows, personal data: mask" in card
    assert "blocked_words: 1" in card.replace("\\", "") and "secret" not in card
    version = make_version(filled, name="flagged", filters={"personal_data": "flag"})
    rows = [row for split in SPLITS for row in datasets.open_split(version=version, split=split)]
    assert [row["source"]["personal_data"] for row in rows if "personal_data" in row["source"]] == [["email"]]


@pytest.mark.parametrize("filters", [{"personal_data": "mask"}, {"fixes": ["mask_personal_data"]}])
def test_notes_do_not_tell_what_is_masked(filled, filters):
    submission = Submission.objects.get(demonstrations__text=TEXTS["mail"])
    revision = submission.demonstrations.get(is_current=True).revision
    for start, end, comment in ((0, 5, "Rather bob@example.org"), (9, 24, "Whose?")):
        SpanNote.objects.create(
            project=filled.project, submission=submission, revision=revision, start=start, end=end,
            quote=TEXTS["mail"][start:end], comment=comment, author=filled.annotator,
        )  # fmt: skip
    version = make_version(filled, filters=filters)
    rows = [row for split in SPLITS for row in datasets.open_split(version=version, split=split)]
    [notes] = [row["notes"] for row in rows if "notes" in row]
    assert [(note["quote"], note["comment"]) for note in notes] == [("Write", "Rather [email]")]
    assert "example.org" not in str(rows)


def test_a_category_is_capped(filled):
    texts, left_out, _ = frozen(filled, category_most=3)
    assert (len(texts), left_out) == (3, {"over 3 rows of its category": 1})


def test_tasks_on_which_people_do_not_agree_are_left_out(filled):
    submission = make_demonstration(filled.project, filled.annotator, "Disputed.")
    TaskAgreement.objects.create(
        task=submission.task, project=filled.project, people=3, comparisons=9, value=0.4
    )
    assert frozen(filled, least_agreement=0.5)[1] == {"low agreement on its task": 1}


def test_fixes_of_the_report_are_worked_out_when_it_is_frozen(filled):
    make_demonstration(filled.project, filled.annotator, "...")
    assert frozen(filled, fixes=["drop_empty_answers"])[1] == {"preparation: drop_empty_answers": 1}


def test_a_recipe_without_filters_is_the_json_it_always_was():
    assert "filters" not in Recipe().to_json()
    assert (
        "filters" not in Recipe.from_json({"filters": {"personal_data": "keep", "languages": []}}).to_json()
    )


def test_filters_that_say_the_same_are_the_same_recipe():
    one = Recipe.from_json({"filters": {"blocked_words": ["b", " a "], "least_agreement": 1}})
    other = Recipe.from_json({"filters": {"blocked_words": ["a", "b", "a"], "least_agreement": 1.0}})
    assert one.to_json() == other.to_json()


@pytest.mark.parametrize(
    "filters, field",
    [
        ({"nonsense": 1}, "filters"),
        ([], "filters"),
        ({"languages": "en"}, "languages"),
        ({"least_characters": -1}, "least_characters"),
        ({"least_characters": True}, "least_characters"),
        ({"least_characters": 9, "most_characters": 8}, "most_characters"),
        ({"personal_data": "burn"}, "personal_data"),
        ({"least_agreement": 1.5}, "least_agreement"),
        ({"fixes": ["nonsense"]}, "fixes"),
        ({"context": 0}, "context"),
    ],
)
def test_nonsense_is_refused_by_name(filters, field):
    with pytest.raises(Invalid) as refusal:
        Recipe.from_json({"filters": filters})
    assert refusal.value.field == field


def test_a_preview_counts_and_shows_what_would_go(filled):
    recipe = Recipe(filters={"blocked_words": ["darn"], "personal_data": "mask"})
    found = preview_filters(filled.project, "sft", recipe.resolved_for(filled.project))
    assert (found["looked_at"], found["kept"], found["changed"]) == (4, 3, {"personal data: mask": 1})
    [example] = found["left_out"]["a blocked word"]["examples"]
    assert "Such a Darn thing." in example


def test_the_form_of_a_recipe_has_the_filters_and_counts_them(filled, client):
    client.force_login(filled.admin)
    here = f"/projects/{filled.project.slug}/datasets/"
    form = {
        "name": "Mine", "kind": "sft", "sources": ["people"],
        "decisions": ["accepted", "fixed", "unreviewed"],
        "train": "80", "validation": "10", "test": "10", "languages": ["en"], "blocked_words": "darn\n",
        "personal_data": "mask", "fixes": ["drop_empty_answers"], "least_agreement": "50",
    }  # fmt: skip
    assert "a blocked word" in client.get(f"{here}count/", form).content.decode()
    client.post(f"{here}new/", form)
    assert filled.project.datasets.get().recipe["filters"] == {
        "languages": ["en"],
        "blocked_words": ["darn"],
        "personal_data": "mask",
        "fixes": ["drop_empty_answers"],
        "least_agreement": 0.5,
    }
