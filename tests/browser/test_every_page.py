"""What app.js gives to every page: focus, toasts, confirmation, shortcuts, counters, menus."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.browser.stage import Stage

PAGE = """{% block heading %}Page{% endblock %}{% block content %}
<form id="list" hx-get="/part" hx-trigger="change from:#choice" hx-target="#part">
<select id="choice" name="choice" aria-label="Choice"><option>a</option><option>b</option></select></form>
<div id="part"><h2>Part</h2>
<button id="again" class="btn" hx-get="/part" hx-target="#part">Again</button></div>
<div id="poll" hx-get="/poll" hx-trigger="every 200ms">0</div>
<button class="btn" hx-post="/act" hx-target="#part" data-shortcut="g">Go</button>
<form method="post" action="/delete"><button class="btn btn-danger" data-confirm="Delete it?"
 data-confirm-text="It cannot be taken back." data-confirm-action="Delete">Delete…</button></form>
<label for="words">Words</label><textarea id="words" maxlength="20"></textarea>
<output data-counter-for="words"></output>
<button class="btn" data-copy-text="copied text">Copy</button>
{% endblock %}"""


@pytest.fixture
def stage():
    stage = Stage()
    stage.show("/page", PAGE)
    part = '<h2>Part again</h2><button id="again" class="btn" hx-get="/part" hx-target="#part">Again</button>'
    stage.answer["GET /part"] = lambda body: (200, part)
    stage.answer["GET /poll"] = lambda body: (200, "<h2>polled</h2>")
    stage.answer["POST /delete"] = lambda body: (200, "<!DOCTYPE html><title>deleted</title>")
    yield stage
    stage.close()
    assert not stage.complaints


@pytest.fixture
def page(stage, browser):
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    page = stage.watch(context.new_page())
    page.goto(stage.url + "/page")
    yield page
    context.close()


def focused(page) -> str:
    return page.evaluate("() => document.activeElement.id || document.activeElement.tagName")


def test_a_button_that_was_swapped_has_the_focus_again(page):
    page.locator("#again").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#part h2")).to_have_text("Part again")
    expect(page.locator("#again")).to_be_focused()


def test_focus_that_has_nowhere_to_return_goes_to_the_new_heading(stage, page):
    stage.answer["GET /part"] = lambda body: (200, "<h2>Only words</h2>")
    page.locator("#again").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#part h2")).to_be_focused()


def test_a_poll_takes_the_focus_from_nobody(page):
    expect(page.locator("#poll")).to_have_text("polled")
    assert focused(page) == "BODY"
    page.locator("#words").focus()
    page.wait_for_timeout(600)
    assert focused(page) == "words"


@pytest.mark.parametrize(("level", "role"), [("success", "status"), ("error", "alert")])
def test_the_server_can_say_something(stage, page, level, role):
    header = {
        "HX-Trigger": json.dumps({"toast": {"message": "Kept <b>safe</b>", "level": level, "seconds": 600}})
    }
    stage.answer["POST /act"] = lambda body: (200, "done", header)
    page.get_by_role("button", name="Go").click()
    toast = page.locator(f".toast.toast-{level}[role={role}]")
    expect(toast.locator("p")).to_have_text("Kept <b>safe</b>")
    toast.get_by_role("button", name="Dismiss").click()
    expect(toast).to_have_count(0)


def test_a_failure_changes_nothing_and_says_so_once(stage, page):
    stage.answer["POST /act"] = lambda body: (409, {"error": {"message": "Somebody was faster."}})
    page.get_by_role("button", name="Go").click()
    expect(page.locator(".toast p")).to_have_text("Somebody was faster.")
    expect(page.locator("#part h2")).to_have_text("Part")
    assert page.locator(".toast").count() == 1


def test_requests_carry_the_token(stage, page):
    stage.answer["POST /act"] = lambda body: (200, "done")
    with page.expect_request("**/act") as info:
        page.get_by_role("button", name="Go").click()
    assert info.value.headers["x-csrftoken"] == stage.token


def test_a_confirmed_action_is_done_and_a_refused_one_is_not(stage, page):
    page.get_by_role("button", name="Delete…").click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("It cannot be taken back.")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert stage.bodies("POST", "/delete") == []
    page.get_by_role("button", name="Delete…").click()
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(page).to_have_title("deleted")
    assert len(stage.bodies("POST", "/delete")) == 1


def test_the_way_back_has_its_own_name_where_cancel_could_be_meant_either_way(stage, page):
    stage.show(
        "/cancel",
        """{% block content %}<form method="post" action="/delete"><button class="btn btn-danger"
 data-confirm="Cancel this run?" data-confirm-action="Cancel the run" data-confirm-keep="Let it go on">Cancel
</button></form>{% endblock %}""",
    )
    page.goto(stage.url + "/cancel")
    page.get_by_role("button", name="Cancel").click()
    dialog = page.locator("dialog[open]")
    assert dialog.get_by_role("button").all_inner_texts() == ["Let it go on", "Cancel the run"]
    dialog.get_by_role("button", name="Let it go on").click()
    expect(dialog).to_have_count(0)
    assert stage.bodies("POST", "/delete") == []


def test_shortcuts_act_are_listed_and_rest_while_somebody_types(stage, page):
    stage.answer["POST /act"] = lambda body: (200, "done")
    page.locator("#words").press_sequentially("go?")
    assert stage.bodies("POST", "/act") == []
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_contain_text("Go")
    page.keyboard.press("g")
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    assert stage.bodies("POST", "/act") == [], "a key means nothing below an open dialog"
    page.keyboard.press("g")
    expect(page.locator("#part")).to_have_text("done")


def test_length_is_counted_in_characters_people_see(page):
    page.locator("#words").fill("Otters eat 🦀")
    expect(page.locator("[data-counter-for]")).to_have_text("2 words · 12 / 20 characters")


def test_the_menu_closes_by_key_and_gives_the_focus_back(page):
    page.locator("details.menu summary").last.click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(page.locator("details.menu summary").last).to_be_focused()


def test_it_copies_and_says_so(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("button[data-copy-text]")).to_have_text("Copied")
    assert page.evaluate("() => navigator.clipboard.readText()") == "copied text"


def test_the_first_tab_stop_skips_to_the_content(page):
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_times_in_the_readers_zone_are_written_as_the_server_writes_them(stage, browser):
    stage.show(
        "/times",
        '{% block content %}<time datetime="2026-11-21T16:40:00+00:00" data-local>x</time>{% endblock %}',
    )
    context = browser.new_context(timezone_id="Asia/Tokyo", locale="en-US")
    page = stage.watch(context.new_page())
    page.goto(stage.url + "/times")
    expect(page.locator("time")).to_have_text("2026-11-22 01:40")
    context.close()
