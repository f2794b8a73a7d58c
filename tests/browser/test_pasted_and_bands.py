"""What only a browser can count: characters that were pasted. And curves with their intervals."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

FORM = """{% block heading %}Write{% endblock %}{% block content %}
<form id="work" method="post" action="/submit" data-autosave-url="/draft" data-draft-key="assignment:17"
 data-revision="0"><input type="hidden" name="active_seconds" value="0">
<input type="hidden" name="pasted_characters" value="3">
<label for="text">Answer</label><textarea id="text" name="text"></textarea>
<label for="source">Source</label><input id="source" data-no-autosave value="twelve chars">
<output class="save-status" data-save-status></output></form>
{% endblock %}{% block scripts %}
<script type="module" src="{% static 'js/autosave.js' %}"></script>{% endblock %}"""
CHART = (
    "{% block content %}{% chart 'trend' 'Agreement' data x_label='day' y_format='percent' %}{% endblock %}"
    """{% block scripts %}<script type="module" src="{% static 'js/charts.js' %}"></script>{% endblock %}"""
)
DATA = {
    "x": [1, 2, 3],
    "series": [
        {"name": "agreement", "values": [0.7, 0.75, 0.8], "low": [0.6, None, 0.7], "high": [0.8, None, 0.9]}
    ],
}


@pytest.fixture
def page(stage, browser):
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    yield stage.watch(context.new_page())
    context.close()


def test_pasted_characters_are_counted_and_typed_ones_are_not(stage, page):
    stage.show("/work", FORM)
    stage.answer["PUT /draft"] = lambda body: (200, {"revision": 1})
    page.goto(stage.url + "/work")
    page.wait_for_selector("[data-autosave-ready]")
    page.locator("#source").focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    page.locator("#text").focus()
    page.keyboard.press("Control+v")
    page.keyboard.type(" and typed")
    expect(page.locator("#text")).to_have_value("twelve chars and typed")
    expect(page.locator("[name=pasted_characters]")).to_have_value("15")  # three were there before
    expect(page.locator("[data-save-status]")).to_contain_text("Saved ", timeout=10_000)
    assert stage.bodies("PUT", "/draft")[-1]["fields"]["pasted_characters"] == "15"


def test_a_curve_has_its_interval_as_a_band_and_in_the_table(stage, page):
    stage.show("/chart", CHART, data=DATA)
    page.goto(stage.url + "/chart")
    expect(page.locator(".chart-plot canvas")).to_be_visible(timeout=10_000)
    expect(page.locator(".chart-legend li")).to_have_count(
        1
    )  # the ends of the band are no series of their own
    page.get_by_role("button", name="Table").click()
    cells = page.locator(".chart-table tbody td.num:last-child")
    expect(cells).to_have_text(["70 % (60 % to 80 %)", "75 %", "80 % (70 % to 90 %)"])
