"""The ranking screen in a real browser: reading, reasons, guideline, palette, shortcuts, weight."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotate.accounts.preferences import preferences_of
from labeling.models import Assignment, Submission
from labeling.services.batches import create_ranking_batch
from tests.browser.widths import reaching_over
from tests.factories import make_completions, make_demonstration_batch, make_prompt, publish_guideline
from tests.labeling.work import do_next

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PATIENT = 20_000  # ms: a loaded machine is slow
LONG = "Otters live in rivers and along coasts. " * 150
GUIDE = (
    "# Ranking\n\nRead it.\n\n## Honesty\n\nNo made-up facts about otters.\n\n"
    + "Word. " * 900
    + "\n\n## Form\n\nOtters."
)

# What the sheet of the ranking screen names, in its own words.
RANKING_KEYS = [
    "Submit and take the next", "Skip this task", "Show or hide the guideline", "Search the guideline",
    "Side by side or stacked", "All texts in full", "Texts scroll together", "Text as it was written",
    "Differences from", "Place at that rank", "Cannot be ranked", "None of them", "Undo a move", "Redo it",
    "Jump to", "Show this sheet",
]  # fmt: skip


@pytest.fixture
def at_work(cast, open_as):
    """A page with the only ranking task, of these texts in the order A, B, C …"""

    def open_task(texts, guideline=GUIDE, **options):
        prompt = make_prompt(cast.project, "What is an otter?")
        ids = [each.pk for each in make_completions(prompt, texts)]
        create_ranking_batch(
            project=cast.project,
            name="Otters",
            completion_sets=[(prompt.pk, ids)],
            acting_user=cast.admin,
            review_rate=0,
        )
        if guideline:
            publish_guideline(cast.project, "ranking", guideline, readers=[cast.annotator])
        page = open_as(cast.annotator, **{"viewport": {"width": 1600, "height": 900}, **options})
        page.goto(f"/projects/{cast.project.slug}/work/")
        page.keyboard.press("n")
        page.wait_for_url("**/work/*/")
        page.wait_for_selector("[data-reading-ready][data-reasons-ready]")
        return page

    return open_task


def card(page, letter):
    return page.locator(f'[data-letter="{letter}"]')


def of_text(page, text):
    """The card of a text: which letter it has is the shuffle's business."""
    return page.locator("[data-completion]", has_text=text)


def remembered(cast, name, value):
    """What a person chose is sent on its own: wait until the site has it."""

    def has_come() -> bool:
        cast.annotator.refresh_from_db()
        return preferences_of(cast.annotator)[name] == value

    return has_come


def wait_until(page, true) -> None:
    for _ in range(PATIENT // 100):
        if true():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not come true")


def test_the_layout_is_chosen_by_key_and_remembered_for_another_browser(at_work, cast, open_as):
    page = at_work(["one", "two"])
    first, second = (card(page, letter).bounding_box() for letter in "AB")
    assert first["y"] == second["y"] and first["x"] < second["x"]
    page.keyboard.press("l")
    expect(page.locator('[data-layout="stacked"]')).to_have_count(1)
    first, second = (card(page, letter).bounding_box() for letter in "AB")
    assert first["x"] == second["x"] and first["y"] < second["y"]
    wait_until(page, remembered(cast, "ranking_layout", "stacked"))
    other = open_as(cast.annotator)
    other.goto(page.url)
    expect(other.locator('[data-layout="stacked"]')).to_have_count(1)


def test_two_texts_stand_side_by_side_with_the_guideline_beside_them_at_1280(at_work):
    page = at_work(["One otter.", "Two otters.", "Three otters."], viewport={"width": 1280, "height": 900})
    boxes = [card(page, letter).bounding_box() for letter in "ABC"]
    assert boxes[0]["y"] == boxes[1]["y"] < boxes[2]["y"], "two in a row"
    assert all(box["width"] >= 244 for box in boxes)
    board, guide = (page.locator(each).bounding_box() for each in ("[data-rank-board]", "#guideline"))
    assert boxes[1]["x"] + boxes[1]["width"] < board["x"] < board["x"] + board["width"] < guide["x"]
    assert reaching_over(page) == []
    for each in page.locator("[data-rank-board] button, #guideline .card-header button").all():
        box = each.bounding_box()
        inside = board if box["x"] < guide["x"] else guide
        assert box["x"] >= inside["x"] and box["x"] + box["width"] <= inside["x"] + inside["width"]


def test_long_texts_open_and_close_one_by_one_and_all_at_once(at_work):
    page = at_work([LONG, LONG + "The end.", "Short."])
    buttons = page.locator("[data-expand]:visible")
    expect(buttons).to_have_count(2)
    height = "node => node.getBoundingClientRect().height"
    body = page.locator("[data-long] [data-body]:visible").first
    before = body.evaluate(height)
    buttons.first.click()
    expect(buttons.first).to_have_attribute("aria-expanded", "true")
    assert page.locator("[data-expanded] [data-body]:visible").evaluate(height) > before
    page.keyboard.press("x")
    expect(page.locator("[data-expanded]")).to_have_count(2)
    page.keyboard.press("x")
    expect(page.locator("[data-expanded]")).to_have_count(0)


def test_long_texts_scroll_together_when_wanted_and_by_keyboard(at_work, cast):
    page = at_work([LONG, LONG * 2])
    bodies = page.locator("[data-body]:visible")
    top = "node => node.scrollTop"
    bodies.first.focus()
    page.keyboard.press("End")
    wait_until(page, lambda: bodies.first.evaluate(top) > 0)
    assert bodies.nth(1).evaluate(top) == 0
    page.keyboard.press("s")
    bodies.first.focus()
    page.keyboard.press("Home")
    wait_until(page, lambda: bodies.first.evaluate(top) == 0)
    page.keyboard.press("End")
    share = "node => node.scrollTop / (node.scrollHeight - node.clientHeight)"
    wait_until(page, lambda: bodies.nth(1).evaluate(share) > 0.98)
    wait_until(page, remembered(cast, "scroll_together", "yes"))
    # Arrows scroll a text that has the focus, and rank nothing.
    page.keyboard.press("ArrowUp")
    assert page.locator("[data-rank]").count() == 0


def test_raw_text_is_one_key_away_and_formatting_one_key_back(at_work):
    page = at_work(["**Bold** and $x^2$", "plain"])
    text = of_text(page, "Bold")
    expect(text.locator("strong:visible", has_text="Bold")).to_be_visible()
    expect(text.locator("math")).to_be_visible()
    page.keyboard.press("r")
    expect(text.locator("[data-raw]")).to_be_visible()
    expect(text.locator("[data-raw]")).to_have_text("**Bold** and $x^2$")
    expect(text.locator("math")).to_be_hidden()
    page.keyboard.press("r")
    expect(text.locator("math")).to_be_visible()


def test_differences_to_a_completion_are_marked_word_by_word_and_taken_away(at_work):
    page = at_work(["Otters never eat **fresh** fish at night.", "Otters eat fresh fish and crabs at night."])
    # By letter: what is missing will be shown in the other one too.
    letter = of_text(page, "never").get_attribute("data-letter")
    reference, other = card(page, letter), of_text(page, "crabs")
    reference.focus()
    page.keyboard.press("v")
    body = other.locator("[data-body]:visible")
    expect(body.locator("ins")).to_have_text("and crabs")
    expect(body.locator("del")).to_have_text("never")
    expect(other.locator("[data-difference]")).to_contain_text("75 % as in")
    expect(reference.locator("ins, del")).to_have_count(0)
    expect(reference.locator("[data-body]:visible strong")).to_have_text("fresh")
    page.keyboard.press("v")
    expect(page.locator("[data-body] ins, [data-body] del")).to_have_count(0)
    expect(body).to_have_text("Otters eat fresh fish and crabs at night.")


def test_one_that_cannot_be_ranked_needs_a_reason_which_is_stored(at_work, cast):
    page = at_work(["good", "bad"])
    page.keyboard.press("a")
    page.keyboard.press("1")
    page.keyboard.press("Shift+6")
    page.keyboard.press("b")
    page.keyboard.press("u")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#toasts")).to_contain_text("Say why B cannot be ranked.")
    why = card(page, "B").locator("[data-why-reason]")
    expect(why).to_be_focused()
    why.select_option("other")
    note = card(page, "B").locator("[data-why-note]")
    expect(note).to_be_focused()
    page.keyboard.type("It is a recipe.")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/work/?done=*", timeout=PATIENT)
    order = Assignment.objects.get().presentation["order"]
    stored = Submission.objects.get().current
    assert stored.unrankable_reasons == {str(order[1]): {"reason": "other", "note": "It is a recipe."}}


def test_none_can_be_ranked_is_one_move_one_reason_and_one_undo(at_work, cast):
    page = at_work(["one", "two", "three"])
    page.keyboard.press("a")
    page.keyboard.press("1")
    page.keyboard.press("Shift+U")
    everything = page.get_by_label("One reason for all of them")
    expect(everything).to_be_focused()
    expect(page.locator("[data-unrankable]")).to_have_count(3)
    page.locator("[data-rank-undo]").click()
    expect(page.locator("[data-rank]")).to_have_count(1)
    page.locator("[data-rank-redo]").click()
    expect(page.locator("[data-unrankable]")).to_have_count(3)
    everything.select_option("wrong_language")
    expect(page.locator("[data-save-status]")).to_contain_text("Saved", timeout=PATIENT)
    page.reload()
    expect(card(page, "C").locator("[data-why-reason]")).to_have_value("wrong_language")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/work/?done=*", timeout=PATIENT)
    stored = Submission.objects.get().current
    assert {each["reason"] for each in stored.unrankable_reasons.values()} == {"wrong_language"}
    assert len(stored.unrankable_reasons) == 3 and stored.tiers == []


def test_moves_are_redone_by_key_and_the_focus_stays(at_work):
    page = at_work(["one", "two"])
    page.keyboard.press("a")
    page.keyboard.press("2")
    page.keyboard.press("Control+z")
    expect(page.locator("[data-rank]")).to_have_count(0)
    page.keyboard.press("Control+Shift+Z")
    expect(card(page, "A")).to_have_attribute("data-rank", "2")
    expect(page.locator("#live-region")).to_contain_text("Done again. A: rank 2 of 2")
    page.locator("[data-rank-undo]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-rank-undo]")).to_be_disabled()
    assert page.evaluate("document.activeElement !== document.body")


def test_the_guideline_is_searched_hidden_laid_over_and_remembered(at_work, cast):
    page = at_work(["one", "two"])
    card(page, "B").focus()
    page.keyboard.press("/")
    search = page.get_by_label("Search the guideline")
    expect(search).to_be_focused()
    page.keyboard.type("OTTERS")
    expect(page.locator("[data-guideline-found]")).to_have_text("1 of 2")
    page.keyboard.press("Enter")
    expect(page.locator("[data-guideline-found]")).to_have_text("2 of 2")
    expect(page.locator("mark[data-current]")).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(page.locator("mark")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(card(page, "B")).to_be_focused()
    page.get_by_text("Contents").click()
    page.get_by_role("link", name="Form").click()
    expect(page.get_by_role("heading", name="Form")).to_be_focused()
    assert "#" not in page.url
    page.get_by_role("button", name="Over the work").click()
    expect(page.locator('.work[data-place="over"]')).to_have_count(1)
    expect(page.get_by_role("button", name="Submit, next")).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(page.locator("#guideline")).to_be_hidden()
    expect(card(page, "B")).to_be_focused()
    wait_until(page, remembered(cast, "guideline_place", "hidden"))
    page.reload()
    expect(page.locator("#guideline")).to_be_hidden()
    page.keyboard.press("Alt+g")
    expect(page.locator("#guideline")).to_be_visible()


def test_what_changed_since_ones_last_version_is_shown_on_demand(at_work, cast):
    publish_guideline(cast.project, "ranking", GUIDE.replace("Otters.", "Short."), readers=[cast.annotator])
    page = at_work(["one", "two"])
    page.get_by_text("What changed since version 1").click()
    expect(page.locator("#guideline .added")).to_contain_text("Otters.", timeout=PATIENT)
    expect(page.locator("#guideline .removed")).to_contain_text("Short.")


def test_the_palette_jumps_to_a_section_by_keyboard_alone_and_gives_the_focus_back(at_work):
    page = at_work(["one", "two"])
    card(page, "B").focus()
    page.keyboard.press("Control+k")
    box = page.get_by_role("combobox", name="Jump to")
    expect(box).to_be_focused()
    expect(page.get_by_role("option", name="My work")).to_be_visible(timeout=PATIENT)
    page.keyboard.press("Escape")
    expect(box).to_have_count(0)
    expect(card(page, "B")).to_be_focused()
    page.keyboard.press("Control+k")
    page.keyboard.type("honest")
    section = page.get_by_role("option", name="Honesty")
    expect(section).to_have_attribute("aria-selected", "true", timeout=PATIENT)
    expect(box).to_have_attribute("aria-activedescendant", section.get_attribute("id"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/guidelines/ranking/versions/1/#section-2", timeout=PATIENT)


def test_the_next_task_has_the_focus_and_after_the_last_one_the_heading(at_work, cast):
    page = at_work(["one", "two"], guideline="")
    for letter, rank in (("a", "1"), ("b", "2")):
        page.keyboard.press(letter)
        page.keyboard.press(rank)
        page.keyboard.press("Shift+4")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/work/?done=*", timeout=PATIENT)
    expect(page.get_by_role("heading", name="Work", exact=True)).to_be_focused()


def test_the_sheet_names_every_key_of_the_page(at_work, cast, open_as):
    page = at_work(["one", "two"])
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog")
    for words in RANKING_KEYS:
        expect(sheet).to_contain_text(words)
    # On the review page too; keys of what is folded away are not claimed.
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    do_next(cast.peer, cast.project, "demonstration")
    lead = open_as(cast.lead)
    lead.goto(f"/projects/{cast.project.slug}/review/")
    lead.locator("a.row-target").first.click()
    lead.wait_for_url("**/review/*/")
    lead.keyboard.press("?")
    sheet = lead.get_by_role("dialog", name="Keyboard shortcuts")
    for words in ("Accept", "Return", "Reject", "Fix it yourself", "Leave it, next", "Jump to"):
        expect(sheet).to_contain_text(words)


def test_the_screen_reads_in_both_directions_and_never_wider_than_a_phone(at_work):
    texts = [
        "القضاعة حيوان ثديي يعيش في الأنهار",
        "水獭是半水栖的哺乳动物。" * 30,
        "שלום " + "x" * 300,
        "$$\\sum_{i=1}^{n} " + "x_i + " * 60 + "y$$",
    ]
    page = at_work(texts, viewport={"width": 390, "height": 800})
    assert reaching_over(page) == []
    direction = "node => getComputedStyle(node).direction"
    assert of_text(page, "القضاعة").locator("[data-body]:visible").evaluate(direction) == "rtl"
    assert of_text(page, "水獭").locator("[data-body]:visible").evaluate(direction) == "ltr"
    page.set_viewport_size({"width": 1600, "height": 900})
    assert reaching_over(page) == []


def test_going_back_shows_what_became_of_the_task_not_a_dead_copy_of_its_form(at_work, cast):
    page = at_work(["one", "two"], guideline="")
    for letter, rank in (("a", "1"), ("b", "2")):
        page.keyboard.press(letter)
        page.keyboard.press(rank)
        page.keyboard.press("Shift+4")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/work/?done=*", timeout=PATIENT)
    page.go_back()
    page.wait_for_url("**/submissions/*/", timeout=PATIENT)
    expect(page.get_by_role("heading", name="The ranking")).to_be_visible()
