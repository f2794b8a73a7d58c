"""A version as token ids: what SFT sees, written by a child process, read back by pyarrow."""

from __future__ import annotations

import json
import zipfile

import pyarrow.parquet as pq
import pytest

from annotate.errors import Invalid
from labeling.services import background, dataset_exports, datasets
from labeling.services.dataset_exports import prepare_export
from tests.factories import make_prompt
from tests.labeling.judgments import make_demonstration, make_ranking
from tests.labeling.test_dataset_freeze import make_version
from tests.training.conftest import make_letters_model
from training.rlhf.chat import ChatEncoder, load_tokenizer

pytestmark = pytest.mark.django_db


@pytest.fixture
def base_folder(data_dir):
    return make_letters_model(data_dir / "models" / "letters")


@pytest.fixture
def sft_version(cast, data_dir):
    for number in range(6):  # by their own words: who is on which side depends on them
        prompt = make_prompt(cast.project, f"What is {number}?")
        make_demonstration(cast.project, cast.annotator, f"It is {number}.", prompt=prompt)
    return make_version(cast, fractions={"train": 0.5, "validation": 0.5})


@pytest.fixture
def comparison_version(cast, data_dir):
    make_ranking(cast.project, cast.annotator)
    return make_version(cast, "comparison", "pairs")


def tokens(export, tmp_path):
    with zipfile.ZipFile(dataset_exports._path(export)) as archive:
        archive.extractall(tmp_path)
    [path] = (tmp_path / "data").glob("train-*.parquet")
    return pq.read_table(path).to_pylist()


def prepare_now(cast, version, options):
    return prepare_export(
        version=version, format="tokens", options=options, acting_user=cast.admin, in_background=False
    )


def test_labels_are_the_answer_and_its_end_and_nothing_else(cast, sft_version, base_folder, tmp_path):
    export = prepare_now(cast, sft_version, {"model": "letters"})
    assert export.status == "ready", export.error
    encoder = ChatEncoder(load_tokenizer(str(base_folder)))
    rows = tokens(export, tmp_path)
    expected = list(datasets.open_split(version=sft_version, split="train"))
    assert len(rows) == len(expected) == export.summary["written"] - sft_version.row_counts["validation"]
    for row, source in zip(rows, expected, strict=True):
        *prompt, answer = source["messages"]
        learnt = [label for label in row["labels"] if label != -100]
        assert encoder.decode(learnt) == answer["content"]
        assert learnt[-1] == encoder.stop_id
        assert row["input_ids"][-len(learnt) :] == learnt
        assert row["input_ids"][: -len(learnt)] == encoder.encode_prompt(prompt)
        assert row["attention_mask"] == [1] * len(row["labels"])


def test_long_rows_are_left_out_and_counted(cast, sft_version, base_folder):
    options = {"model": "letters", "maximum_length": 8}
    export = prepare_now(cast, sft_version, options)
    assert export.summary["written"] == 0
    assert export.summary["left_out"] == {"more tokens than allowed": sft_version.row_count}


def test_what_cannot_be_encoded_is_said(cast, sft_version, comparison_version, base_folder):
    for version, options, text in (
        (sft_version, {"model": "/etc"}, "neither in a folder"),
        (sft_version, {"model": "00000000-0000-0000-0000-000000000000"}, "no such checkpoint"),
        (sft_version, {"model": "letters", "maximum_length": True}, "from 8"),
        (sft_version, {"model": "letters", "x": 1}, "no option"),
        (comparison_version, {"model": "letters"}, "Only demonstrations"),
    ):
        with pytest.raises(Invalid, match=text):
            prepare_export(version=version, format="tokens", options=options, acting_user=cast.admin)
    (base_folder / "tokenizer.json").write_text("{}")
    export = prepare_now(cast, sft_version, {"model": "letters"})
    assert (export.status, "tokenizer" in export.error) == ("failed", True)
    assert str(base_folder.parent.parent) not in json.dumps(export.error)


def test_nobody_waits_for_the_tokenizer(client, cast, sft_version, base_folder, monkeypatch):
    """Starting its process takes ten seconds and more, however few rows there are."""
    monkeypatch.setattr(background, "PATIENCE_SECONDS", 3600)
    client.force_login(cast.admin)
    page = f"/projects/{cast.project.slug}/datasets/{sft_version.dataset_id}/versions/1/exports/"
    assert client.post(page, {"format": "tokens", "model": "letters"}, follow=True).status_code == 200
    export = sft_version.exports.get()
    assert (export.status, export.attempt) == ("waiting", 0)
    background.sweep()
    export.refresh_from_db()
    assert export.status == "ready", export.error


def test_the_form_offers_the_projects_tokenizers(client, cast, sft_version, base_folder, monkeypatch):
    monkeypatch.setattr(background, "PATIENCE_SECONDS", 3600)
    client.force_login(cast.admin)
    page = f"/projects/{cast.project.slug}/datasets/{sft_version.dataset_id}/versions/1/exports/"
    assert '<option value="letters">' in client.get(page).content.decode()
    client.post(page, {"format": "tokens", "model": "letters", "maximum_length": "64"})
    assert sft_version.exports.get().options["maximum_length"] == 64
