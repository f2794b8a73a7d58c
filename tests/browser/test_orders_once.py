"""A run's form in a real browser: a double click, and the way back through the history, order it once."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.training.conftest import demonstration, make_checkpoint, make_version
from training.models import TrainingRun

pytestmark = [pytest.mark.browser]


@pytest.fixture
def form(cast, open_as):
    make_version(cast.project, "sft", {"train": [demonstration(number) for number in range(4)]})
    make_checkpoint(cast.project, user=cast.admin)
    page = open_as(cast.admin)
    page.goto(reverse("training:run_new", args=[cast.project.slug]) + "?stage=sft")
    page.locator("[name=train_data]").select_option(index=1)
    page.locator("[name=model]").select_option(index=1)
    page.locator("[name=name]").fill("Mine")
    page.locator("[name=hp_batch_size]").fill("2")
    return page


def ordered() -> list[str]:
    return list(TrainingRun.objects.filter(status="queued").values_list("name", flat=True))


def test_a_double_click_orders_one_run(form):
    form.get_by_role("button", name="Start the run").dblclick()
    form.wait_for_url("**/runs/2/")
    assert ordered() == ["Mine"]


def test_back_and_sent_again_it_leads_to_the_run_and_a_new_form_orders_another(cast, form):
    form.get_by_role("button", name="Start the run").click()
    form.wait_for_url("**/runs/2/")
    form.go_back()
    form.wait_for_url("**/runs/new/**")
    assert form.locator("[name=name]").input_value() == "Mine"
    form.get_by_role("button", name="Start the run").click()
    form.wait_for_url("**/runs/2/")
    assert form.get_by_text("This page was sent before").count() == 1
    assert ordered() == ["Mine"]
    form.go_back()
    form.wait_for_url("**/runs/new/**")
    form.locator("[name=name]").fill("Another")
    form.get_by_role("button", name="Start the run").click()
    form.get_by_text("was sent before, with other settings").wait_for()
    form.get_by_role("button", name="Start the run").click()
    form.wait_for_url("**/runs/3/")
    assert sorted(ordered()) == ["Another", "Mine"]
