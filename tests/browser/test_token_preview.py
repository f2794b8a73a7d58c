"""Which tokens are learnt can be told without colour, on a phone and in the dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.urls import reverse

from tests.browser.test_accessibility import check
from tests.training.conftest import demonstration, make_letters_model, make_version

pytestmark = [pytest.mark.browser]


def test_learnt_tokens_are_underlined_and_the_page_breaks_no_rule(cast, open_as, settings):
    make_letters_model(Path(settings.DATA_DIR) / "models" / "letters")
    rows = [demonstration(number) for number in range(3)]
    rows.append({"messages": [{"role": "user", "content": "What? " * 60}, rows[0]["messages"][1]]})
    version = make_version(cast.project, "sft", {"train": rows})
    address = reverse("training:token_preview", args=[cast.project.slug])
    page = open_as(cast.admin, bypass_csp=True)
    page.goto(f"{address}?train_data={version.pk}")
    page.get_by_label("Or a base model").select_option("letters")
    page.get_by_role("button", name="Show the tokens").click()
    page.get_by_role("heading", name="Row 1").wait_for()
    decoration = "each => getComputedStyle(each).textDecorationLine"
    first = page.get_by_role("article", name="Row 1")
    assert first.locator("mark").first.evaluate(decoration) == "underline"
    assert first.locator(".tokens > .token").first.evaluate(decoration) == "none"
    assert "learnt" in page.get_by_role("list", name="Legend").inner_text()
    assert page.get_by_role("article", name="Row 4").get_by_text("Left out").is_visible()
    assert not check(page, page.url)
