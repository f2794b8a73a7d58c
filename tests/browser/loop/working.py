"""A day of an annotator and of a lead: without a mouse, except where somebody drags once."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from .window import Window


def read_the_guideline_and_start(annotator: Window, project: str) -> None:
    """`n` starts; the guideline is new to them and comes first; Ctrl+Enter says it was read."""
    page = annotator.open(f"{project}work/")
    annotator.press("n")
    page.wait_for_url("**/work/guideline/**")
    annotator.picture("12-read-guideline")
    annotator.press("Control+Enter")
    page.wait_for_url("**/work/*/")


def start(annotator: Window, project: str) -> None:
    page = annotator.open(f"{project}work/")
    annotator.press("n")
    page.wait_for_url(lambda url: url.rstrip("/").rpartition("/")[2].isdigit())


def write_an_answer(annotator: Window, text: str) -> None:
    """By keys alone: `e` goes to the answer, Ctrl+Enter submits and takes the next."""
    page = annotator.page
    expect(page.get_by_role("heading", name="Write an answer")).to_be_visible()
    here = page.url
    annotator.press("e")
    page.keyboard.type(text)
    expect(annotator.field("Your answer, as the assistant")).to_have_value(text)
    annotator.picture("13-write")
    annotator.press("Control+Enter")
    annotator.goes_on_after(here)


def skip_the_task(annotator: Window, reason: str) -> None:
    """Alt+S opens the reasons, the arrows choose, Enter skips."""
    page = annotator.page
    here = page.url
    annotator.press("Alt+s")
    dialog = page.get_by_role("dialog")
    chosen = dialog.get_by_role("radio", name=reason)
    expect(dialog.get_by_role("radio").first).to_be_focused()
    annotator.press("Space")
    for _ in range(dialog.get_by_role("radio").count()):
        if chosen.is_checked():
            break
        annotator.press("ArrowDown")
    annotator.picture("14-skip")
    annotator.tab_to(dialog.get_by_role("button", name="Skip"))
    annotator.press("Enter")
    annotator.leaves(here)


def mend_what_was_returned(annotator: Window, project: str, note: str, text: str) -> None:
    page = annotator.open(f"{project}work/")
    annotator.picture("20-returned-to-you")
    annotator.tab_to(page.locator("a.row-target").first)
    annotator.press("Enter")
    annotator.says(note)
    annotator.picture("21-returned")
    annotator.press("n")
    page.wait_for_url("**/work/*/")
    answer = annotator.field("Your answer, as the assistant")
    expect(answer).to_be_visible()
    annotator.says(note)
    annotator.press("e", "Control+a")
    page.keyboard.type(text)
    annotator.picture("22-mend")
    here = page.url
    annotator.press("Control+Enter")
    annotator.leaves(here)


# ── ranking ──
def rank_by_keyboard(annotator: Window, places: str, scores: str) -> None:
    """`places` "1223": A first, B and C tied second, D third; `scores` are typed with Shift."""
    page = annotator.page
    expect(page.get_by_role("heading", name="Rank completions")).to_be_visible()
    cards = page.locator("[data-completion]")
    expect(cards).to_have_count(len(places))
    here = page.url
    for index, (place, score) in enumerate(zip(places, scores, strict=True)):
        annotator.press("ABCDEFGHI"[index].lower())
        expect(cards.nth(index)).to_be_focused()
        annotator.press(place, f"Shift+{score}")
        expect(cards.nth(index)).to_have_attribute("data-rank", place)
    annotator.picture("40-ranked")
    annotator.press("Control+Enter")
    annotator.goes_on_after(here)


def rank_by_drag(annotator: Window, scores: str) -> None:
    """Letters are dragged to the board in the order shown; scores are clicked."""
    page = annotator.page
    expect(page.get_by_role("heading", name="Rank completions")).to_be_visible()
    here = page.url
    cards = page.locator("[data-completion]")
    for index, score in enumerate(scores):
        letter = "ABCDEFGHI"[index]
        chip = page.locator(".rank-chip", has=page.locator(f'.letter:text-is("{letter}")'))
        _drag(annotator, chip, page.locator(f'.rank-slot[data-slot="{index}"]'))
        expect(cards.nth(index)).to_have_attribute("data-rank", str(index + 1))
        cards.nth(index).locator(".scale label").nth(int(score) - 1).click()
    annotator.picture("41-dragged")
    annotator.button("Submit, next").click()
    annotator.goes_on_after(here)


def _drag(person: Window, source: Locator, target: Locator) -> None:
    """Slowly, as a hand does: the board opens gaps while something is held."""
    mouse, page = person.page.mouse, person.page
    target.scroll_into_view_if_needed()
    start = source.bounding_box()
    mouse.move(start["x"] + 10, start["y"] + start["height"] / 2)
    mouse.down()
    mouse.move(start["x"] + 14, start["y"] + 16, steps=4)
    page.wait_for_function("document.querySelector('.rank-slot') !== null")
    page.wait_for_timeout(60)
    handles = [source.element_handle(), target.element_handle()]
    for attempt in range(40):  # until it lies there: a busy machine takes its time to follow
        end, sway = target.bounding_box(), attempt % 2
        mouse.move(end["x"] + end["width"] / 2 + sway, end["y"] + end["height"] / 2 + sway, steps=8)
        page.wait_for_timeout(50)
        if page.evaluate("([chip, place]) => place.contains(chip)", handles):
            break
    mouse.up()


# ── review ──
def start_reviewing(lead: Window, project: str) -> None:
    page = lead.open(f"{project}review/")
    lead.picture("15-review-queue")
    lead.press("n")
    page.wait_for_url("**/review/*/")


def accept(lead: Window) -> None:
    here = lead.page.url
    lead.picture("16-review")
    lead.press("a")
    lead.leaves(here)


def give_back(lead: Window, note: str) -> None:
    """Return it: `r`, the first reason, a note."""
    here = lead.page.url
    lead.press("r")
    _say_why(lead, note, "17-return")
    lead.tab_to(lead.page.get_by_role("dialog").get_by_role("button", name="Return"))
    lead.press("Enter")
    lead.leaves(here)


def reject(lead: Window, note: str) -> None:
    here = lead.page.url
    lead.press("x")
    _say_why(lead, note, "18-reject")
    lead.tab_to(lead.page.get_by_role("dialog").get_by_role("button", name="Reject"))
    lead.press("Enter")
    lead.leaves(here)


def _say_why(lead: Window, note: str, picture: str) -> None:
    dialog = lead.page.get_by_role("dialog")
    expect(dialog.get_by_role("checkbox").first).to_be_focused()
    lead.press("Space")
    lead.tab_to(lead.field("Note to its author", dialog))
    lead.page.keyboard.type(note)
    lead.picture(picture)


def fix(lead: Window, text: str) -> None:
    """Mend the answer oneself: `f`, the text, the button."""
    here = lead.page.url
    lead.press("f")
    lead.tab_to(lead.field("The mended answer"))
    lead.press("Control+a")
    lead.page.keyboard.type(text)
    lead.picture("19-fix")
    lead.tab_to(lead.button("Save the fix and accept"))
    lead.press("Enter")
    lead.leaves(here)


def accept_all(lead: Window, project: str, count: int) -> None:
    start_reviewing(lead, project)
    for _ in range(count):
        accept(lead)
    lead.says("Nothing to review")
