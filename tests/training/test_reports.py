"""What an evaluation tells in tables: on its page, between runs, over REST; and what it is broken down by."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from tests.factories import make_prompt
from tests.training.conftest import comparison, make_sft_run, make_version
from training.models import RunInput, Stage, TrainingRun
from training.rlhf.data import Ranking
from training.rlhf.reward_report import judged_pairs, report
from training.services.event_log import append_event
from training.services.preparation import Preparation, ranking_of

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
    append_event(run.pk, type="report", data={"name": "reward", "report": told()})
    answer = {"prompt": "Why?", "reference": "So.", "answer": "<i>Because</i>", "rouge_l": 0.25}
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
