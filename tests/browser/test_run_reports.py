"""What evaluations and learning curves show: on a phone and in the dark too, with nothing out of reach."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import transaction
from django.urls import reverse
from playwright.sync_api import expect

from tests.browser.test_accessibility import check
from tests.browser.widths import reaching_over
from tests.training.conftest import comparison, demonstration, make_letters_model, make_sft_run, make_version
from tests.training.test_frontier import ppo_run
from tests.training.test_learning_curves import ended
from tests.training.test_reports import evaluation
from training.services.event_log import append_event
from training.services.learning_curves import create_learning_curve

pytestmark = [pytest.mark.browser]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture
def addresses(cast) -> dict[str, str]:
    rows = [demonstration(number) for number in range(24)]
    version = make_version(cast.project, "sft", {"train": rows[:20], "validation": rows[20:]})
    make_version(cast.project, "comparison", {"train": [comparison(1)]})
    first, second = (evaluation(cast, version, sure=sure) for sure in (1.0, 3.0))
    curve = create_learning_curve(
        project=cast.project,
        stage="sft",
        hyperparameters={},
        inputs={"train_data": version},
        base_model="base",
        acting_user=cast.admin,
    )
    ended(curve, (1.9, 1.8, 1.75))
    make_sft_run(cast, version)
    tuned, other = ppo_run(cast), ppo_run(cast, budget=12.0, best=10)
    compare = reverse("training:run_compare", args=[cast.project.slug])
    return {
        "report": reverse("training:run_detail", args=[cast.project.slug, first.number]),
        "side by side": f"{compare}?run={first.number}&run={second.number}",
        "learning curve": compare + "?" + "&".join(f"run={run.number}" for run in curve),
        "reward over KL": reverse("training:run_detail", args=[cast.project.slug, tuned.number]),
        "reward over KL of two": f"{compare}?run={tuned.number}&run={other.number}",
        "form": reverse("training:run_new", args=[cast.project.slug]) + "?stage=reward",
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_reports_break_no_rule_and_are_no_wider_than_the_page(cast, addresses, open_as, theme, viewport):
    page = open_as(cast.admin, bypass_csp=True, viewport=viewport, color_scheme=theme)
    for name, address in addresses.items():
        page.goto(address)
        if name != "form":
            page.locator(".chart canvas").first.wait_for()
        assert reaching_over(page) == [], name
        assert not check(page, page.url)


def test_a_comparison_goes_on_drawing_and_keeps_ones_place(cast, open_as):
    rows = [demonstration(number) for number in range(6)]
    version = make_version(cast.project, "sft", {"train": rows[:4], "validation": rows[4:]})
    first, second = (make_sft_run(cast, version) for _ in range(2))
    for run in (first, second):
        for step in (1, 2):
            told(run, step, 3.0 - step)
    page = open_as(cast.admin, viewport=DESK)
    compare = reverse("training:run_compare", args=[cast.project.slug])
    page.goto(f"{compare}?run={first.number}&run={second.number}")
    plot = page.locator("#plot-train_loss")
    plot.locator("canvas").wait_for()
    hidden, shown = plot.locator(".chart-legend button").all()
    hidden.click()
    plot.get_by_role("button", name="Table").click()
    told(first, 3, 0.25)
    told(second, 3, 0.125)
    expect(shown.locator("b")).to_have_text("0.125", timeout=12_000)
    assert plot.locator(".chart-legend button").first.get_attribute("aria-pressed") == "false"
    assert plot.locator(".chart-table tbody tr").count() == 3
    assert plot.locator("canvas").is_hidden()
    assert page.locator("#compare-plots").count() == 0


def told(run, step: int, loss: float) -> None:
    with transaction.atomic():
        append_event(run.pk, type="metrics", step=step, data={"train_loss": loss})


def test_what_fits_is_told_on_the_form_by_the_library_itself(cast, settings, open_as):
    make_letters_model(Path(settings.DATA_DIR) / "models" / "letters")
    page = open_as(cast.admin, bypass_csp=True, viewport=PHONE)
    page.goto(reverse("training:run_new", args=[cast.project.slug]) + "?stage=sft")
    page.locator("#id_base_model").select_option("letters")
    page.locator("#id_hp_batch_size").fill("48")
    page.get_by_role("button", name="Estimate").click()
    part = page.locator("#run-fit")
    expect(part).to_contain_text("MiB that are free here", timeout=90_000)
    expect(part).to_contain_text("48 rows")
    assert page.locator("#id_hp_batch_size").input_value() == "48"  # nothing that was filled in is lost
    assert reaching_over(page) == []
    assert not check(page, page.url)
