"""From an upload's preview through the report to the import, in a real browser."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from labeling.models import Demonstration
from tests.browser.axe import violations
from tests.browser.widths import reaching_over

pytestmark = [pytest.mark.browser]
LONG = "please tell me in a few words how a steam engine turns heat into work, number {n}"
ROWS = [
    *(
        {"prompt": "What is a fjord?", "completion": "An arm of the sea.", "category": "places"}
        for _ in range(3)
    ),
    {"prompt": "Whom do I ask?", "completion": "Write to ada@example.org.", "category": "people"},
    {"prompt": "And then?", "completion": "<|endoftext|>", "category": "people"},
    *(
        {"prompt": LONG.format(n=n), "completion": f"It boils water. {n}", "category": "steam"}
        for n in range(12)
    ),
]


@pytest.mark.parametrize("width", [1280, 390])
def test_a_fix_is_applied_before_anything_is_stored(cast, open_as, tmp_path, width):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    page = open_as(cast.admin, viewport={"width": width, "height": 900}, bypass_csp=True)
    page.goto(f"/projects/{cast.project.slug}/imports/new/")
    page.get_by_label("Demonstrations").check()
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("button", name="Look through all rows first").click()
    card = page.locator("#exact_duplicates")
    expect(card).to_contain_text("Rows that are there already")
    card.get_by_role("button", name="Keep the first of each").click()
    expect(card.get_by_role("button", name="Keep the first of each")).to_have_attribute(
        "aria-pressed", "true"
    )
    page.locator("#few_rows, #too_few_rows").get_by_role("button", name="Ignore").click()
    expect(page.get_by_role("button", name="Ignored: open again")).to_be_visible()
    page.evaluate("() => window.scrollTo(0, 0)")  # a button half under the top bar is a small target
    assert not violations(page)
    assert reaching_over(page) == []
    page.get_by_role("link", name="Back to the import").click()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Keep the first of each: 2 rows")).to_be_visible()
    assert Demonstration.objects.count() == len(ROWS) - 2
