"""Where the focus is after a page or a part of it came, what a toast leaves free, how a gap is said."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from labeling.models import Layout, Submission
from tests.browser.axe import EVERYTHING, violations
from tests.browser.stage import Stage
from tests.factories import make_demonstration_batch, make_ranking_batch

SIZES = [{"width": 390, "height": 844}, {"width": 1280, "height": 800}]
PAGE = """{% block heading %}Page{% endblock %}{% block content %}
<form id="form" hx-post="/part" hx-target="#part" hx-disabled-elt="find button" hx-trigger="submit, change">
<div id="part">PART</div><button class="btn" type="submit" data-shortcut="mod+enter">Go</button></form>
{% endblock %}"""
PART = """<fieldset><legend>Strength</legend>
<label><input type="radio" name="strength" value="a">A</label>
<label><input type="radio" name="strength" value="b"{}>B</label>
<label><input type="radio" name="strength" value="c">C</label></fieldset>"""
COVERED = """() => {
  const box = (node) => node.getBoundingClientRect(), toast = box(document.getElementById("toasts"));
  const active = document.activeElement, labels = active.labels || [];
  const spared = [active, ...labels, ...document.querySelectorAll("[data-shortcut='mod+enter']")];
  return spared.map((node) => [node, box(node)]).filter(([node, each]) => node !== document.body
    && each.bottom > toast.top && each.top < toast.bottom
    && each.right > toast.left && each.left < toast.right)
    .map(([node]) => node.outerHTML.slice(0, 80));
}"""
SAY = """(level) => document.dispatchEvent(
  new CustomEvent("app:toast", { detail: { message: "Said. ".repeat(20), level } }))"""


@pytest.fixture
def stage():
    stage = Stage()
    stage.show("/page", PAGE.replace("PART", PART.format("")))
    stage.answer["POST /part"] = lambda body: (200, PART.format(" checked"))
    yield stage
    stage.close()
    assert not stage.complaints


def start(page, cast) -> None:
    page.goto(f"/projects/{cast.project.slug}/work/")
    page.keyboard.press("n")
    page.wait_for_url("**/work/*/")


def test_the_chosen_radio_keeps_the_focus_when_its_group_comes_anew(stage, browser):
    context = browser.new_context()
    page = stage.watch(context.new_page())
    page.goto(stage.url + "/page")
    page.get_by_label("B", exact=True).focus()
    page.keyboard.press("Space")
    expect(page.locator("[name=strength]:checked")).to_have_value("b")
    expect(page.get_by_label("B", exact=True)).to_be_focused()
    context.close()


def test_a_button_that_was_off_while_it_asked_has_the_focus_again(stage, browser):
    context = browser.new_context()
    page = stage.watch(context.new_page())
    page.goto(stage.url + "/page")
    stage.answer["POST /part"] = lambda body: (503, "busy")
    page.get_by_role("button", name="Go").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_be_visible()
    expect(page.get_by_role("button", name="Go")).to_be_focused()
    context.close()


@pytest.mark.slow
@pytest.mark.parametrize("layout", [None, Layout.RANKING, Layout.PAIRWISE])
def test_a_work_screen_begins_at_its_heading(cast, open_as, layout):
    if layout is None:
        make_demonstration_batch(cast.project, tasks=1)
    else:
        make_ranking_batch(cast.project, tasks=1, k=2, layout=layout)
    page = open_as(cast.annotator)
    start(page, cast)
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("() => !!document.activeElement.closest('main')")


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=["narrow", "wide"])
def test_a_toast_covers_neither_the_field_in_hand_its_label_nor_the_submit_button(cast, open_as, size):
    make_demonstration_batch(cast.project, tasks=1)
    page = open_as(cast.annotator, viewport=size)
    start(page, cast)
    answer = page.get_by_label("Your answer, as the assistant")
    for field in (
        answer,
        page.get_by_role("button", name="Submit, next"),
        page.get_by_role("heading", level=1),
    ):
        page.evaluate("() => document.querySelector('.toast button')?.click()")
        field.focus()
        page.evaluate(SAY, "error")
        assert page.evaluate(COVERED) == []
    # The other way round: the toast is there, and the focus or the page moves under it.
    answer.focus()
    assert page.evaluate(COVERED) == []
    for top in (0, 200, 400):
        page.evaluate("(top) => scrollTo(0, top)", top)
        page.wait_for_timeout(150)
        assert page.evaluate(COVERED) == []


@pytest.mark.slow
def test_an_empty_answer_is_said_beside_its_field(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1)
    page = open_as(cast.annotator, bypass_csp=True)
    start(page, cast)
    page.keyboard.press("Control+Enter")
    answer = page.get_by_label("Your answer, as the assistant")
    expect(answer).to_be_focused()
    expect(answer).to_have_attribute("aria-invalid", "true")
    expect(answer).to_have_accessible_description("This needs an answer. Markdown is understood.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("This needs an answer.")).to_have_count(1)
    assert violations(page, EVERYTHING) == []
    answer.press_sequentially("P")
    expect(page.get_by_text("This needs an answer.")).to_have_count(0)
    assert answer.get_attribute("aria-invalid") is None
    expect(answer).to_have_accessible_description("Markdown is understood.")
    assert not Submission.objects.exists()


@pytest.mark.slow
def test_a_strength_not_chosen_is_said_beside_its_group(cast, open_as):
    make_ranking_batch(cast.project, tasks=1, k=2, layout=Layout.PAIRWISE)
    page = open_as(cast.annotator, bypass_csp=True)
    start(page, cast)
    page.keyboard.press("Control+Enter")
    group = page.get_by_role("group", name="Which answer is better?")
    expect(group.get_by_text("Choose one of these.")).to_have_count(1)
    assert page.evaluate("() => document.activeElement.name") == "strength"
    assert violations(page, EVERYTHING) == []
    page.keyboard.press("Space")
    expect(page.get_by_text("Choose one of these.")).to_have_count(0)


@pytest.mark.slow
def test_on_a_phone_the_actions_of_a_work_screen_stand_in_one_row(cast, open_as):
    from tests.factories import publish_guideline

    make_demonstration_batch(cast.project, tasks=1)
    publish_guideline(cast.project, "demonstration", "# Rules", readers=[cast.annotator])
    page = open_as(cast.annotator, viewport=SIZES[0])
    start(page, cast)
    tops = page.locator(".page-actions .btn").evaluate_all(
        "(all) => all.map((node) => node.getBoundingClientRect().top)"
    )
    assert len(tops) == 3 and max(tops) - min(tops) < 2
