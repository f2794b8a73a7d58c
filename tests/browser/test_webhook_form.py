"""The boxes of a webhook's events: one for all of a group, as axe finds it."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from labeling.models import Webhook
from tests.browser.axe import EVERYTHING, violations

pytestmark = [pytest.mark.browser]


def test_one_box_chooses_all_events_of_its_group(open_as, cast):
    Webhook.objects.create(
        project=cast.project, url="https://192.0.2.1/", events=["dataset.frozen"], secret_sealed=""
    )
    page = open_as(cast.admin, bypass_csp=True)
    page.goto(reverse("labeling:webhook", args=[cast.project.slug, Webhook.objects.get().pk]))
    group = page.get_by_role("group", name="Datasets", exact=True)
    everything = group.get_by_label("All: Datasets")
    assert everything.evaluate("(box) => [box.checked, box.indeterminate]") == [False, True]
    everything.check()
    expect(group.get_by_role("checkbox", checked=True)).to_have_count(3)
    group.get_by_label("A freeze failed").uncheck()
    expect(everything).not_to_be_checked()
    everything.check()
    everything.uncheck()
    expect(group.get_by_role("checkbox", checked=True)).to_have_count(0)
    everything.check()
    assert violations(page, EVERYTHING) == []
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert Webhook.objects.get().events == ["dataset.frozen", "dataset.freeze_failed"]
