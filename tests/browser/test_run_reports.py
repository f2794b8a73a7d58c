"""What evaluations and learning curves show: on a phone and in the dark too, with nothing out of reach."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.browser.test_accessibility import check
from tests.training.conftest import comparison, demonstration, make_sft_run, make_version
from tests.training.test_learning_curves import ended
from tests.training.test_reports import evaluation
from training.services.learning_curves import create_learning_curve

pytestmark = [pytest.mark.browser]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
WIDER_THAN_THE_PAGE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


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
    compare = reverse("training:run_compare", args=[cast.project.slug])
    return {
        "report": reverse("training:run_detail", args=[cast.project.slug, first.number]),
        "side by side": f"{compare}?run={first.number}&run={second.number}",
        "learning curve": compare + "?" + "&".join(f"run={run.number}" for run in curve),
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
        assert page.evaluate(WIDER_THAN_THE_PAGE) <= 0, name
        assert not check(page, page.url)
