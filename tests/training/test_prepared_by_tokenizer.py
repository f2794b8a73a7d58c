"""A preparation measured by the tokenizer of a model that is chosen on the page, and the fix that follows."""

from __future__ import annotations

import io
import json

import pytest

from annotate.errors import Invalid
from labeling.formats import SPLITS
from labeling.services import datasets, preparations, token_counts
from labeling.services.imports import upload_file
from labeling.services.preparation_rows import options_for
from tests.factories import make_prompt
from tests.labeling.judgments import make_demonstration
from tests.labeling.test_dataset_freeze import make_version
from tests.training.conftest import make_letters_model

pytestmark = pytest.mark.django_db


@pytest.fixture
def letters(data_dir):
    """A tokenizer whose tokens are bytes, of a model that reads 128 of them."""
    token_counts._found.clear()
    return make_letters_model(data_dir / "models" / "letters")


@pytest.fixture
def version(cast, data_dir):
    for number, length in enumerate((20, 100, 200)):
        prompt = make_prompt(cast.project, f"Question {number}?")
        make_demonstration(cast.project, cast.annotator, "y" * length, prompt=prompt)
    return make_version(cast, fractions={"train": 1.0})


def over_long(preparation):
    found = [each for each in preparation.report["findings"] if each["key"] == "over_long"]
    return (found[0]["count"], found[0]["values"]) if found else None


def test_rows_are_held_against_the_chosen_models_context(cast, version, letters):
    by_estimate = preparations.ask_for_report(subject=version, acting_user=cast.admin)
    assert (by_estimate.options["context"], over_long(by_estimate)) == (2048, None)
    by_model = preparations.ask_for_report(subject=version, acting_user=cast.admin, tokenizer="letters")
    assert by_model.options["context"] == 128
    # 11 bytes of question, a line break, 200 of the answer; the next is 112.
    assert over_long(by_model) == (1, {"context": 128, "longest": 212})
    typed = preparations.ask_for_report(
        subject=version, acting_user=cast.admin, tokenizer="letters", context=111
    )
    assert over_long(typed) == (2, {"context": 111, "longest": 212})


def test_its_fix_freezes_the_next_version_by_the_same_tokenizer(cast, version, letters):
    preparations.ask_for_report(subject=version, acting_user=cast.admin, tokenizer="letters")
    preparations.decide(
        subject=version, finding="over_long", decision="apply", fix="drop_over_long", acting_user=cast.admin
    )
    dataset = version.dataset
    dataset.refresh_from_db()
    assert dataset.recipe["filters"] == {"context": 128, "fixes": ["drop_over_long"], "tokenizer": "letters"}
    following = datasets.freeze_dataset(dataset=dataset, acting_user=cast.admin)
    rows = [row for split in SPLITS for row in datasets.open_split(version=following, split=split)]
    assert sorted(len(row["messages"][-1]["content"]) for row in rows) == [20, 100]
    assert following.manifest["left_out"] == {"preparation: drop_over_long": 1}
    (letters / "tokenizer.json").unlink()
    gone = datasets.freeze_dataset(dataset=dataset, acting_user=cast.admin)
    assert (gone.status, "tokenizer.json" in gone.error) == ("failed", True), gone.error


def test_classes_of_several_tokens_are_told_by_it(cast, data_dir, letters):
    rows = [{"prompt": f"Text {n}", "completion": ("a" if n % 2 else "bad")} for n in range(20)]
    file = io.BytesIO("".join(json.dumps(row) + "\n" for row in rows).encode())
    record = upload_file(
        project=cast.project,
        kind="demonstrations",
        file=file,
        filename="classes.jsonl",
        acting_user=cast.admin,
    )
    assert "class_tokens" not in str(
        preparations.ask_for_report(subject=record, acting_user=cast.admin).report
    )
    report = preparations.ask_for_report(subject=record, acting_user=cast.admin, tokenizer="letters").report
    [found] = [each for each in report["findings"] if each["key"] == "class_tokens"]
    assert found["values"] == {"classes": {"bad": 10}}


def test_a_tokenizer_that_is_not_there_is_refused(cast, version, letters):
    with pytest.raises(Invalid):
        preparations.ask_for_report(subject=version, acting_user=cast.admin, tokenizer="/etc")
    (letters / "tokenizer.json").write_text("{")
    with pytest.raises(Invalid, match="cannot be read"):
        options_for(cast.project, tokenizer="letters")


def test_it_is_chosen_on_the_page_and_by_the_api(client, cast, version, letters):
    client.force_login(cast.admin)
    slug = cast.project.slug
    page = f"/projects/{slug}/datasets/{version.dataset_id}/versions/1/preparation/"
    assert '<option value="letters">' in client.get(page).content.decode()
    client.post(page, {"tokenizer": "letters", "context": ""})
    shown = client.get(page).content.decode()
    assert "Rows were held against 128 tokens of letters." in shown
    assert '<option value="letters" selected>' in shown
    assert 'name="context" value=""' in shown  # it follows the next choice
    client.post(page, {"tokenizer": "letters", "context": "64"})
    assert 'name="context" value="64"' in client.get(page).content.decode()
    assert client.post(page, {"tokenizer": "letters", "context": "x"}).status_code == 422
    answer = client.post(f"/api{page}", {"tokenizer": "letters"}, content_type="application/json").json()
    assert (answer["options"]["context"], answer["options"]["tokenizer"]) == (128, "letters")
