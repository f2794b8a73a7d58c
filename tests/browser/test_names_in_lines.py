"""Names as people have them, long or written from right to left, and the lines and choices they stand in."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.widths import reaching_over
from tests.factories import make_demonstration_batch

pytestmark = [pytest.mark.browser]
# Where a piece of text is seen, from left to right.
PLACE = """(line, text) => {
  const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const at = walker.currentNode.data.indexOf(text);
    if (at < 0) continue;
    const range = document.createRange();
    range.setStart(walker.currentNode, at);
    range.setEnd(walker.currentNode, at + text.length);
    const {left, right} = range.getBoundingClientRect();
    return [left, right];
  }
}"""


def test_a_name_from_right_to_left_does_not_turn_the_time_beside_it_around(cast, open_as):
    cast.admin.display_name = "نور الهدى"
    cast.admin.save()
    make_demonstration_batch(cast.project, tasks=1)
    page = open_as(cast.lead)
    page.goto(f"/projects/{cast.project.slug}/")
    line = page.locator(".timeline .small", has_text="نور الهدى").first
    expect(line).to_be_visible()
    # So that a number stands beside the name, as it does from the second minute on.
    line.evaluate("line => { line.lastChild.data = ' · 2 minutes ago'; }")
    name, number, words = (line.evaluate(PLACE, each) for each in ("نور الهدى", "2", "minutes"))
    assert name[1] <= number[0] and number[1] <= words[0]


def test_a_long_name_to_choose_from_does_not_widen_the_page_of_pay(cast, open_as):
    cast.annotator.display_name = "Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh the Younger"
    cast.annotator.save()
    page = open_as(cast.admin, viewport={"width": 390, "height": 844})
    page.goto(f"/projects/{cast.project.slug}/pay/")
    expect(page.get_by_label("Person")).to_be_attached()
    assert reaching_over(page) == []
