"""Drafts in a real browser: no word is lost, and the status line tells the truth."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser.autosave import (
    HTMX,
    SCRIPTS,
    TEMPLATE,
    conflict,
    expect_kept,
    last_saved,
    open_work,
    status,
    writing_context,
    writing_stage,
)
from tests.browser.stage import Person, wait_until


@pytest.fixture
def stage():
    yield from writing_stage()


@pytest.fixture
def context(browser):
    yield from writing_context(browser)


def test_it_saves_what_was_typed_and_says_when(stage, context):
    page = open_work(stage, context)
    page.locator("#text").press_sequentially("Otters eat fish.")
    page.get_by_label("unclear").check(force=True)
    wait_until(page, lambda: last_saved(stage).get("flag") == "unclear")
    expect(status(page)).to_have_text(re.compile(r"^Saved \d\d:\d\d$"))  # 24 hours, as everywhere
    last = last_saved(stage)
    assert last["text"] == "Otters eat fish."
    assert "csrfmiddlewaretoken" not in last and "idempotency_key" not in last
    expect_kept(page, None)


def test_each_save_carries_the_revision_of_the_last_answer(stage, context):
    page = open_work(stage, context)
    for number, words in enumerate(("one", "one two", "one two three"), start=1):
        page.locator("#text").fill(words)
        wait_until(page, lambda number=number: len(stage.bodies("PUT", "/draft")) == number)
        expect(status(page)).to_contain_text("Saved ")
    assert [body["revision"] for body in stage.bodies("PUT", "/draft")] == [0, 1, 2]


def test_somebody_who_never_pauses_is_saved_too(stage, context):
    page = stage.watch(context.new_page())
    page.clock.install(time=0)
    page.goto(stage.url + "/work")
    page.wait_for_selector("[data-autosave-ready]")
    page.clock.pause_at(60_000)  # milliseconds; from here on time passes only as the test says
    for _ in range(15):
        page.locator("#text").press_sequentially("x")
        page.clock.run_for(400)
    wait_until(page, lambda: len(stage.bodies("PUT", "/draft")) >= 1)


def test_two_saves_are_never_under_way_at_once(stage, context):
    import threading
    import time

    under_way, most = 0, 0
    lock = threading.Lock()

    def slow(body):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(1.5)
        with lock:
            under_way -= 1
        return 200, {"revision": body["revision"] + 1}

    stage.answer["PUT /draft"] = slow
    page = open_work(stage, context)
    for word in ("one ", "two ", "three "):
        page.locator("#text").press_sequentially(word)
        page.wait_for_timeout(1000)
    wait_until(page, lambda: last_saved(stage)["text"] == "one two three ")
    expect(status(page)).to_contain_text("Saved ")
    assert most == 1


def test_without_an_answer_the_words_stay_in_the_browser_and_are_sent_later(stage, context):
    working = stage.answer["PUT /draft"]
    stage.answer["PUT /draft"] = lambda body: (0, None)
    page = open_work(stage, context)
    page.locator("#text").press_sequentially("Kept while the site is away")
    expect(status(page)).to_contain_text("Not saved on the site yet, kept in this browser")
    expect_kept(page, "Kept while the site is away")
    stage.answer["PUT /draft"] = working
    expect(status(page)).to_contain_text("Saved ")
    expect_kept(page, None)


def test_offline_it_says_so_and_saves_when_back(stage, context):
    page = open_work(stage, context)
    context.set_offline(True)
    page.locator("#text").press_sequentially("written on a train")
    expect(status(page)).to_have_text("Offline, kept in this browser")
    context.set_offline(False)
    expect(status(page)).to_contain_text("Saved ")
    assert stage.bodies("PUT", "/draft")[-1]["fields"]["text"] == "written on a train"


def test_after_a_crash_the_browsers_copy_is_restored_and_sent(stage, context):
    stage.answer["PUT /draft"] = lambda body: (503, {"error": {"message": "restarting"}})
    page = open_work(stage, context)
    page.locator("#text").fill("Not yet on the site")
    page.get_by_label("unclear").check(force=True)
    expect(status(page)).to_contain_text("kept in this browser")
    page.close()
    page = open_work(stage, context)
    expect(page.locator("#text")).to_have_value("Not yet on the site")
    assert page.get_by_label("unclear").is_checked()
    # Only now: a page sends its words once more as it closes, and a site that took them then has nothing to
    # restore.
    stage.answer["PUT /draft"] = lambda body: (200, {"revision": 1})
    expect(status(page)).to_contain_text("Saved ")


def test_another_person_on_the_same_browser_sees_nothing_of_it(stage, context):
    stage.answer["PUT /draft"] = lambda body: (503, {})
    page = open_work(stage, context)
    page.locator("#text").fill("private words")
    expect(status(page)).to_contain_text("kept in this browser")
    stage.person = Person(pk=8)
    page = open_work(stage, context)
    page.wait_for_timeout(300)
    assert page.locator("#text").input_value() == ""


@pytest.mark.parametrize(
    ("button", "expected"), [("Keep this page’s".replace("’", "'"), "mine"), ("Take the other one", "theirs")]
)
def test_a_stale_tab_shows_both_texts_and_the_person_decides(stage, context, button, expected):
    answers = iter([conflict("theirs", 5)])
    stage.answer["PUT /draft"] = lambda body: next(answers, (200, {"revision": 6}))
    page = open_work(stage, context)
    page.locator("#text").fill("mine")
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("mine")
    expect(dialog).to_contain_text("theirs")
    page.get_by_role("button", name=button).click()
    expect(page.locator("#text")).to_have_value(expected)
    if expected == "mine":
        wait_until(page, lambda: len(stage.bodies("PUT", "/draft")) > 1)
    page.wait_for_timeout(1500)  # nothing more is to come
    after = stage.bodies("PUT", "/draft")[1:]
    assert [(body["revision"], body["fields"]["text"]) for body in after] == (
        [(5, "mine")] if expected == "mine" else []
    )


def test_a_closed_task_stops_saving_says_why_and_keeps_the_words(stage, context):
    stage.answer["PUT /draft"] = lambda body: (
        410,
        {"error": {"code": "gone", "message": "This task was closed."}},
    )
    page = open_work(stage, context)
    page.locator("#text").fill("too late, but not lost")
    expect(status(page)).to_have_text("This task was closed. Your text is kept in this browser.")
    page.locator("#text").press_sequentially(" more")
    expect_kept(page, "too late, but not lost more")
    page.wait_for_timeout(1500)
    assert len(stage.bodies("PUT", "/draft")) == 1


def test_an_ended_session_asks_for_sign_in_and_goes_on(stage, context):
    state = {"in": False}

    def draft(body):
        return (200, {"revision": 1}) if state["in"] else (401, {"error": {"message": "Sign in."}})

    def login(body):
        if "password=right" not in body:
            return 400, {"form": {"errors": ["The password is wrong."], "fields": {}}}
        state["in"] = True
        stage.person, stage.token = Person(), "b" * 64
        return 200, {"location": "/"}

    stage.answer["PUT /draft"], stage.answer["POST /accounts/login/"] = draft, login
    page = open_work(stage, context)
    stage.person = None
    page.locator("#text").fill("byte for byte é 海獭\n two spaces  end")
    expect(page.get_by_role("heading", name="Please sign in again")).to_be_visible(timeout=4000)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in and go on").click()
    expect(page.get_by_role("alert")).to_have_text("The password is wrong.")
    page.get_by_label("Password").fill("right")
    page.get_by_role("button", name="Sign in and go on").click()
    expect(status(page)).to_contain_text("Saved ")
    assert last_saved(stage)["text"] == "byte for byte é 海獭\n two spaces  end"
    assert page.locator("#work input[name=csrfmiddlewaretoken]").input_value() == "b" * 64


def test_where_storage_is_refused_it_warns_and_the_server_still_saves(stage, context):
    context.add_init_script(
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }"
    )
    page = open_work(stage, context)
    page.locator("#text").press_sequentially("x")
    expect(status(page)).to_have_text("This browser keeps no copy; saving to the server")
    expect(status(page)).to_contain_text("Saved ")


def test_handing_in_takes_the_copy_away_only_when_the_site_says_so(stage, context):
    stage.answer["PUT /draft"] = lambda body: (503, {})
    stage.answer["POST /submit"] = lambda body: (500, "<!DOCTYPE html><title>broken</title>")
    page = open_work(stage, context)
    page.locator("#text").fill("handed in")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**/submit")
    expect_kept(page, "handed in")
    page.goto(stage.url + "/done")
    expect_kept(page, None)


def test_time_counts_only_while_somebody_works(stage, context):
    stage.show("/work", TEMPLATE + SCRIPTS, active=40)
    page = context.new_page()
    page.clock.install(time=0)
    page.goto(stage.url + "/work")
    page.wait_for_selector("[data-autosave-ready]")
    page.clock.pause_at(24 * 3600)  # time passes only as the test says, however slow the machine is
    started = int(page.locator("input[name=active_seconds]").input_value())
    page.locator("#text").press_sequentially("a")
    page.clock.run_for(30_000)
    page.locator("#text").press_sequentially("b")
    page.clock.run_for(20 * 60_000)
    seconds = int(page.locator("input[name=active_seconds]").input_value())
    assert started + 30 + 55 <= seconds <= started + 30 + 65


def seconds_of(page) -> int:
    return int(page.locator("input[name=active_seconds]").input_value())


def test_a_sign_of_life_in_another_tab_stops_the_clock_of_this_one(stage, context):
    first = context.new_page()
    first.clock.install()
    first.goto(stage.url + "/work")
    first.wait_for_selector("[data-autosave-ready]")
    first.locator("#text").press_sequentially("a")
    first.clock.run_for(10_000)
    first.evaluate(
        """() => { window.heard = new Promise((done) => {
          new BroadcastChannel("active-time").onmessage = () => done(true); }); }"""
    )
    second = open_work(stage, context)
    second.keyboard.press("Shift")
    assert first.evaluate("() => window.heard")
    before = seconds_of(first)
    first.clock.run_for(5 * 60_000)
    assert seconds_of(first) == before >= 10


def test_time_spent_reading_is_kept_though_nothing_was_written(stage, context):
    page = context.new_page()
    page.clock.install()
    page.goto(stage.url + "/work")
    page.wait_for_selector("[data-autosave-ready]")
    page.mouse.move(300, 300)
    page.clock.run_for(20_000)
    page.mouse.move(320, 300)
    # The page sends it as it closes; the next one is open before that is certain to have come.
    page.goto(stage.url + "/")
    until = time.monotonic() + 20
    while not stage.bodies("PUT", "/draft") and time.monotonic() < until:
        time.sleep(0.05)
    assert int(stage.bodies("PUT", "/draft")[-1]["fields"]["active_seconds"]) >= 20


def test_with_htmx_the_next_task_takes_the_place_and_the_last_one_is_silent(stage, context):
    stage.show("/work", HTMX + SCRIPTS, url="/draft", key="assignment:17")
    stage.show("/next", HTMX + SCRIPTS, url="/draft2", key="assignment:18")
    stage.answer["POST /submit"] = lambda body: (200, stage.pages["/next"]())
    stage.answer["PUT /draft"] = lambda body: (503, {})
    stage.answer["PUT /draft2"] = lambda body: (200, {"revision": 1})
    page = open_work(stage, context)
    page.locator("#text").fill("first answer")
    expect(status(page)).to_contain_text("kept in this browser")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("form[data-draft-key='assignment:18'][data-autosave-ready]")).to_be_visible()
    expect_kept(page, None)
    before = len(stage.bodies("PUT", "/draft"))
    page.locator("#text").fill("second answer")
    expect(status(page)).to_contain_text("Saved ")
    page.wait_for_timeout(2500)
    assert len(stage.bodies("PUT", "/draft")) == before
    assert stage.bodies("PUT", "/draft2")[-1]["fields"] == {"text": "second answer"}


def test_with_htmx_a_refused_submission_keeps_every_word(stage, context):
    stage.show("/work", HTMX + SCRIPTS, url="/draft", key="assignment:17")
    stage.answer["POST /submit"] = lambda body: (503, "busy")
    stage.answer["PUT /draft"] = lambda body: (503, {})
    page = open_work(stage, context)
    page.locator("#text").fill("an answer")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".toast")).to_be_visible()
    expect(page.locator("#text")).to_have_value("an answer")
    expect_kept(page, "an answer")
