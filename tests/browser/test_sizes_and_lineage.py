"""Tokens counted, a row followed to its source and back, a gap filled: by keyboard, also on a phone."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from labeling.services.datasets import create_dataset, freeze_dataset
from labeling.services.imports import confirm_import, run_import, upload_file
from tests.browser.axe import violations
from tests.browser.widths import reaching_over
from tests.training.conftest import make_letters_model

pytestmark = [pytest.mark.browser]


@pytest.fixture
def version(cast, settings):
    model = make_letters_model(Path(settings.DATA_DIR) / "models" / "letters")
    rows = [("tea", n) for n in range(30)] + [("law", n) for n in range(2)]
    lines = "".join(
        json.dumps(
            {
                "prompt": f"About {category}, number {n}?",
                "completion": "y" * (10 * n + 5),
                "category": category,
            }
        )
        + "\n"
        for category, n in rows
    )
    record = upload_file(
        project=cast.project, kind="demonstrations", file=io.BytesIO(lines.encode()), filename="asked.jsonl",
        acting_user=cast.admin, licence="CC BY 4.0",
    )  # fmt: skip
    confirm_import(import_record=record, acting_user=cast.admin)
    run_import(import_record=record)
    recipe = {"fractions": {"train": 1.0}}
    dataset = create_dataset(
        project=cast.project, kind="sft", name="Asked", recipe=recipe, acting_user=cast.admin
    )
    yield freeze_dataset(dataset=dataset, acting_user=cast.admin)
    shutil.rmtree(model)  # the data folder is the whole session's


def tab_to(page: Page, where: str) -> None:
    """Go on with Tab until something within `where` has the focus."""
    for _ in range(150):
        page.keyboard.press("Tab")
        if page.evaluate("where => document.activeElement.matches(where)", where):
            return
    raise AssertionError(f"Tab never comes to {where}")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_everything_is_reached_by_keyboard(cast, open_as, version, width, scheme):
    viewport = {"width": width, "height": 900}
    page = open_as(cast.admin, viewport=viewport, bypass_csp=True, color_scheme=scheme)
    address = f"/projects/{cast.project.slug}/datasets/{version.dataset_id}/versions/1/"

    def looked_at() -> None:
        page.evaluate("() => window.scrollTo(0, 0)")  # a button half under the top bar is a small target
        assert not violations(page)
        assert reaching_over(page) == []

    # 1. Count the tokens of the version.
    page.goto(address)
    tab_to(page, "#sizes-model")
    page.keyboard.press("l")
    expect(page.locator("#sizes-model")).to_have_value("letters")
    tab_to(page, "#sizes button")
    page.keyboard.press("Enter")
    expect(page.locator("#sizes table")).to_be_visible(timeout=120_000)
    expect(page.locator("#sizes")).to_contain_text("There is no former run of this stage yet")
    looked_at()
    # 2. Open a row, follow it to its source, and come back to it.
    tab_to(page, "#rows details:nth-of-type(2) summary")
    page.keyboard.press("Enter")
    tab_to(page, "#rows details[open] a[href$='/lineage/']")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Where it comes from")).to_be_visible()
    expect(page.locator("main")).to_contain_text("CC BY 4.0")
    looked_at()
    tab_to(page, "a[href*='?row=']")
    page.keyboard.press("Enter")
    expect(page.locator("#rows details[open]")).to_have_count(1)
    # 3. Look through its rows by the same tokenizer, and have a gap filled.
    page.goto(f"{address}preparation/")
    tab_to(page, "#tokenizer")
    page.keyboard.press("l")
    tab_to(page, "form.card-body button")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Rows were held against 128 tokens of letters.")).to_be_visible(timeout=60_000)
    expect(page.locator("#over_long")).to_be_visible()
    looked_at()
    tab_to(page, "a[href*='category=law']")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Category of prompts")).to_have_value("law")
    expect(page.get_by_label("Who answers writes the prompt too")).to_be_checked()
    looked_at()
