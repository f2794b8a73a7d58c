"""What was measured, in words: one table; what decides; and no plot of a single dot."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.urls import reverse

from training.metric_words import chosen_by, deciding, figures, text_of
from training.models import RunStatus, Stage
from training.views.charts import run_charts, undrawn

from .conftest import make_checkpoint


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("validation_kl_k3", 1.23456, "1.235"),
        ("gradient_norm", 0.000104218, "1.04e-4"),  # three decimals would say 0.000
        ("validation_loss", 2.0, "2.0000"),
        ("train_rows", 12345, "12,345"),
        ("learning_rate", 3e-05, "3.00e-5"),  # as the charts write it
        ("learning_rate", 0.002, "0.002"),
        ("learning_rate", 0.0, "0"),
        ("epoch", 1.99, "1.99"),
        ("never_heard_of", 1234567.0, "1,234,567"),
        ("validation_loss", None, "—"),
        ("never_heard_of", "a text", "a text"),
    ],
)
def test_figures_are_rounded_as_their_kind_asks(key, value, text):
    assert text_of(key, value) == text


def test_keys_have_words_and_unknown_ones_their_spaces():
    found = {each.key: str(each.label) for each in figures({"gradient_norm": 1.0, "never_heard_of": 2})}
    assert found == {"gradient_norm": "Gradient norm", "never_heard_of": "Never heard of"}


def test_all_that_was_measured_stands_in_the_order_of_the_table_and_unknown_things_last():
    measured = {"zeal": 1, "validation_loss": 2.0, "aloha": 3, "train_loss": 1.0, "loss": 1.5}
    assert [each.key for each in figures(measured)] == [
        "loss", "train_loss", "validation_loss", "aloha", "zeal",
    ]  # fmt: skip


def test_each_stage_shows_what_decides_between_its_checkpoints():
    measured = {"validation_reward": 1.5, "validation_kl": 0.25, "validation_accuracy": 0.7}
    assert [each.text for each in deciding(Stage.PPO, measured)] == ["1.500", "0.250"]
    assert [each.text for each in deciding(Stage.REWARD, measured)] == ["0.700"]
    assert [each.text for each in deciding(Stage.SFT, measured)] == ["—"]


def test_the_metric_that_chose_is_the_one_that_was_measured():
    chosen = {"best_metric": "validation_objective"}
    for measured, name in (
        ({"validation_objective": 1.0, "objective_mean": 2.0}, "validation_objective"),
        ({"objective_mean": 2.0}, "objective_mean"),  # PPO without held-out prompts
        ({}, "validation_objective"),
    ):
        assert chosen_by(chosen, [SimpleNamespace(metrics=measured)]) == name
    assert chosen_by({}, []) == ""


def test_one_dot_is_a_figure_and_a_line_is_a_plot(sft_run):
    sft_run.status = RunStatus.SUCCEEDED
    curves = {"distinct_2": {0: 0.5}, "train_loss": {1: 3.0, 2: 2.0}}
    assert [each["id"] for each in run_charts(sft_run, curves)] == ["plot-loss"]
    assert undrawn(sft_run, curves) == {"distinct_2": 0.5}
    sft_run.status = RunStatus.RUNNING  # what may still come is waited for
    assert [each["id"] for each in run_charts(sft_run, {})] == ["plot-loss", "plot-accuracy", "plot-rate"]


def test_the_pages_of_a_ppo_run_and_its_checkpoint_say_reward_and_kl(client, cast, data_dir):
    checkpoint = make_checkpoint(cast.project, stage="ppo")
    checkpoint.metrics = {"validation_reward": 1.5, "validation_kl": 0.25}
    checkpoint.save()
    client.force_login(cast.admin)
    run = client.get(reverse("training:run_detail", args=[cast.project.slug, checkpoint.run.number]))
    page = run.content.decode()
    assert 'title="validation_reward">Held-out reward</th>' in page
    assert '<td class="num">1.500</td><td class="num">0.250</td>' in page
    assert "Validation loss" not in page
    one = client.get(reverse("training:checkpoint_detail", args=[cast.project.slug, checkpoint.pk]))
    assert '<dt title="validation_kl">Held-out KL' in one.content.decode()
