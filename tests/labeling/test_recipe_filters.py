"""Filters of a recipe: what is left out, masked or capped, and counted by reason."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter

import pytest

from annotate.errors import Invalid
from labeling.formats import SPLITS, prompt_group
from labeling.models import CompletionScore, ImportRecord, SpanNote, Submission, TaskAgreement
from labeling.services import datasets
from labeling.services.dataset_cards import card_of
from labeling.services.recipe_counting import read_counts
from labeling.services.recipe_filters import weight_lines, weights_of_lines
from labeling.services.recipes import Recipe
from labeling.services.selection_counts import preview_counts
from tests.factories import make_prompt

from .judgments import make_demonstration, make_ranking
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


def test_categories_are_capped_each_at_its_own_number(filled):
    for category in ("two", "two", "free", "free", "free"):
        make_demonstration(
            filled.project, filled.annotator, prompt=make_prompt(filled.project, category=category)
        )
    caps = {"two": 1, "free": 0, "*": 3}
    version = make_version(filled, filters={"category_most": caps})
    assert version.manifest["left_out"] == {
        "over 3 rows of its category": 1,
        "over 1 rows of its category": 1,
    }
    totals = Counter()
    for counts in version.manifest["statistics"]["categories"].values():
        totals.update(counts)
    assert totals == {"one": 3, "two": 1, "free": 3}
    said = card_of(version=version).replace("\\", "")
    assert "- filter category_most: free 0, two 1, * 3" in said
    assert make_version(filled, name="one", filters={"category_most": {"two": 1}}).row_count == 8
    plain = Recipe.from_json({"filters": {"category_most": {"*": 3}}})
    assert plain.filters == {"category_most": 3}


@pytest.mark.parametrize("caps", [-1, 1.5, True, "3", {"a": -1}, {"a": "3"}, {1: 3}, [3], None])
def test_a_cap_is_a_whole_number(caps):
    with pytest.raises(Invalid) as refusal:
        Recipe.from_json({"filters": {"category_most": caps}})
    assert refusal.value.field == "category_most"


ENGLISH = "Please explain in simple words why the sky over the sea is blue in the morning."
GERMAN = "Bitte erkläre mir mit einfachen Worten, warum der Himmel über dem Meer morgens blau ist."


@pytest.mark.parametrize("wanted", ["en", "en-GB"])
def test_a_prompt_that_is_not_marked_is_in_the_language_that_its_text_tells(cast, wanted):
    for text, mark in (
        (ENGLISH, ""),
        (GERMAN, ""),
        ("Why?", ""),
        ("Pourquoi ?", wanted),
        (f"{ENGLISH} So?", "de"),
    ):
        prompt = make_prompt(cast.project, text, language=mark)
        make_demonstration(cast.project, cast.annotator, text, prompt=prompt)
    texts, left_out, _ = frozen(cast, languages=[wanted])
    assert texts == {ENGLISH, "Pourquoi ?"}
    assert left_out == {"another language": 2, "language not known": 1}
    weighed = make_version(cast, name="weighed", filters={"weights": {"language": {"en": 0}}})
    assert weighed.manifest["left_out"] == {"weight 0 of language en": 1 + (wanted == "en")}


# --- Only some people -------------------------------------------------------------------------------------
def test_only_the_work_of_some_people_is_taken_and_the_rest_is_counted(cast):
    for person in (cast.annotator, cast.annotator, cast.peer):
        make_demonstration(cast.project, person)
    record = ImportRecord.objects.create(
        project=cast.project, kind="demonstrations", filename="a.jsonl", size_bytes=1
    )
    imported = make_demonstration(cast.project, cast.peer)
    Submission.objects.filter(pk=imported.pk).update(
        annotator=None, task=None, assignment=None, import_record=record
    )
    only = {"annotators": [cast.annotator.pseudonym]}
    version = make_version(cast, **only)
    assert (version.row_count, version.manifest["left_out"]) == (2, {"by none of the people chosen": 2})
    assert set(version.manifest["statistics"]["lineage"]["annotators"]) == {cast.annotator.pseudonym}
    recipe = Recipe.from_json(only).resolved_for(cast.project)
    counts = preview_counts(cast.project, "sft", recipe)
    assert (counts["rows"], counts["not_selected"]) == (2, {"by none of the people chosen": 2})
    assert "annotators" not in Recipe().to_json()
    without = make_version(cast, name="none", annotators=[cast.peer.pseudonym, cast.annotator.pseudonym],
                           exclude_annotators=[cast.peer.pseudonym])  # fmt: skip
    assert (without.row_count, without.manifest["left_out"]) == (2, {"by none of the people chosen": 1})


def test_the_form_takes_people_caps_and_languages_of_prompts_that_are_not_marked(cast, client):
    make_demonstration(cast.project, cast.annotator)
    make_demonstration(cast.project, cast.peer)
    client.force_login(cast.admin)
    here = f"/projects/{cast.project.slug}/datasets/"
    form = {
        "name": "Mine", "kind": "sft", "sources": ["people"],
        "decisions": ["accepted", "fixed", "unreviewed"], "train": "80", "validation": "10", "test": "10",
        "annotators": [cast.annotator.pseudonym], "category_most": "contract law 20\n* 500",
    }  # fmt: skip
    counted = client.get(f"{here}count/", form).content.decode()
    assert 'by none of the people chosen</dt><dd class="num">1<' in counted
    wrong = client.post(f"{here}new/", form | {"category_most": "law many"})
    assert (wrong.status_code, "“law many” is no cap." in wrong.content.decode()) == (422, True)
    page = client.get(client.post(f"{here}new/", form | {"languages": ["uk"]}).url).content.decode()
    assert "contract law: at most 20 · all others: at most 500" in page
    recipe = cast.project.datasets.get().recipe
    assert recipe["annotators"] == [cast.annotator.pseudonym]
    assert recipe["filters"] == {"languages": ["uk"], "category_most": {"*": 500, "contract law": 20}}


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
    found = read_counts(filled.project, "sft", recipe.resolved_for(filled.project))
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


# --- Scores, weights, names -------------------------------------------------------------------------------
def test_rankings_are_filtered_by_the_score_of_their_best_completion(cast):
    members = {}
    for name, scores in (("low", [1, 3, 2]), ("high", [6, 2, 5]), ("none", [])):
        submission = make_ranking(cast.project, cast.annotator)
        ranking = submission.rankings.get()
        ids = [tier[0] for tier in ranking.tiers]
        ranking.scores = {str(pk): score for pk, score in zip(ids, scores, strict=False)}
        ranking.save()
        members[name] = str(submission.pk)

    def kept(name, **filters):
        version = make_version(cast, "comparison", name, filters=filters)
        rows = [row for split in SPLITS for row in datasets.open_split(version=version, split=split)]
        return {row["id"] for row in rows}, version.manifest["left_out"]

    assert kept("a", least_score=4) == ({members["high"], members["none"]}, {"scored under 4": 1})
    assert kept("b", most_score=3.0) == ({members["low"], members["none"]}, {"scored over 3": 1})
    reasons = {"scored under 4": 1, "without a score": 1}
    assert kept("c", least_score=4, scored_only=True) == ({members["high"]}, reasons)


def test_what_a_file_scored_is_a_score_and_a_reward_models_opinion_is_none(cast):
    record = ImportRecord.objects.create(
        project=cast.project, kind="completions", filename="scored.jsonl", size_bytes=1
    )
    prompt = make_prompt(cast.project, metadata={"rating": "4.5"})
    make_demonstration(cast.project, cast.annotator, "Rated.", prompt=prompt)
    make_demonstration(cast.project, cast.annotator, "Not rated.")
    assert frozen(cast, least_score=4.5, scored_only=True)[0] == {"Rated."}
    submission = make_ranking(cast.project, cast.annotator)
    first, second, third = submission.prompt.completions.order_by("pk")
    first.sampling, first.import_record = {"score": 8}, record
    first.save()
    third.sampling, third.import_record = {"score": 3}, record
    third.save()
    second.sampling = {"score": 99}  # not of a file
    second.save()
    CompletionScore.objects.create(completion=first, scorer_key=uuid.uuid4(), score=12.0)
    make_ranking(cast.project, cast.annotator)
    assert make_version(cast, "comparison", "a", filters={"least_score": 8}).manifest["left_out"] == {}
    version = make_version(cast, "comparison", "b", filters={"least_score": 9})
    assert version.manifest["left_out"] == {"scored under 9": 1}


def test_a_weight_keeps_its_share_and_a_larger_one_keeps_all_of_that(cast):
    for number in range(80):
        prompt = make_prompt(cast.project, f"Question {number}", category="law" if number % 2 else "tea")
        make_demonstration(cast.project, cast.annotator, f"Answer {number}.", prompt=prompt)

    def texts(name, weights):
        version = make_version(cast, name=name, filters={"weights": weights})
        rows = [row for split in SPLITS for row in datasets.open_split(version=version, split=split)]
        return {row["messages"][-1]["content"] for row in rows}, version.manifest["left_out"]

    half, left_out = texts("half", {"category": {"law": 0.5}})
    [(reason, gone)] = left_out.items()
    assert (reason, len(half) + gone) == ("weight 0.5 of category law", 80)
    assert 10 <= gone <= 30  # three standard deviations around 20
    tea = {f"Answer {number}." for number in range(0, 80, 2)}
    assert tea < half < texts("more", {"category": {"law": 0.8}})[0]
    others = texts("others", {"category": {"law": 1, "*": 0}, "source": {"people": 1}})
    assert (others[0] & tea, others[1]) == (set(), {"weight 0 of category *": 40})
    assert texts("again", {"category": {"law": 0.5}})[0] == half


def test_weights_multiply_and_the_one_that_decides_is_the_reason(cast):
    for number in range(60):
        prompt = make_prompt(cast.project, f"Question {number}", category="law", language="en")
        make_demonstration(cast.project, cast.annotator, f"Answer {number}.", prompt=prompt)
    name = cast.annotator.pseudonym
    weights = {"category": {"law": 0.6}, "annotator": {name: 0.5}, "language": {"en": 1.0, "*": 0}}
    kept, left_out, _ = frozen(cast, weights=weights)
    assert set(left_out) == {"weight 0.6 of category law", f"weight 0.5 of annotator {name}"}
    expected = set()
    for number in range(60):
        group = prompt_group([{"role": "user", "content": f"Question {number}"}])
        digest = hashlib.sha256(f"weight\0{cast.project.slug}\0{group}".encode()).hexdigest()
        if int(digest[:16], 16) / 2**64 < 0.6 * 0.5:
            expected.add(f"Answer {number}.")
    assert kept == expected


def test_names_are_personal_data_only_where_that_is_asked_for(filled):
    make_demonstration(filled.project, filled.annotator, "Ask Mary Jones, or Dr. Brown, in Paris.")
    recipe = Recipe.from_json({"filters": {"personal_data": "mask"}}).resolved_for(filled.project)
    assert read_counts(filled.project, "sft", recipe)["changed"] == {"personal data: mask": 1}
    recipe = Recipe.from_json({"filters": {"personal_data": "mask", "names": True}})
    found = read_counts(filled.project, "sft", recipe.resolved_for(filled.project))
    assert found["changed"] == {"personal data: mask": 2}
    shown = " ".join(found["changed_examples"]["personal data: mask"])
    assert "Ask [name], or Dr. [name], in Paris." in shown and "[email]" in shown
    texts, _, changed = frozen(filled, personal_data="mask", names=True)
    assert "Ask [name], or Dr. [name], in Paris." in texts
    assert changed == found["changed"]


@pytest.mark.parametrize(
    "filters, field",
    [
        ({"least_score": "4"}, "least_score"),
        ({"most_score": float("nan")}, "most_score"),
        ({"least_score": 5, "most_score": 4}, "most_score"),
        ({"scored_only": 1}, "scored_only"),
        ({"names": "yes"}, "names"),
        ({"weights": []}, "weights"),
        ({"weights": {"batch": {"1": 0.5}}}, "weights"),
        ({"weights": {"category": {"law": 1.5}}}, "weights"),
        ({"weights": {"category": {"law": True}}}, "weights"),
        ({"weights": {"category": {"law": float("nan")}}}, "weights"),
        ({"tokenizer": 3}, "tokenizer"),
    ],
)
def test_scores_and_weights_that_make_no_sense_are_refused(filters, field):
    with pytest.raises(Invalid) as refusal:
        Recipe.from_json({"filters": filters})
    assert refusal.value.field == field


def test_weights_that_keep_everything_are_none():
    assert "filters" not in Recipe.from_json({"filters": {"weights": {"category": {"law": 1}}}}).to_json()
    weights = weights_of_lines("category law 1\ncategory * 50%\n\nsource import 3 0,25")
    assert weights == {"category": {"law": 1.0, "*": 0.5}, "source": {"import 3": 0.25}}
    assert weights_of_lines("\n".join(weight_lines(weights))) == weights
    for wrong in ("category 0.5", "law 0.5", "category law", "category law 2", "category law -0.1"):
        with pytest.raises(Invalid, match=wrong):
            weights_of_lines(wrong)


def test_the_pages_say_what_a_recipe_filters(client, filled):
    client.force_login(filled.admin)
    fields = {
        "name": "Chosen", "kind": "sft", "sources": ["people", "imports"], "train": 80, "validation": 10,
        "test": 10, "decisions": ["accepted", "fixed", "unreviewed"], "personal_data": "mask", "names": "on",
        "weights": "category one 0.5", "least_score": "4", "scored_only": "on", "languages": ["en"],
        "blocked_words": "darn\nzounds", "most_characters": 500, "category_most": 9, "least_agreement": 50,
        "fixes": ["drop_exact_duplicates"],
    }  # fmt: skip
    slug = filled.project.slug
    wrong = client.post(f"/projects/{slug}/datasets/new/", fields | {"weights": "one 0.5"})
    assert (wrong.status_code, "“one 0.5” is no weight." in wrong.content.decode()) == (422, True)
    page = client.get(client.post(f"/projects/{slug}/datasets/new/", fields).url).content.decode()
    for said in (
        "category one 0.5", "Mask, as [email], names too", "at least 4", "only rows with a score", "2 words",
        "at most 500", "at most 9", "at least 50%", "Rows that are there already: Keep the first of each",
    ):  # fmt: skip
        assert said in page, said
    assert "zounds" not in page
