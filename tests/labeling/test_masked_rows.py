"""A mask of personal data reaches all that people typed: answers to questions, reasons, comments."""

from __future__ import annotations

import io

import orjson
import pytest

from labeling.formats import SPLITS
from labeling.models import Preparation, Prompt, Ranking, SpanNote
from labeling.preparation import words_beside
from labeling.services import datasets, imports, preparations
from labeling.services.masked_rows import mask_within, with_masked_words
from tests.factories import make_completions, make_prompt

from .judgments import make_ranking
from .test_dataset_freeze import make_version

MAIL = "ada@example.org"


@pytest.fixture
def judged(cast):
    """A ranking in which an address stands everywhere but in the texts; in `told`, where that is."""
    prompt = make_prompt(cast.project)
    completions = make_completions(prompt, 3)
    submission = make_ranking(
        cast.project, cast.annotator, [[0], [1]], prompt=prompt, completions=completions, unrankable=(2,)
    )
    last = completions[2].pk
    Ranking.objects.filter(submission=submission).update(
        answers={
            "task": {"why": f"I know {MAIL}", "level": 3},
            "completions": {str(last): {"kinds": ["a", f"write {MAIL}"]}},
        },
        unrankable_reasons={str(last): {"reason": "other", "note": f"by {MAIL}"}},
    )
    SpanNote.objects.create(
        project=cast.project, submission=submission, completion=completions[0], revision=1, start=0, end=1,
        quote=completions[0].text[:1], comment=f"ask {MAIL}", author=cast.annotator,
    )  # fmt: skip
    return submission


def frozen_row(cast, **filters):
    version = make_version(cast, "comparison", filters=filters)
    lines = [
        line
        for split in SPLITS
        for line in datasets.split_path(version=version, split=split).read_bytes().splitlines()
    ]
    return version, [orjson.loads(line) for line in lines]


def test_an_address_that_stands_beside_the_texts_only_is_masked(cast, judged):
    version, [row] = frozen_row(cast, personal_data="mask")
    assert MAIL not in str(row)
    assert row["source"]["answers"]["task"] == {"why": "I know [email]", "level": 3}
    [kinds] = row["source"]["answers"]["completions"].values()
    assert kinds == {"kinds": ["a", "write [email]"]}
    assert [each["note"] for each in row["unrankable_reasons"].values()] == ["by [email]"]
    assert [note["comment"] for note in row["notes"]] == ["ask [email]"]
    assert version.manifest["changed"] == {"personal data: mask": 1}


def test_it_is_flagged_and_dropped_as_well(cast, judged):
    _, [row] = frozen_row(cast, personal_data="flag")
    assert row["source"]["personal_data"] == ["email"]
    kept = datasets.create_dataset(
        project=cast.project, kind="comparison", name="dropped", acting_user=cast.admin,
        recipe={"filters": {"personal_data": "drop"}},
    )  # fmt: skip
    version = datasets.freeze_dataset(dataset=kept, acting_user=cast.admin)
    assert version.error == "There is no accepted ranking that fits this recipe."


def test_the_report_finds_what_stands_beside_the_texts_and_its_fixes_reach_it(cast, judged):
    version, _ = frozen_row(cast)
    preparation = preparations.ask_for_report(subject=version, acting_user=cast.admin)
    [found] = [each for each in preparation.report["findings"] if each["key"] == "personal_data"]
    assert [fix["key"] for fix in found["fixes"]] == ["mask_personal_data", "drop_personal_data"]
    recipe = {"filters": {"fixes": ["mask_personal_data"]}}
    datasets.change_recipe(dataset=version.dataset, recipe=recipe, acting_user=cast.admin)
    masked = datasets.freeze_dataset(dataset=version.dataset, acting_user=cast.admin)
    assert MAIL not in str(list(datasets.open_split(version=masked, split="train")))
    assert masked.manifest["changed"] == {"preparation: mask_personal_data": 1}
    recipe = {"filters": {"fixes": ["drop_personal_data"]}}
    datasets.change_recipe(dataset=version.dataset, recipe=recipe, acting_user=cast.admin)
    dropped = datasets.freeze_dataset(dataset=version.dataset, acting_user=cast.admin)
    assert dropped.error == "There is no accepted ranking that fits this recipe."


def test_the_report_on_a_file_reads_its_other_columns(cast):
    file = io.BytesIO(orjson.dumps({"prompt": "One?", "completion": "Yes.", "asked": {"by": [MAIL, 3]}}))
    upload = imports.upload_file(
        project=cast.project, kind="demonstrations", file=file, filename="x.jsonl", acting_user=cast.admin
    )
    preparation = preparations.ask_for_report(subject=upload, acting_user=cast.admin)
    [found] = [each for each in preparation.report["findings"] if each["key"] == "personal_data"]
    assert (found["count"], len(found["fixes"])) == (1, 2)
    preparations.decide(
        subject=upload, finding="personal_data", decision="apply", fix="mask_personal_data",
        acting_user=cast.admin,
    )  # fmt: skip
    imports.confirm_import(import_record=upload, acting_user=cast.admin)
    imports.run_import(import_record=upload)
    assert Prompt.objects.get(import_record=upload).metadata == {"asked": {"by": ["[email]", 3]}}
    assert Preparation.objects.get(import_record=upload).counts == {"mask_personal_data": 1}


def test_words_beside_are_all_that_was_typed():
    row = {
        "notes": [{"comment": "one"}],
        "unrankable_reasons": {"4": {"reason": "spam", "note": "two"}, "5": {"reason": "spam"}},
        "source": {"answers": {"task": {"a": "three", "b": 4}, "completions": {"4": {"c": ["five"]}}}},
    }
    assert words_beside(row) == ["one", "two", "", "three", "five"]
    assert words_beside({"messages": []}) == []


def test_a_row_without_such_words_is_the_same_object():
    row = {"messages": [{"role": "user", "content": MAIL}], "source": {"judgment": 1}}
    assert with_masked_words(row, str.upper) is row


def test_names_of_fields_and_numbers_stay():
    assert mask_within({"a": ["b", {"c": 1.5, "d": None}], "e": True}, str.upper) == {
        "a": ["B", {"c": 1.5, "d": None}],
        "e": True,
    }
