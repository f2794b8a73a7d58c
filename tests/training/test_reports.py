"""What an evaluation tells in tables: on its page, between runs, over REST; and what it is broken down by."""

from __future__ import annotations

import json

import pytest
from django.db import transaction
from django.urls import reverse
from rest_framework.test import APIClient

from tests.factories import make_prompt
from tests.training.conftest import comparison, demonstration, make_checkpoint, make_sft_run, make_version
from training.models import RunInput, Stage, TrainingRun
from training.rlhf.data import Ranking
from training.rlhf.reward_report import judged_pairs, report
from training.services.event_log import append_event
from training.services.preparation import Preparation
from training.services.rankings import ranking_of
from training.services.runs import create_run
from training.views.report_tables import models_by_held_out_set

pytestmark = pytest.mark.django_db


def told(sure: float = 1.0) -> dict:
    """Of 12 prompts that two people ranked; the model is wrong on every third."""
    rows, pairs = [], []
    for number in range(12):
        for who in ("quiet-otter", "<b>loud</b>-heron"):
            prompt = [{"role": "user", "content": f"Question {number}?"}]
            row = Ranking(prompt, ["a", "b"], [1, 2], number, margins=[1.0], annotator=who, category="sums")
            rows.append(row)
            pairs += judged_pairs(row, [0, 1], [sure if number % 3 else -sure, 0.0], [4, 9])
    return report(pairs, rows)


def evaluation(cast, sft_version, **more) -> TrainingRun:
    run = make_sft_run(cast, sft_version)
    answer = {"prompt": "Why?", "reference": "So.", "answer": "<i>Because</i>", "rouge_l": 0.25}
    with transaction.atomic():
        append_event(run.pk, type="report", data={"name": "reward", "report": told()})
        append_event(run.pk, type="report", data={"name": "answers", "report": {"rows": [answer]}})
        append_event(run.pk, type="report", data={"name": "reward", "report": told(**more)})
    return run


def test_the_page_shows_accuracy_by_cut_calibration_and_the_ceiling(client, cast, sft_version):
    client.force_login(cast.admin)
    run = evaluation(cast, sft_version)
    page = client.get(reverse("training:run_detail", args=[cast.project.slug, run.number])).content.decode()
    for words in (
        "66.7 %",
        "24 pairs on 12 prompts",
        "Two people agree",
        "less than half as long",
        "quiet-otter",
    ):
        assert words.replace(" %", "") in page.replace("\u202f", " ").replace("\xa0", " "), words
    assert "&lt;b&gt;loud&lt;/b&gt;-heron" in page and "<b>loud" not in page
    assert "plot-calibration-data" in page
    assert "&lt;i&gt;Because&lt;/i&gt;" in page and "Answers beside references" in page


def test_two_evaluations_stand_side_by_side(client, cast, sft_version):
    client.force_login(cast.admin)
    runs = [evaluation(cast, sft_version), evaluation(cast, sft_version, sure=3.0)]
    query = "&".join(f"run={run.number}" for run in runs)
    page = client.get(
        reverse("training:run_compare", args=[cast.project.slug]) + f"?{query}"
    ).content.decode()
    assert "Reward models side by side" in page
    assert page.count("(") > 10 and "significantly" in page
    alone = client.get(reverse("training:run_compare", args=[cast.project.slug]) + f"?run={runs[0].number}")
    assert "side by side" not in alone.content.decode()


def test_the_newest_report_is_in_the_api(cast, sft_version):
    run = evaluation(cast, sft_version, sure=3.0)
    client = APIClient()
    client.force_authenticate(cast.admin)
    found = client.get(f"/api/projects/{cast.project.slug}/runs/{run.pk}/").json()["reports"]["reward"]
    assert found == json.loads(json.dumps(told(sure=3.0)))


def test_an_evaluation_reads_who_judged_and_the_category(cast, data_dir):
    prompt = make_prompt(cast.project, category="sums")
    row = comparison(1) | {"prompt_id": str(prompt.pk), "source": {"annotator": "quiet-otter"}}
    row |= {"margins": [1.0, None]}
    version = make_version(cast.project, "comparison", {"test": [row, comparison(2)]})
    run = TrainingRun.objects.create(project=cast.project, number=1, stage=Stage.EVALUATE)
    RunInput.objects.create(run=run, role="train_data", dataset_version=version)
    preparation = Preparation(run, report=lambda message: None, beat=lambda: None)
    preparation.models["reward_model"] = ["somewhere"]
    preparation.prepare()
    lines = (preparation.folder / "inputs" / "comparisons.jsonl").read_text().splitlines()
    first, second = map(json.loads, lines)
    assert (first["annotator"], first["category"], first["margins"]) == ("quiet-otter", "sums", [1.0, None])
    assert (second["annotator"], second["category"]) == ("", "")


def test_margins_of_a_ranking_stay_with_their_places_when_a_completion_is_empty():
    row = comparison(1) | {"margins": [1.0, 1 / 3]}
    assert ranking_of(row)["margins"] == [1.0, 1 / 3]
    row["completions"][1]["text"] = " "  # the second of three
    assert (ranking_of(row)["ranks"], ranking_of(row)["margins"]) == ([1, 3], [1.0, 1 / 3])
    row["completions"][1]["text"], row["completions"][2]["text"] = "b", ""  # the last one
    assert (ranking_of(row)["ranks"], ranking_of(row)["margins"]) == ([1, 2], [1.0])


def test_former_data_is_mixed_in_from_a_version(cast, data_dir, sft_version):
    former = make_version(
        cast.project, "sft", {"train": [demonstration(n) for n in range(50, 53)]}, name="old"
    )
    inputs = {"train_data": sft_version, "mix_data": former}
    run = create_run(
        project=cast.project,
        stage="sft",
        hyperparameters={},
        inputs=inputs,
        base_model="base",
        acting_user=cast.admin,
    )
    preparation = Preparation(run, report=lambda message: None, beat=lambda: None)
    preparation.prepare()
    lines = (preparation.folder / "inputs" / "mix.jsonl").read_text().splitlines()
    assert len(lines) == 3 and preparation.config["mix_file"].endswith("mix.jsonl")


def test_models_stand_side_by_side_on_the_same_held_out_sets(client, cast, data_dir):
    """The one that went on is better on new data and has forgotten some of the former."""
    client.force_login(cast.admin)
    rows = [demonstration(number) for number in range(4)]
    sets = {name: make_version(cast.project, "sft", {"test": rows}, name=name) for name in ("former", "new")}
    models = {name: make_checkpoint(cast.project) for name in ("anew", "went on")}
    losses = {
        ("anew", "former"): 1.0,
        ("anew", "new"): 2.0,
        ("went on", "former"): 1.25,
        ("went on", "new"): 1.5,
    }
    runs = []
    for number, ((model, held_out), loss) in enumerate(losses.items(), start=900):
        run = TrainingRun.objects.create(
            project=cast.project, number=number, stage=Stage.EVALUATE, metrics={"loss": loss, "rouge_l": 0.5}
        )
        RunInput.objects.create(run=run, role="model", checkpoint=models[model])
        RunInput.objects.create(run=run, role="demonstrations", dataset_version=sets[held_out])
        runs.append(run)
    found = models_by_held_out_set(runs)
    assert found["models"] == [models["anew"], models["went on"]]
    table = {(row["set"], str(row["label"])): row["cells"] for row in found["rows"]}
    assert table["former v1", "Loss"][1] == {"value": 1.25, "change": 0.25, "is_better": False}
    assert table["new v1", "Loss"][1] == {"value": 1.5, "change": -0.5, "is_better": True}
    query = "&".join(f"run={run.number}" for run in runs)
    page = client.get(
        reverse("training:run_compare", args=[cast.project.slug]) + f"?{query}"
    ).content.decode()
    assert "Models on the same held-out data" in page and page.count("worse</span>") == 1
    assert models_by_held_out_set(runs[:1]) is None
