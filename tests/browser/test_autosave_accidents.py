"""Accidents around a draft that is saved while somebody types: each once lost words, or said an untruth."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import expect

from tests.browser.autosave import (
    HTMX,
    SCRIPTS,
    conflict,
    expect_kept,
    last_saved,
    open_work,
    status,
    writing_context,
    writing_stage,
)
from tests.browser.stage import wait_until


@pytest.fixture
def stage():
    yield from writing_stage()


@pytest.fixture
def context(browser):
    yield from writing_context(browser)


def saves(stage) -> list:
    return stage.bodies("PUT", "/draft")


def test_what_a_refused_submission_brings_back_is_saved_at_once(stage, context):
    """The page that says what is wrong holds words that the draft never had."""
    form = HTMX.replace("data-autosave-url", "{% if wrong %}data-unsaved {% endif %}data-autosave-url")
    shown = {"url": "/draft", "key": "assignment:17"}
    stage.show("/work", form + SCRIPTS, **shown, text="")
    stage.show("/refused", form + SCRIPTS, **shown, text="Typed and sent at once", wrong=True)
    stage.answer["POST /submit"] = lambda body: (422, stage.pages["/refused"]())
    page = open_work(stage, context)
    page.locator("#text").fill("Typed and sent at once")
    page.get_by_role("button", name="Submit").click()
    wait_until(page, lambda: last_saved(stage).get("text") == "Typed and sent at once")
    expect(status(page)).to_contain_text("Saved ")


def test_words_that_the_browser_itself_put_back_are_not_taken_for_the_sites(stage, context):
    stage.answer["PUT /draft"] = lambda body: (503, {})
    page = open_work(stage, context)
    page.locator("#text").fill("Not on the site")
    expect(status(page)).to_contain_text("kept in this browser")
    page.add_init_script(
        "document.addEventListener('DOMContentLoaded', () => {"
        " document.getElementById('text').value = 'Not on the site'; }, { once: true })"
    )
    # Deferred modules run before that event: put there as the parser reaches the form instead.
    page.add_init_script(
        """new MutationObserver((_, observer) => { const area = document.getElementById('text');
          if (area) { area.value = 'Not on the site'; observer.disconnect(); } })
          .observe(document, { childList: true, subtree: true })"""
    )
    page.reload()
    stage.answer["PUT /draft"] = lambda body: (200, {"revision": 1})
    expect(status(page)).to_contain_text("Saved ")
    assert last_saved(stage)["text"] == "Not on the site"


def test_a_save_that_never_ends_is_given_up_and_sent_again(stage, context):
    hang = threading.Event()
    answers = iter([lambda: (hang.wait(60), (0, None))[1]])
    stage.answer["PUT /draft"] = lambda body: next(answers, lambda: (200, {"revision": 1}))()
    page = stage.watch(context.new_page())
    page.clock.install()
    page.goto(stage.url + "/work")
    page.wait_for_selector("[data-autosave-ready]")
    page.locator("#text").fill("one")
    page.clock.run_for(1_000)
    wait_until(page, lambda: len(saves(stage)) == 1)
    page.locator("#text").fill("one two")
    page.clock.run_for(25_000)
    page.clock.run_for(5_000)
    expect(status(page)).to_contain_text("Saved ")
    assert last_saved(stage)["text"] == "one two"
    hang.set()


def test_a_save_whose_answer_was_lost_is_no_other_window(stage, context):
    """The site had stored it; the next save meets one's own words, and nobody is asked to choose."""

    def draft(body):
        count = len(saves(stage))
        if count == 1:
            return 502, "a proxy gave up; the site did not"
        return conflict("first words", 1) if body["revision"] == 0 else (200, {"revision": 2})

    stage.answer["PUT /draft"] = draft
    page = open_work(stage, context)
    page.locator("#text").fill("first words")
    expect(status(page)).to_contain_text("kept in this browser")
    page.locator("#text").fill("first words and more")
    expect(status(page)).to_contain_text("Saved ")
    assert page.locator("dialog[open]").count() == 0
    assert (saves(stage)[-1]["revision"], last_saved(stage)["text"]) == (1, "first words and more")


def test_what_was_typed_and_deleted_again_is_not_brought_back(stage, context):
    page = open_work(stage, context)
    page.locator("#text").fill("kept")
    expect(status(page)).to_contain_text("Saved ")
    page.locator("#text").press_sequentially("x")
    expect(status(page)).to_have_text("Not saved yet")
    page.locator("#text").press("Backspace")
    expect(status(page)).to_contain_text("Saved ")
    expect_kept(page, None)


def test_too_much_is_refused_and_less_is_saved_again(stage, context):
    def draft(body):
        if len(body["fields"]["text"]) > 10:
            return 422, {"error": {"code": "invalid", "message": "A draft holds at most 10 characters."}}
        return 200, {"revision": 1}

    stage.answer["PUT /draft"] = draft
    page = open_work(stage, context)
    page.locator("#text").fill("far too long")
    expect(status(page)).to_contain_text("A draft holds at most 10 characters.")
    expect_kept(page, "far too long")
    page.wait_for_timeout(1500)
    assert len(saves(stage)) == 1, "the same words are not sent again and again"
    page.locator("#text").fill("shorter")
    expect(status(page)).to_contain_text("Saved ")


def hand_in_slowly(stage, page, *answer):
    """Press the button; the site answers when the event that is returned is set."""
    sent, goes_on = threading.Event(), threading.Event()

    def submit(body):
        sent.set()
        goes_on.wait(30)
        return answer

    stage.answer["POST /submit"] = submit
    page.locator("#text").fill("an answer")
    page.locator("#text").press("Control+Enter")
    wait_until(page, sent.is_set)
    expect(status(page)).to_have_text("Handing in…")
    return goes_on


@pytest.fixture
def handing_in(stage):
    form = HTMX.replace("</form>", "</form><button data-shortcut='x' id='act'>Act</button>").replace(
        '<button class="btn" type="submit">', '<button class="btn" type="submit" data-shortcut="mod+enter">'
    )
    stage.show("/work", form + SCRIPTS, url="/draft", key="assignment:17", text="")
    stage.show("/again", form + SCRIPTS, url="/draft", key="assignment:17", text="an answer")
    stage.show("/next", form + SCRIPTS, url="/draft2", key="assignment:18", text="")
    return stage


def test_what_is_typed_while_it_is_handed_in_stays_where_the_site_does_not_answer(handing_in, context):
    page = open_work(handing_in, context)
    goes_on = hand_in_slowly(handing_in, page, 503, "busy")
    page.locator("#text").press_sequentially(", and more")
    goes_on.set()
    expect(page.locator(".toast")).to_be_visible()
    page.locator("#text").press_sequentially(", mended")
    wait_until(page, lambda: last_saved(handing_in).get("text") == "an answer, and more, mended")


def test_what_is_typed_while_it_is_handed_in_comes_back_with_what_is_refused(handing_in, context):
    page = open_work(handing_in, context)
    goes_on = hand_in_slowly(handing_in, page, 422, handing_in.pages["/again"]())
    page.locator("#text").press_sequentially(", and more")
    goes_on.set()
    expect(page.locator("#text")).to_have_value("an answer, and more")
    wait_until(page, lambda: last_saved(handing_in).get("text") == "an answer, and more")


def test_what_is_typed_while_it_is_handed_in_is_no_part_of_the_next_and_is_shown(handing_in, context):
    page = open_work(handing_in, context)
    goes_on = hand_in_slowly(handing_in, page, 200, handing_in.pages["/next"]())
    page.locator("#text").press_sequentially(", and more")
    goes_on.set()
    toast = page.locator(".toast")
    expect(toast).to_have_text("Written while it was handed in, and not part of it: “, and more”✕")
    expect(page.locator("#text")).to_have_value("")
    assert page.evaluate("() => localStorage.getItem('draft:7:assignment:18')") is None


def test_no_key_acts_while_it_is_handed_in(handing_in, context):
    page = open_work(handing_in, context)
    page.evaluate("() => document.addEventListener('click', ({ target }) => { if (target.id) acted = 1; })")
    page.evaluate("() => { globalThis.acted = 0; }")
    goes_on = hand_in_slowly(handing_in, page, 200, handing_in.pages["/next"]())
    page.evaluate("() => document.activeElement.blur()")
    page.keyboard.press("x")
    page.keyboard.press("?")
    assert page.evaluate("() => acted") == 0 and page.locator("dialog").count() == 0
    goes_on.set()
    expect(status(page)).to_have_text("Nothing to save yet")
    page.evaluate("() => document.activeElement.blur()")
    page.keyboard.press("x")
    assert page.evaluate("() => acted") == 1


def test_a_submission_that_something_held_back_goes_on_saving(stage, context):
    page = open_work(stage, context)
    page.evaluate("() => document.addEventListener('submit', (event) => event.preventDefault())")
    page.locator("#text").fill("an answer")
    page.get_by_role("button", name="Submit").click()
    page.locator("#text").press_sequentially("!")
    wait_until(page, lambda: last_saved(stage).get("text") == "an answer!")
    assert not stage.bodies("POST", "/submit")


def test_escape_does_not_choose_between_two_texts(stage, context):
    answers = iter([conflict("theirs", 5)])
    stage.answer["PUT /draft"] = lambda body: next(answers, (200, {"revision": 6}))
    page = open_work(stage, context)
    page.locator("#text").fill("mine")
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("theirs")
    for _ in range(3):
        page.keyboard.press("Escape")
    expect(dialog).to_contain_text("theirs")
    assert len(saves(stage)) == 1
    page.get_by_role("button", name="Take the other one").click()
    expect(page.locator("#text")).to_have_value("theirs")


def test_words_typed_before_the_script_came_are_saved(stage, context):
    page = stage.watch(context.new_page())
    come = threading.Event()
    page.route("**/autosave.js*", lambda route: (come.wait(0.5), route.continue_())[1])
    page.goto(stage.url + "/work", wait_until="commit")
    page.locator("#text").fill("Quick hands")
    page.wait_for_selector("[data-autosave-ready]")
    wait_until(page, lambda: last_saved(stage).get("text") == "Quick hands")
