"""A mask of personal data reaches all that people typed: answers to questions, reasons, comments."""

from __future__ import annotations

import orjson
import pytest

from labeling.formats import SPLITS
from labeling.models import Ranking, SpanNote
from labeling.services import datasets
from labeling.services.masked_rows import mask_within, with_masked_words, words_beside
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
