"""Keyboards as people have them: QWERTZ, AZERTY, number pads; and what Enter and the sheet of keys do."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from labeling.services.batches import create_ranking_batch
from tests.factories import (
    make_completions,
    make_prompt,
    make_ranking_batch,
    publish_form,
    publish_guideline,
    question,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TEN = {"lowest": 1, "highest": 10, "low_label": "worst", "high_label": "best", "step_labels": {}}
# The digit row of a French keyboard without Shift, from 1 to 0.
FRENCH = dict(zip("1234567890", "&é\"'(-è_çà", strict=True))
PRESS = """([key, code, shiftKey, modifierAltGraph]) => {
  const options = {key, code, shiftKey, modifierAltGraph, bubbles: true, cancelable: true, composed: true};
  return !document.activeElement.dispatchEvent(new KeyboardEvent("keydown", options));
}"""


class Keys:
    """A keyboard of another country: what the browser says of its keys. True where the page took one."""

    def __init__(self, page) -> None:
        self.page = page

    def press(self, key: str, code: str, *, shift: bool = False, alt_graph: bool = False) -> bool:
        return self.page.evaluate(PRESS, [key, code, shift, alt_graph])

    def on(self, letter: str):
        self.page.locator(f'[data-letter="{letter}"]').focus()
        return self

    def rank(self, letter: str):
        return expect(self.page.locator(f'[data-letter="{letter}"]'))

    def score(self, letter: str) -> str | None:
        return self.page.evaluate(
            "letter => document.querySelector(`[data-letter=${letter}] [data-score]:checked`)?.value", letter
        )


@pytest.fixture
def at_a_ranking(cast, open_as):
    def open_task(**form) -> Keys:
        if form:
            publish_form(cast.project, "ranking", **form)
        prompt = make_prompt(cast.project, "What is an otter?")
        ids = [each.pk for each in make_completions(prompt, ["one", "two", "three"])]
        create_ranking_batch(
            project=cast.project,
            name="Otters",
            completion_sets=[(prompt.pk, ids)],
            acting_user=cast.admin,
            review_rate=0,
        )
        publish_guideline(cast.project, "ranking", "# Ranking\n\nRead it.", readers=[cast.annotator])
        return _at_work(cast, open_as, "[data-ranking-ready][data-reasons-ready]")

    return open_task


@pytest.fixture
def at_a_pair(cast, open_as):
    def open_task(**form) -> Keys:
        if form:
            publish_form(cast.project, "pairwise", **form)
        make_ranking_batch(cast.project, tasks=2, k=2, layout="pairwise", review_rate=0)
        return _at_work(cast, open_as, "[data-pairwise-ready]")

    return open_task


def _at_work(cast, open_as, ready: str) -> Keys:
    page = open_as(cast.annotator, viewport={"width": 1600, "height": 900})
    page.goto(f"/projects/{cast.project.slug}/work/")
    page.keyboard.press("n")
    page.wait_for_url("**/work/*/")
    page.wait_for_selector(ready)
    return Keys(page)


def test_german_signs_above_the_digits_are_signs(at_a_ranking):
    keys = at_a_ranking()
    keys.on("A").press("2", "Digit2")
    keys.on("B").press("=", "Digit0", shift=True)
    keys.rank("B").to_have_attribute("data-rank", "2")
    assert keys.on("B").press("/", "Digit7", shift=True)
    assert keys.score("B") is None
    expect(keys.page.get_by_label("Search the guideline")).to_be_focused()


def test_german_shift_and_a_digit_score_and_with_altgr_it_is_a_sign(at_a_ranking):
    keys = at_a_ranking()
    keys.on("B").press('"', "Digit2", shift=True)
    assert keys.score("B") == "2"
    assert not keys.press("{", "Digit7", alt_graph=True)
    assert keys.page.locator("[data-rank]").count() == 0


def test_the_french_digit_row_places_and_with_shift_scores(at_a_ranking):
    keys = at_a_ranking()
    keys.on("A").press(FRENCH["2"], "Digit2")
    keys.on("B").press(FRENCH["1"], "Digit1")
    keys.rank("A").to_have_attribute("data-rank", "2")
    keys.rank("B").to_have_attribute("data-rank", "1")
    keys.press("6", "Digit6", shift=True)
    assert keys.score("B") == "6"
    keys.press(FRENCH["0"], "Digit0")
    expect(keys.page.locator("[data-rank]")).to_have_count(1)
    keys.press("/", "Period", shift=True)
    expect(keys.page.get_by_label("Search the guideline")).to_be_focused()


def test_a_number_pad_places_and_with_shift_scores_and_without_numlock_has_arrows(at_a_ranking):
    keys = at_a_ranking()
    keys.on("A").press("2", "Numpad2")
    keys.rank("A").to_have_attribute("data-rank", "2")
    keys.press("Home", "Numpad7", shift=True)
    assert keys.score("A") == "7"
    keys.press("ArrowUp", "Numpad8")
    keys.rank("A").to_have_attribute("data-rank", "1")


def test_the_french_digit_row_chooses_between_two(at_a_pair):
    keys = at_a_pair()
    keys.press(FRENCH["6"], "Digit6")
    expect(keys.page.get_by_role("radio", name="B better")).to_be_checked()
    keys.press("2", "Numpad2")
    expect(keys.page.get_by_role("radio", name="A better", exact=True)).to_be_checked()
    keys.press("!", "Digit7", shift=True)  # Shift+7 on a keyboard whose 7 needs none
    expect(keys.page.get_by_role("radio", name="A better", exact=True)).to_be_checked()
    keys.press("?", "Comma", shift=True)
    expect(keys.page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()


def test_what_is_typed_into_a_field_is_never_taken(at_a_pair):
    keys = at_a_pair(questions=[question("note", "short_text")])
    keys.page.get_by_label("Note?").focus()
    for key, code, shift in ((FRENCH["6"], "Digit6", False), ("6", "Digit6", True), ("/", "Digit7", True)):
        assert not keys.press(key, code, shift=shift)
    assert keys.page.locator("input[name='strength']:checked").count() == 0


def test_each_score_of_a_scale_has_a_key_and_the_sheet_says_which(at_a_ranking):
    keys = at_a_ranking(scale=TEN)
    card = keys.page.locator('[data-letter="A"]')
    expect(card.locator("kbd")).to_have_text("Shift 1–9 ↑ ↓")
    card.focus()
    keys.page.keyboard.press("Shift+9")
    keys.page.keyboard.press("Shift+ArrowUp")
    assert keys.score("A") == "10"
    expect(keys.page.locator("#live-region")).to_have_text("A: score 10")
    keys.page.keyboard.press("Shift+ArrowUp")
    keys.page.keyboard.press("Shift+ArrowDown")
    assert keys.score("A") == "9"
    assert keys.page.locator("[data-rank]").count() == 0
    keys.page.keyboard.press("?")
    terms = keys.page.get_by_role("dialog").locator("dt").all_inner_texts()
    shown = {" ".join(term.split()) for term in terms}
    assert {"Shift 1–9", "Shift ↑", "Shift ↓", "T"} <= shown and "Shift 1–7" not in shown


def test_the_sheet_names_no_score_where_none_is_asked(at_a_ranking):
    keys = at_a_ranking(scores="hidden")
    keys.page.keyboard.press("?")
    sheet = keys.page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_contain_text("Tie with the one above")
    expect(sheet).not_to_contain_text("Overall score")


@pytest.mark.parametrize("kind", ["pair", "ranking"])
def test_enter_in_a_field_of_one_line_submits_nothing(at_a_pair, at_a_ranking, kind):
    asked = [question("note", "short_text"), question("sure")]
    keys = at_a_pair(questions=asked) if kind == "pair" else at_a_ranking(questions=asked)
    page = keys.page
    if kind == "pair":
        page.keyboard.press("6")
    else:
        for letter in "abc":
            for key in (letter, "1", "Shift+5"):
                page.keyboard.press(key)
    before = page.url
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.url.endswith("/submit/") else None)
    page.get_by_label("Note?").fill("half a")
    page.keyboard.press("Enter")
    page.get_by_role("radio", name="Yes").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Enter")
    page.wait_for_timeout(500)
    assert (sent, page.url) == ([], before)
    expect(page.get_by_label("Note?")).to_have_value("half a")
    page.get_by_label("Note?").focus()
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: url.split("?")[0] != before.split("?")[0])
    assert len(sent) == 1
