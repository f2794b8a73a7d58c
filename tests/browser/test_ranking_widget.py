"""The ranking widget in a real browser: keys, drag, touch, buttons; what it sends and what it says."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.browser.stage import wait_until
from tests.browser.widths import reaching_over

TEMPLATE = """{% block heading %}Rank{% endblock %}{% block content %}
<form id="work" method="post" action="/submit">{% include "components/ranking.html" %}
<textarea name="rationale" aria-label="Why"></textarea>
<button class="btn btn-primary" type="submit" data-shortcut="mod+enter">Submit</button>
<button class="btn" type="submit" data-allow-partial>Skip</button></form>{% endblock %}
{% block scripts %}<script src="{% static 'vendor/sortablejs/Sortable.min.js' %}" defer></script>
<script type="module" src="{% static 'js/ranking.js' %}"></script>{% endblock %}"""
FLAGS = [{"key": "made_up", "label": "made-up facts"}, {"key": "harmful", "label": "harmful"}]
MARGINS = [{"value": "clearly", "label": "clearly better"}, {"value": "slightly", "label": "slightly better"}]


class Widget:
    """What a person does with it, and what it holds."""

    def __init__(self, page) -> None:
        self.page = page

    def card(self, letter: str):
        return self.page.locator(f'[data-letter="{letter}"]')

    def press(self, letter: str, *keys: str) -> None:
        self.card(letter).focus()
        for key in keys:
            self.page.keyboard.press(key)

    def value(self, name: str):
        return json.loads(self.page.locator(f'input[name="{name}"]').input_value())

    def check_value(self, name: str, value) -> None:
        """What it holds in a moment: a dropped chip takes its time on a busy machine."""
        wait_until(self.page, lambda: self.value(name) == value)

    def chip(self, letter: str):
        return self.page.locator(".rank-chip", has=self.page.locator(f'.letter:text-is("{letter}")'))

    def slot(self, name: str | int):
        return self.page.locator(f'.rank-slot[data-slot="{name}"]')

    @property
    def said(self):
        return self.page.locator("#live-region")


@pytest.fixture
def open_widget(stage, browser):
    """`widget = open_widget(count=4, margins=…, initial=…)`; completions have the ids 41, 42, …"""
    contexts = []

    def open_it(count: int = 4, *, context_options=None, **context) -> Widget:
        texts = [{"id": 41 + i, "text": f"Answer number {i + 1}. " * (i + 1)} for i in range(count)]
        stage.show("/work", TEMPLATE, completions=texts, flags=FLAGS, **context)
        stage.answer["POST /submit"] = lambda body: (200, "<!DOCTYPE html><title>done</title><h1>Done</h1>")
        contexts.append(
            browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **(context_options or {})})
        )
        page = stage.watch(contexts[-1].new_page())
        page.goto(stage.url + "/work")
        page.wait_for_selector("[data-ranking-ready]")
        return Widget(page)

    yield open_it
    for context in contexts:
        context.close()


def test_it_starts_with_nothing_placed(open_widget):
    widget = open_widget()
    assert widget.slot("tray").locator(".rank-chip").count() == 4
    assert widget.value("tiers") == [] and widget.value("touched") == []


def test_the_sheet_names_the_keys_of_the_completions_that_there_are(open_widget):
    for count, ranks, letters in ((4, "1–4", "A–D"), (9, "1–9", "A–I")):
        page = open_widget(count).page
        page.keyboard.press("?")
        keys = page.get_by_role("dialog").locator("kbd").all_inner_texts()
        assert {ranks, letters, "1–7"} <= set(keys)
        assert [key for key in keys if key.startswith(("1–", "A–"))] == [ranks, "1–7", letters]
        expect(page.locator("[data-rank-status]")).to_contain_text(f"then {ranks} for its rank")


def test_the_sheet_names_no_scores_where_none_are_asked_for(open_widget):
    page = open_widget(definition={"scores": "hidden"}).page
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Go to that completion")
    expect(page.get_by_role("dialog")).not_to_contain_text("Overall score")


def test_it_refuses_an_untouched_list_and_says_what_is_missing(open_widget, stage):
    widget = open_widget()
    widget.page.get_by_role("button", name="Submit").click()
    assert "Not ranked yet: A, B, C, D" in widget.page.locator(".toast").inner_text()
    assert stage.bodies("POST", "/submit") == []


def test_it_lets_an_incomplete_list_go_where_the_button_allows_it(open_widget, stage):
    widget = open_widget()
    widget.page.get_by_role("button", name="Skip").click()
    widget.page.wait_for_selector("h1:text('Done')")
    assert len(stage.bodies("POST", "/submit")) == 1


def test_numbers_place_in_any_order(open_widget):
    widget = open_widget()
    for letter, key in {"A": "2", "B": "1", "C": "4", "D": "3"}.items():
        widget.press(letter, key)
    assert widget.value("tiers") == [[42], [41], [44], [43]]
    assert widget.value("touched") == [41, 42, 43, 44]


def test_the_same_number_twice_is_a_tie(open_widget):
    widget = open_widget()
    for letter, key in {"A": "1", "B": "3", "C": "3", "D": "2"}.items():
        widget.press(letter, key)
    assert widget.value("tiers") == [[41], [44], [42, 43]]
    assert "Tied 3rd" in widget.card("C").inner_text()


def test_arrows_swap_neighbours(open_widget):
    widget = open_widget()
    for letter, key in {"A": "1", "B": "2", "C": "3", "D": "4"}.items():
        widget.press(letter, key)
    widget.press("C", "ArrowUp")
    assert widget.value("tiers") == [[41], [43], [42], [44]]
    widget.press("A", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown")
    assert widget.value("tiers") == [[43], [42], [44], [41]]


def test_an_arrow_leaves_a_tie_into_a_place_of_its_own(open_widget):
    widget = open_widget()
    for letter, key in {"A": "1", "B": "2", "C": "2", "D": "2"}.items():
        widget.press(letter, key)
    widget.press("C", "ArrowUp")
    assert widget.value("tiers") == [[41], [43], [42, 44]]
    widget.press("D", "ArrowDown")
    assert widget.value("tiers") == [[41], [43], [42], [44]]


def test_arrows_alone_can_rank_everything(open_widget):
    widget = open_widget()
    for letter in "ABCD":
        widget.press(letter, "ArrowDown")
    assert widget.value("tiers") == [[41], [42], [43], [44]]
    widget.press("D", "ArrowUp")
    assert widget.value("tiers") == [[41], [42], [44], [43]]


@pytest.mark.parametrize("key", ["=", "t"])
def test_a_key_ties_with_the_one_above(open_widget, key):
    widget = open_widget(3)
    for letter, place in {"A": "1", "B": "2", "C": "3"}.items():
        widget.press(letter, place)
    widget.press("C", key)
    assert widget.value("tiers") == [[41], [42, 43]]
    widget.press("A", key)
    expect(widget.said).to_have_text("Nothing above to tie with")
    assert widget.value("tiers") == [[41], [42, 43]]


def test_cannot_rank_is_an_answer_and_can_be_taken_back(open_widget):
    widget = open_widget(3)
    widget.press("A", "1")
    widget.press("B", "u")
    widget.press("C", "2")
    assert (widget.value("tiers"), widget.value("unrankable")) == ([[41], [43]], [42])
    widget.press("B", "u")
    assert widget.value("unrankable") == []
    assert widget.slot("tray").locator(".rank-chip").count() == 1


def test_undo_walks_back_step_by_step(open_widget):
    widget = open_widget(3)
    widget.press("A", "1")
    widget.press("B", "2")
    widget.press("B", "=")
    widget.page.keyboard.press("Control+z")
    assert widget.value("tiers") == [[41], [42]]
    widget.page.keyboard.press("Control+z")
    assert (widget.value("tiers"), widget.value("touched")) == ([[41]], [41])
    widget.page.keyboard.press("Control+z")
    assert widget.value("tiers") == []


def test_undo_takes_back_scores_and_flags_and_says_so(open_widget):
    widget = open_widget(3)
    widget.press("A", "1", "Shift+5")
    widget.card("A").get_by_role("checkbox", name="made-up facts").check()
    widget.press("A", "Shift+6")
    for said, scores, flags in (
        ("Undone. A: score 5", {"41": 5}, {"41": ["made_up"]}),
        ("Undone. A: not flagged “made-up facts”", {"41": 5}, {}),
        ("Undone. A: no score", {}, {}),
        ("Undone. A: not placed", {}, {}),
    ):
        widget.page.keyboard.press("Control+z")
        expect(widget.said).to_have_text(said)
        assert (widget.value("scores"), widget.value("flags")) == (scores, flags)
    assert widget.page.locator("input:checked").count() == 0
    for _ in range(3):
        widget.page.keyboard.press("Control+Shift+Z")
    expect(widget.said).to_have_text("Done again. A: flagged “made-up facts”")
    assert (widget.value("tiers"), widget.value("scores")) == ([[41]], {"41": 5})


def test_none_can_be_ranked_is_let_go_and_a_score_given_since_stays(open_widget):
    widget = open_widget(2)
    widget.press("A", "1", "Shift+U", "Shift+5", "Shift+U")
    assert (widget.value("tiers"), widget.value("unrankable")) == ([[41]], [])
    assert widget.value("scores") == {"41": 5}


def test_buttons_do_what_keys_do(open_widget):
    widget = open_widget(3)
    for letter in "ABC":
        widget.card(letter).get_by_role("button", name="Worse").click()
    widget.card("C").get_by_role("button", name="Better").click()
    widget.card("B").get_by_role("button", name="Tie").click()
    assert widget.value("tiers") == [[41], [42, 43]]
    widget.card("A").get_by_role("button", name="Can’t rank").click()
    assert widget.value("unrankable") == [41]


def test_every_move_is_said(open_widget):
    widget = open_widget(3)
    widget.press("B", "1")
    expect(widget.said).to_have_text("B: rank 1 of 3. 1 of 3 placed")
    widget.press("C", "1")
    expect(widget.said).to_have_text("C: rank 1 of 3, tied with B. 2 of 3 placed")


def test_letters_jump_and_the_order_of_reading_stays(open_widget):
    widget = open_widget()
    widget.press("A", "4", "c")
    assert widget.page.evaluate("document.activeElement.dataset.letter") == "C"
    letters = widget.page.locator("[data-ranking-cards] [data-completion]").evaluate_all(
        "all => all.map(x => x.dataset.letter)"
    )
    assert letters == ["A", "B", "C", "D"]


def test_typing_a_reason_moves_nothing(open_widget):
    widget = open_widget()
    widget.page.get_by_label("Why").press_sequentially("1 u = t 2 because")
    assert widget.value("tiers") == [] and widget.value("unrankable") == []


def test_shift_and_a_number_score_and_flags_are_kept(open_widget):
    widget = open_widget(2)
    widget.press("A", "Shift+Digit6")
    widget.card("B").locator("label.scale, .scale label").nth(1).click()
    widget.card("B").get_by_label("made-up facts").check(force=True)
    assert widget.value("scores") == {"41": 6, "42": 2}
    assert widget.value("flags") == {"42": ["made_up"]}
    assert widget.value("tiers") == []


def drag(page, source, target) -> None:
    """Take a chip that lies still, hold it over a place until it stays there, let go: busy machines lag."""
    chip, place = source.element_handle(), target.element_handle()
    source.hover(position={"x": 10, "y": 10})
    start = source.bounding_box()
    page.mouse.down()
    for step in range(1, 40):
        page.mouse.move(start["x"] + 10 + step % 5, start["y"] + 10 + step % 7, steps=2)
        if page.locator("[data-ranking].dragging").count():
            break
    stayed = 0
    for attempt in range(80):
        end = target.bounding_box()
        sway = attempt % 2
        page.mouse.move(end["x"] + end["width"] / 2 + sway, end["y"] + end["height"] / 2 + sway, steps=8)
        page.wait_for_timeout(50)
        stayed = stayed + 1 if page.evaluate("([chip, place]) => place.contains(chip)", [chip, place]) else 0
        if stayed == 3:
            break
    page.mouse.up()
    page.wait_for_selector("[data-ranking]:not(.dragging)")


def test_drag_places_ties_and_takes_off(open_widget):
    widget = open_widget(3)
    drag(widget.page, widget.chip("B"), widget.slot(0))
    drag(widget.page, widget.chip("A"), widget.slot(1))
    widget.check_value("tiers", [[42], [41]])
    drag(widget.page, widget.chip("C"), widget.slot(1))
    widget.check_value("tiers", [[42], [41, 43]])
    drag(widget.page, widget.chip("B"), widget.slot("unrankable"))
    widget.check_value("unrankable", [42])
    widget.check_value("tiers", [[41, 43]])
    drag(widget.page, widget.chip("A"), widget.slot("tray"))
    widget.check_value("tiers", [[43]])


def test_drag_between_two_places_makes_room(open_widget):
    widget = open_widget(3)
    for letter, place in {"A": "1", "B": "2"}.items():
        widget.press(letter, place)
    drag(widget.page, widget.chip("C"), widget.page.locator('.rank-gap[data-gap="1"]'))
    widget.check_value("tiers", [[41], [43], [42]])


def test_touch_drags_too(open_widget):
    widget = open_widget(
        3, context_options={"has_touch": True, "is_mobile": True, "viewport": {"width": 390, "height": 844}}
    )
    widget.slot(1).scroll_into_view_if_needed()
    start, end = widget.chip("A").bounding_box(), widget.slot(1).bounding_box()
    session = widget.page.context.new_cdp_session(widget.page)

    def touch(kind: str, x: float = 0, y: float = 0) -> None:
        points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    x0, y0 = start["x"] + 12, start["y"] + start["height"] / 2
    x1, y1 = end["x"] + end["width"] / 2, end["y"] + end["height"] / 2
    touch("touchStart", x0, y0)
    for step in range(1, 13):
        touch("touchMove", x0 + (x1 - x0) * step / 12, y0 + (y1 - y0) * step / 12)
        widget.page.wait_for_timeout(25)
    handles = [widget.chip("A").first.element_handle(), widget.slot(1).element_handle()]
    for attempt in range(
        40
    ):  # the gaps open during a drag and push the place down; then the chip has to lie in it
        box, sway = widget.slot(1).bounding_box(), attempt % 2
        touch("touchMove", box["x"] + box["width"] / 2 + sway, box["y"] + box["height"] / 2 + sway)
        widget.page.wait_for_timeout(50)
        if widget.page.evaluate("([chip, place]) => place.contains(chip)", handles):
            break
    touch("touchEnd")
    widget.check_value("tiers", [[41]])
    expect(widget.card("A")).to_have_attribute("data-rank", "2")


def test_margins_are_asked_at_each_boundary_and_belong_to_it(open_widget, stage):
    widget = open_widget(3, margins=MARGINS)
    for letter, place in {"A": "1", "B": "2", "C": "3"}.items():
        widget.press(letter, place)
    asked = widget.page.locator("select[data-margin]")
    assert asked.count() == 2 and widget.value("margins") == [None, None]
    widget.page.get_by_role("button", name="Submit").click()
    assert "how much better" in widget.page.locator(".toast").inner_text()
    asked.nth(0).select_option("clearly")
    asked.nth(1).select_option("slightly")
    assert widget.value("margins") == ["clearly", "slightly"]
    widget.press("C", "=")
    assert widget.value("margins") == [None], "the boundary lies elsewhere now"
    widget.press("C", "3")
    assert widget.value("margins") == ["clearly", "slightly"], "back where it was said"
    widget.page.get_by_role("button", name="Submit").click()
    widget.page.wait_for_selector("h1:text('Done')")
    assert "margins=%5B%22clearly%22%2C%22slightly%22%5D" in stage.bodies("POST", "/submit")[0]


def test_a_draft_comes_back_as_it_was(open_widget):
    initial = {
        "tiers": "[[43],[41,44]]", "unrankable": "[42]", "scores": '{"41": 5}',
        "flags": '{"43": ["harmful"]}', "margins": '["clearly"]', "touched": "[43,41,44,42]",
    }  # fmt: skip
    widget = open_widget(4, margins=MARGINS, initial=initial)
    assert widget.card("C").get_attribute("data-rank") == "1"
    assert widget.card("D").get_attribute("data-rank") == "2"
    assert widget.page.locator("select[data-margin]").input_value() == "clearly"
    assert widget.card("A").locator("[data-score]:checked").get_attribute("value") == "5"
    widget.press("B", "3")
    assert widget.value("tiers") == [[43], [41, 44], [42]]
    assert widget.value("scores") == {"41": 5} and widget.value("flags") == {"43": ["harmful"]}


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_nine_completions_fit_every_width(open_widget, width):
    widget = open_widget(9, context_options={"viewport": {"width": width, "height": 900}})
    assert reaching_over(widget.page) == []
    for place, letter in enumerate("IHGFEDCBA", start=1):
        widget.press(letter, str(place))
    assert widget.value("tiers") == [[49 - i] for i in range(9)]
