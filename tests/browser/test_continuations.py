"""Training anew or going on: the form and the report, on a phone and in the dark too, by keyboard."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.browser.test_accessibility import check
from tests.browser.test_run_reports import DESK, PHONE
from tests.browser.widths import reaching_over
from tests.training.conftest import make_sft_run
from tests.training.test_continuations import LOSSES, finish, make_versions, measured, order, succeed
from training.services.continuations import continuation_of

pytestmark = [pytest.mark.browser]


@pytest.fixture
def pair(cast):
    versions = make_versions(cast.project)
    start = succeed(make_sft_run(cast, versions["former"], hyperparameters={"batch_size": 4}))
    found = order(cast, start, versions, mix_ratio=0.5, learning_rate_multiplier=0.25)
    for run in (found.anew, found.onward):
        finish(run)
    measured(continuation_of(found.anew), LOSSES)
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_form_and_report_break_no_rule(cast, pair, open_as, theme, viewport):
    page = open_as(cast.admin, bypass_csp=True, viewport=viewport, color_scheme=theme)
    for name, address in {
        "form": reverse("training:continuation_new", args=[cast.project.slug]),
        "report": reverse("training:continuation", args=[cast.project.slug, pair.anew.number]),
        "checkpoints": reverse("training:checkpoints", args=[cast.project.slug]),
    }.items():
        page.goto(address)
        assert reaching_over(page) == [], name
        assert not check(page, page.url)
