"""Runs on 25, 50 and 100 % of the data, and the page that says whether more would help."""

from __future__ import annotations

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from annotate.errors import Invalid
from tests.training.conftest import demonstration, make_sft_run, make_version
from training.models import Checkpoint, FollowUpStatus, RunStatus, TrainingRun
from training.services.follow_ups import finish_follow_up
from training.services.learning_curves import create_learning_curve, learning_curve, measure

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(cast, data_dir):
    rows = [demonstration(number) for number in range(24)]
    return make_version(cast.project, "sft", {"train": rows[:20], "validation": rows[20:]}, name="many")


def ended(runs: list[TrainingRun], losses: tuple[float, ...]) -> list[TrainingRun]:
    for run, rows, loss in zip(runs, (250, 500, 1000), losses, strict=True):
        run.metrics = {"train_rows": rows, "validation_loss": loss}
        run.save(update_fields=["metrics"])
    return runs


@pytest.fixture
def curve(cast, version) -> list[TrainingRun]:
    return create_learning_curve(
        project=cast.project, stage="sft", hyperparameters={}, inputs={"train_data": version},
        base_model="base", acting_user=cast.admin, follow_up={"sample": {"prompts_version": version.pk}},
    )  # fmt: skip


def test_three_runs_differ_in_their_share_alone(curve):
    """Also where the smallest share could not fill the batch: all take what it can."""
    assert [run.hyperparameters["train_share"] for run in curve] == [0.25, 0.5, 1.0]
    assert {run.hyperparameters["batch_size"] for run in curve} == {2}
    assert [bool(run.follow_up) for run in curve] == [False, False, True]
    assert curve[0].name == "SFT 25%"


def test_what_more_data_would_bring_by_hand(curve):
    """2.0, 1.8, 1.6 at every doubling: 1,000 more on 1,000 is one doubling, 0.2 of 1.6."""
    found = learning_curve(ended(curve, (2.0, 1.8, 1.6)))
    assert found["points"] == [(250, 2.0), (500, 1.8), (1000, 1.6)]
    assert found["gain"] == pytest.approx(0.2 / 1.6) and not found["is_enough"]
    assert found["line"][0] == (250, pytest.approx(2.0)) and found["line"][-1] == (2000, pytest.approx(1.4))


def with_best(run: TrainingRun, loss: float) -> Checkpoint:
    """A succeeded run whose best checkpoint was better than its last evaluation."""
    TrainingRun.objects.filter(pk=run.pk).update(
        status=RunStatus.SUCCEEDED, follow_up_status=FollowUpStatus.WAITING if run.follow_up else ""
    )
    run.refresh_from_db()
    return Checkpoint.objects.create(
        run=run, project=run.project, kind="causal_lm", step=5, is_best=True,
        metrics={"validation_loss": loss}, directory=f"checkpoints/{run.pk}", manifest_sha256="0" * 64,
    )  # fmt: skip


def test_each_run_is_judged_by_its_best_checkpoint_not_by_its_last_evaluation(curve):
    ended(curve, (9.0, 9.0, 9.0))
    for run, loss in zip(curve, (2.0, 1.8, 1.6), strict=True):
        with_best(run, loss)
    found = learning_curve(curve)
    assert [value for _, value in found["points"]] == [2.0, 1.8, 1.6] and not found["is_tested"]


@pytest.fixture
def tested_curve(cast, data_dir) -> list[TrainingRun]:
    rows = [demonstration(number) for number in range(28)]
    splits = {"train": rows[:20], "validation": rows[20:24], "test": rows[24:]}
    return create_learning_curve(
        project=cast.project, stage="sft", hyperparameters={}, base_model="base", acting_user=cast.admin,
        inputs={"train_data": make_version(cast.project, "sft", splits, name="with test")},
    )  # fmt: skip


def test_where_there_is_a_test_split_the_best_checkpoints_are_measured_on_it(client, cast, tested_curve):
    """Validation chose them, so the curve is of rows that chose nothing; and only once all are measured."""
    ended(tested_curve, (2.0, 1.8, 1.6))
    for run in tested_curve:
        with_best(run, 1.0)
        assert finish_follow_up(run_id=run.pk)
        assert measure(run) == measure(run)  # done again, it makes no other
    evaluations = list(cast.project.runs.filter(stage="evaluate").order_by("number"))
    assert len(evaluations) == 3
    for number, (run, loss) in enumerate(zip(evaluations, (3.0, 2.7, 2.4), strict=True)):
        assert learning_curve(tested_curve)["is_tested"] is False, number
        run.metrics, run.status = {"loss": loss}, RunStatus.SUCCEEDED
        run.save()
    found = learning_curve(tested_curve)
    assert found["is_tested"] and [value for _, value in found["points"]] == [3.0, 2.7, 2.4]
    client.force_login(cast.admin)
    query = "&".join(f"run={run.number}" for run in tested_curve)
    page = client.get(f"{reverse('training:run_compare', args=[cast.project.slug])}?{query}").content.decode()
    assert "measured on the test split" in page


def test_runs_that_differ_in_more_are_no_curve(cast, curve, version):
    ended(curve, (2.0, 1.8, 1.6))
    other = make_sft_run(cast, version, hyperparameters={"epochs": 9, "train_share": 0.3, "batch_size": 2})
    assert learning_curve([curve[0], other]) is None
    assert learning_curve([curve[0], curve[0]]) is None
    curve[0].metrics = {}
    assert learning_curve(curve[:2]) is None


def test_the_comparison_says_whether_to_go_on_collecting(client, cast, curve):
    client.force_login(cast.admin)
    address = reverse("training:run_compare", args=[cast.project.slug])
    query = "&".join(f"run={run.number}" for run in curve)
    assert "Would more data help" not in client.get(f"{address}?{query}").content.decode()
    ended(curve, (2.0, 1.8, 1.6))
    assert "Collecting more is worth it" in client.get(f"{address}?{query}").content.decode()
    ended(curve, (1.604, 1.602, 1.6))
    assert "hardly worth collecting" in client.get(f"{address}?{query}").content.decode()


def test_form_and_api_order_the_three(client, cast, version, checkpoint):
    client.force_login(cast.admin)
    address = reverse("training:run_new", args=[cast.project.slug]) + "?stage=sft"
    assert 'name="learning_curve"' in client.get(address).content.decode()
    data = {"train_data": version.pk, "model": str(checkpoint.pk), "learning_curve": "on", "hp_epochs": "1"}
    data |= {"after_completions": "4", "after_temperature": "1.0", "after_split": "train"}
    response = client.post(address, data)
    assert response.status_code == 302 and response["Location"].count("run=") == 3
    api = APIClient()
    api.force_authenticate(cast.admin)
    body = {"stage": "sft", "inputs": {"train_data": "many@v1"}, "base_model": "base", "learning_curve": True}
    answer = api.post(f"/api/projects/{cast.project.slug}/runs/", body, format="json")
    assert answer.status_code == 201 and answer.json()["hyperparameters"]["train_share"] == 1.0
    assert TrainingRun.objects.filter(stage="sft", status="queued").count() == 6


@pytest.mark.parametrize(
    ("stage", "values", "field"),
    [("ppo", {}, "learning_curve"), ("sft", {"train_share": 0.5}, "train_share")],
)
def test_what_is_no_curve_is_refused_with_what_to_do(cast, stage, values, field):
    with pytest.raises(Invalid) as refused:
        create_learning_curve(
            project=cast.project, stage=stage, hyperparameters=values, inputs={}, acting_user=cast.admin
        )
    assert refused.value.field == field and refused.value.hint
