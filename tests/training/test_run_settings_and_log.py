"""A run's settings, copied and as a file; its log, searched; a comparison that goes on drawing."""

from __future__ import annotations

import json
import re

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from tests.training.conftest import make_letters_model, make_sft_run
from training.models import RunStatus, TrainingRun
from training.services.event_log import append_event
from training.services.runs import create_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def shown(client, cast, data_dir):
    client.force_login(cast.admin)

    def get(name: str, *args, query: str = "", **headers) -> str:
        response = client.get(reverse(f"training:{name}", args=[cast.project.slug, *args]) + query, **headers)
        assert response.status_code == 200, response.content[:500]
        return response.content.decode()

    return get


@pytest.fixture
def reward_run(cast, comparison_version, checkpoint) -> TrainingRun:
    return create_run(
        project=cast.project,
        stage="reward",
        name="<b>Bold</b>",
        preset="tiny-demo",
        hyperparameters={"epochs": 7, "margin_scale": 0.5, "packing": False},
        inputs={"train_data": comparison_version, "model": checkpoint},
        acting_user=cast.admin,
    )


def posted(page: str) -> dict[str, str]:
    """What the form would send as it came: of inputs, boxes and selections."""
    form = page.split('<form class="form stack-l"')[1].split("</form>")[0]
    found = {}
    for tag in re.findall(r"<input [^>]*>", form):
        name, value = (re.search(rf' {key}="([^"]*)"', tag) for key in ("name", "value"))
        if name and ('type="checkbox"' not in tag or "checked" in tag):
            found[name[1]] = value[1] if value else "on" if "checkbox" in tag else ""
    for name, inside in re.findall(r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.S):
        chosen = re.search(r'<option value="([^"]*)" selected', inside)
        found[name] = chosen[1] if chosen else re.search(r'<option value="([^"]*)"', inside)[1]
    return found


def test_a_copied_form_as_it_stands_starts_a_run_with_the_same_settings(client, shown, cast, reward_run):
    page = shown("run_new", query=f"?stage=reward&from={reward_run.number}")
    assert f"Filled in from run {reward_run.number}" in page and "&lt;b&gt;Bold&lt;/b&gt;" in page
    address = reverse("training:run_new", args=[cast.project.slug]) + "?stage=reward"
    assert client.post(address, posted(page)).status_code == 302
    again = TrainingRun.objects.get(stage="reward", number=reward_run.number + 1)
    assert again.hyperparameters == reward_run.hyperparameters
    assert sources(again) == sources(reward_run)
    assert again.name == "" and again.preset == ""


def sources(run: TrainingRun) -> set:
    return set(run.inputs.values_list("role", "dataset_version", "checkpoint"))


def test_a_base_model_is_copied_by_its_name(shown, cast, sft_version, data_dir):
    folder = data_dir / "models" / "base"
    make_letters_model(folder)
    run = make_sft_run(cast, sft_version)
    assert run.base_model == str(folder)
    page = shown("run_new", query=f"?stage=sft&from={run.number}")
    assert posted(page)["base_model"] == "base"


@pytest.mark.parametrize("query", ["&from=99", "&from=²", "&from=x", "&from="])
def test_a_run_that_is_not_there_leaves_the_form_as_it_is(shown, cast, reward_run, query):
    assert "Filled in from run" not in shown("run_new", query="?stage=reward" + query)


def test_a_run_of_another_stage_or_project_is_not_copied(client, shown, cast, reward_run):
    assert "Filled in from run" not in shown("run_new", query=f"?stage=sft&from={reward_run.number}")
    client.force_login(cast.outsider)
    address = reverse("training:run_new", args=[cast.other_project.slug])
    page = client.get(f"{address}?stage=reward&from={reward_run.number}").content.decode()
    assert "Filled in from run" not in page


def test_the_page_of_a_run_leads_to_its_copy_and_its_settings(shown, reward_run):
    page = shown("run_detail", reward_run.number)
    assert f"?stage=reward&amp;from={reward_run.number}" in page
    assert f"runs/{reward_run.number}/settings/" in page


def test_settings_as_json_order_the_same_run_over_the_api(client, cast, reward_run, data_dir):
    client.force_login(cast.admin)
    address = reverse("training:run_settings", args=[cast.project.slug, reward_run.number])
    answer = client.get(address)
    name = f"{cast.project.slug}-run-{reward_run.number}.json"
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
    api = APIClient()
    api.force_authenticate(cast.admin)
    made = api.post(f"/api/projects/{cast.project.slug}/runs/", json.loads(answer.content), format="json")
    assert made.status_code == 201, made.content
    again = TrainingRun.objects.get(pk=made.json()["id"])
    assert again.hyperparameters == reward_run.hyperparameters and again.name == reward_run.name
    assert sources(again) == sources(reward_run)


def lines(page: str) -> list[str]:
    log = page.split('id="run-log-lines"')[1].split("</pre>")[0]
    return [re.sub(r"<[^>]+>", "", line) for line in re.findall(r"<div><time.*?</div>", log, re.S)]


def test_the_log_shows_the_lines_that_hold_a_word_in_any_case(shown, cast, sft_version):
    run = make_sft_run(cast, sft_version)
    for number in range(400):
        append_event(run.pk, type="log", data={"message": f"Line {number}: nothing"})
    append_event(run.pk, type="error", data={"message": "The DISK is full (100%_x)"})
    append_event(run.pk, type="metrics", step=1, data={"disk": 2.0, "message": "disk"})
    assert [line[8:] for line in lines(shown("run_detail", run.number, query="?log=disk"))] == [
        "error: The DISK is full (100%_x)"
    ]
    assert len(lines(shown("run_detail", run.number, query="?log=line+7:"))) == 1  # older than what is shown
    assert lines(shown("run_detail", run.number, query="?log=100%25_y")) == []
    assert len(lines(shown("run_detail", run.number, query="?log=100%25_x"))) == 1
    assert len(lines(shown("run_detail", run.number, query="?log=queued"))) == 1  # a state


def test_lines_that_come_are_not_added_to_a_search(shown, cast, sft_version):
    run = make_sft_run(cast, sft_version)
    assert "data-live-log" in shown("run_detail", run.number)
    page = shown("run_detail", run.number, query="?log=<i>&other=1")
    assert "data-live-log" not in page and "&lt;i&gt;" in page and "0 lines hold" in page


def two_runs(cast, sft_version, *statuses: str) -> str:
    runs = [make_sft_run(cast, sft_version) for _ in statuses]
    for run, status in zip(runs, statuses, strict=True):
        append_event(run.pk, type="metrics", step=1, data={"train_loss": 2.5})
        TrainingRun.objects.filter(pk=run.pk).update(status=status)
    return "?" + "&".join(f"run={run.number}" for run in runs)


def test_a_comparison_asks_again_while_a_run_goes_on_and_gets_the_plots_alone(shown, cast, sft_version):
    query = two_runs(cast, sft_version, RunStatus.QUEUED, RunStatus.SUCCEEDED)
    page = shown("run_compare", query=query)
    assert 'hx-trigger="every 5s"' in page and "compare-plots" not in page
    run = TrainingRun.objects.earliest("number")
    append_event(run.pk, type="metrics", step=2, data={"train_loss": 2.0})
    feed = shown("run_compare", query=query, HTTP_HX_REQUEST="true", HTTP_HX_TARGET="compare-feed")
    assert "<main" not in feed and 'hx-trigger="every 5s"' in feed
    plots = json.loads(re.search(r'id="compare-plots"[^>]*>(.*?)</script>', feed)[1])
    assert plots["plot-train_loss"]["x"] == [1, 2]
    assert plots["plot-train_loss"]["series"][0]["values"] == [2.5, 2.0]


def test_a_comparison_of_ended_runs_asks_no_more(shown, cast, sft_version):
    query = two_runs(cast, sft_version, RunStatus.FAILED, RunStatus.SUCCEEDED)
    assert "compare-feed" not in shown("run_compare", query=query)
    feed = shown("run_compare", query=query, HTTP_HX_REQUEST="true", HTTP_HX_TARGET="compare-feed")
    assert 'id="compare-feed"' in feed and "every" not in feed
