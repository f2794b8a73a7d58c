"""What may not be trained on: all prompts that the file of an evaluation set named, for as long as a recipe
or an import says so."""

from __future__ import annotations

import io
import json

import pytest

from annotate.errors import Invalid
from labeling.formats import SPLITS
from labeling.models import DatasetVersionStatus, Preparation
from labeling.services import datasets, evaluation_sets, import_files, imports, preparations
from labeling.services.prepared_imports import start_prepared_import
from labeling.services.recipe_kinds import checked_recipe
from labeling.services.recipes import Recipe

from .test_dataset_freeze import make_version
from .test_dataset_pages import RECIPE, url

HELD_OUT = [f"Which is the {n}th question that is held out?" for n in range(4)]
OTHERS = [f"Something else, number {n}: what is it?" for n in range(3)]
OTHERS.append("Would you write to bob@example.org tomorrow?")


def lines(prompts, **more):
    return io.BytesIO(b"".join(json.dumps({"prompt": each, **more}).encode() + b"\n" for each in prompts))


def bring_in(cast, prompts, kind="prompts", name="eval.jsonl", **more):
    return imports.start_import(
        project=cast.project, kind=kind, file=lines(prompts, **more), filename=name, acting_user=cast.admin
    )


@pytest.fixture
def trained_on(cast):
    """The training file, which came first."""
    return bring_in(cast, [*HELD_OUT, *OTHERS], "demonstrations", "train.jsonl", completion="So it is.")


@pytest.fixture
def evaluation(cast, trained_on):
    return bring_in(cast, HELD_OUT)


@pytest.fixture
def version(cast, evaluation):
    return make_version(cast, fractions={"train": 1})


def ask(cast, subject, **more):
    preparation = preparations.ask_for_report(subject=subject, acting_user=cast.admin, **more)
    return {each["key"]: each for each in preparation.report["findings"]}


def apply(cast, version, finding="leakage", fix="drop_leaks", decision="apply"):
    return preparations.decide(
        subject=version, finding=finding, decision=decision, fix=fix, acting_user=cast.admin
    )


def prompts_of(version):
    rows = [row for split in SPLITS for row in datasets.open_split(version=version, split=split)]
    return {row["messages"][0]["content"] for row in rows}


def freeze(cast, dataset):
    version = datasets.freeze_dataset(dataset=dataset, acting_user=cast.admin, force=True)
    assert (version.status, version.error) == (DatasetVersionStatus.READY, "")
    return version


def test_prompts_that_were_there_already_belong_to_the_evaluation_set(cast, version, evaluation):
    assert (evaluation.rows_added, evaluation.rows_already_there) == (0, 4)
    assert ask(cast, version, evaluation=[evaluation.pk])["leakage"]["count"] == 4


def test_prompts_as_a_mask_left_them_belong_to_it_too(cast, trained_on):
    text = "Would you write to ada@example.org for me, and then say what it was about?"
    masked = start_prepared_import(
        project=cast.project, kind="prompts", file=lines([text]), filename="eval.jsonl",
        acting_user=cast.admin, fixes=["mask_personal_data"],
    )  # fmt: skip
    bring_in(
        cast, [text.replace("ada@example.org", "[email]")], "demonstrations", "b.jsonl", completion="No."
    )
    version = make_version(cast, fractions={"train": 1})
    assert ask(cast, version, evaluation=[masked.pk])["leakage"]["count"] == 1


def test_an_evaluation_set_is_never_cut_without_a_word(cast, version, evaluation, monkeypatch):
    monkeypatch.setattr(evaluation_sets, "MOST_EVALUATION", 3)
    with pytest.raises(Invalid) as caught:
        ask(cast, version, evaluation=[evaluation.pk])
    assert caught.value.field == "evaluation" and "3" in caught.value.message


def test_a_file_that_is_gone_is_said(cast, version, evaluation):
    import_files.path_of(evaluation).unlink()
    preparation = preparations.ask_for_report(
        subject=version, acting_user=cast.admin, evaluation=[evaluation.pk]
    )
    assert preparation.status == "failed" and "eval.jsonl" in preparation.error


def test_the_next_version_is_held_against_what_the_report_was(cast, version, evaluation):
    ask(cast, version, evaluation=[evaluation.pk])
    apply(cast, version)
    recipe = version.dataset.recipe
    assert recipe["filters"] == {"fixes": ["drop_leaks"], "evaluation": [evaluation.pk]}
    after = freeze(cast, version.dataset)
    assert prompts_of(after) == set(OTHERS)
    assert after.manifest["left_out"] == {"preparation: drop_leaks": 4}
    assert "leakage" not in ask(cast, after, evaluation=[evaluation.pk])
    again = freeze(cast, version.dataset)
    assert again.sha256 == after.sha256


def test_what_is_decided_later_keeps_the_evaluation_set(cast, version, evaluation):
    other = bring_in(cast, OTHERS[:1], name="other.jsonl")
    ask(cast, version, evaluation=[evaluation.pk])
    apply(cast, version)
    after = freeze(cast, version.dataset)
    found = ask(cast, after)
    fix = next(fix["key"] for each in found.values() for fix in each["fixes"])
    key = next(key for key, each in found.items() if each["fixes"])
    apply(cast, after, key, fix)
    assert after.dataset.recipe["filters"]["evaluation"] == [evaluation.pk]
    ask(cast, version, evaluation=[other.pk])
    apply(cast, version)
    assert version.dataset.recipe["filters"]["evaluation"] == [evaluation.pk, other.pk]
    apply(cast, version, decision="open", fix="")
    assert "evaluation" not in version.dataset.recipe["filters"]


def test_a_recipe_names_evaluation_sets_only_where_it_uses_them(cast, evaluation, trained_on):
    assert "evaluation" not in Recipe.from_json({"filters": {"fixes": ["drop_leaks"]}}).to_json()["filters"]
    filters = {"fixes": ["drop_leaks"], "evaluation": [evaluation.pk, evaluation.pk]}
    stored = checked_recipe(cast.project, "sft", {"filters": filters}).to_json()["filters"]
    assert stored == {"fixes": ["drop_leaks"], "evaluation": [evaluation.pk]}


@pytest.mark.parametrize(
    "filters",
    [
        {"evaluation": [1]},
        {"evaluation": ["1"], "fixes": ["drop_leaks"]},
        {"evaluation": [True], "fixes": ["drop_leaks"]},
        {"evaluation": 1, "fixes": ["drop_leaks"]},
        {"evaluation": [2**70], "fixes": ["drop_leaks"]},
        {"evaluation": [0], "fixes": ["drop_leaks"]},
    ],
)
def test_evaluation_sets_that_are_none_are_refused(cast, filters):
    with pytest.raises(Invalid) as caught:
        checked_recipe(cast.project, "sft", {"filters": filters})
    assert caught.value.field == "evaluation"


def test_an_upload_is_held_against_the_evaluation_sets_it_names(cast, evaluation):
    asked = {"project": cast.project, "kind": "demonstrations", "acting_user": cast.admin}
    with pytest.raises(Invalid) as caught:
        start_prepared_import(
            file=lines(HELD_OUT, completion="Again."), filename="new.jsonl", fixes=["drop_leaks"], **asked
        )
    assert caught.value.field == "evaluation"
    new = start_prepared_import(
        file=lines([*HELD_OUT, "A new one?"], completion="Again."), filename="new.jsonl",
        fixes=["drop_leaks"], evaluation=[evaluation.pk], **asked,
    )  # fmt: skip
    assert (new.rows_added, new.rows_left_out) == (1, 4)
    assert Preparation.objects.get(import_record=new).counts == {"drop_leaks": 4}


def test_the_api_takes_them_with_an_upload(cast, api_client_of, evaluation):
    body = {
        "kind": "demonstrations", "fixes": "drop_leaks", "evaluation": str(evaluation.pk),
        "file": lines([*HELD_OUT, "A new one?"], completion="Again."),
    }  # fmt: skip
    body["file"].name = "new.jsonl"
    answer = api_client_of(cast.admin).post(
        f"/api/projects/{cast.project.slug}/imports/", body, format="multipart"
    )
    assert (answer.status_code, answer.json()["rows_left_out"]) == (201, 4)


def test_the_form_shows_and_keeps_them(cast, admin, version, evaluation):
    ask(cast, version, evaluation=[evaluation.pk])
    apply(cast, version)
    page = admin.get(url(cast, f"{version.dataset.pk}/")).content.decode()
    assert "eval.jsonl" in page
    made = admin.post(
        url(cast, "new/"),
        {
            **RECIPE,
            "kind": "sft",
            "name": "by form",
            "fixes": ["drop_leaks"],
            "evaluation": [str(evaluation.pk)],
        },
    )
    assert made.status_code == 302
    recipe = cast.project.datasets.get(name="by form").recipe
    assert recipe["filters"] == {"fixes": ["drop_leaks"], "evaluation": [evaluation.pk]}
