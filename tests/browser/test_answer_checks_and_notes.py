"""What only a browser shows of checks while typing and of notes on stretches: pauses, selections, keys,
focus.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from labeling.models import SpanNote, Submission
from labeling.services.batches import create_ranking_batch
from labeling.services.span_notes import add_note
from tests.factories import make_completions, make_demonstration_batch, make_prompt
from tests.labeling.work import do_next

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ANSWER = "Your answer, as the assistant"
SOON = 20_000


def start(page, cast) -> None:
    page.goto(f"/projects/{cast.project.slug}/work/")
    page.keyboard.press("n")
    page.wait_for_url("**/work/*/")


def test_a_warning_appears_while_typing_leads_to_its_stretch_and_is_asked_once(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    page = open_as(cast.annotator)
    start(page, cast)
    area = page.get_by_label(ANSWER)
    area.press_sequentially("🦀 Write to ann@example.org")
    remark = page.locator("[data-remarks] li")
    expect(remark).to_contain_text("Looks like an e-mail address.", timeout=SOON)
    expect(page.locator("[data-tokens]")).to_contain_text("an estimate")
    expect(area).to_be_focused()
    remark.get_by_role("button", name="Show where").click()
    chosen = "(area) => area.value.slice(area.selectionStart, area.selectionEnd)"
    assert area.evaluate(chosen) == "ann@example.org"
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert").first).to_contain_text("Submit anyway?", timeout=SOON)
    expect(area).to_have_value("🦀 Write to ann@example.org")
    page.get_by_role("button", name="Submit anyway, next").click()
    page.wait_for_url("**/work/?done=*")
    assert Submission.objects.get().current.warnings[0]["start"] == 11


def test_a_stretch_of_a_completion_is_marked_by_keyboard_alone(cast, open_as):
    prompt = make_prompt(cast.project)
    texts = ["🦀 First **bold** word. A second sentence.", "Other."]
    completions = make_completions(prompt, texts)
    ids = [each.pk for each in completions]
    create_ranking_batch(
        project=cast.project,
        name="one",
        completion_sets=[(prompt.pk, ids)],
        acting_user=cast.admin,
        review_rate=0,
    )
    page = open_as(cast.annotator)
    start(page, cast)
    card = page.locator(f'[data-completion="{completions[0].public_id}"]')
    card.focus()
    page.keyboard.press("m")
    text = page.get_by_label("The text as it was written")
    expect(text).to_be_focused()
    page.keyboard.press("s")
    page.keyboard.press("s")
    expect(page.locator("[data-span-chosen]")).to_contain_text("A second sentence.")
    page.keyboard.press("-")
    page.keyboard.press("Enter")
    page.keyboard.type("Why a second one?")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    noted = page.locator("[data-span-list] li")
    expect(noted).to_contain_text("A second")
    expect(page.locator("[data-save-status]")).to_contain_text("Saved", timeout=SOON)
    page.reload()
    expect(noted).to_contain_text("Why a second one?")
    for index in range(2):
        page.locator("[data-completion]").nth(index).focus()
        page.keyboard.press(str(index + 1))
        page.keyboard.press("Shift+5")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/work/?done=*")
    note = SpanNote.objects.get()
    assert (note.quote, note.start, note.comment) == ("A second", 23, "Why a second one?")


def test_a_selection_in_the_rendered_answer_is_found_in_the_raw_text(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project, text="One *fine* day in Paris.")
    page = open_as(cast.lead)
    page.goto(f"/projects/{cast.project.slug}/review/{submission.pk}/")
    rendered = page.locator('[data-span-rendered="answer"] p')
    rendered.evaluate(
        "(p) => { const last = p.lastChild; getSelection().setBaseAndExtent(last, 8, last, 13); }"
    )
    page.locator("[data-span-notes] summary").first.click()
    rendered.evaluate(
        "(p) => { const last = p.lastChild; getSelection().setBaseAndExtent(last, 8, last, 13); }"
    )
    page.get_by_role("button", name="Mark a stretch").evaluate("(button) => button.click()")
    expect(page.locator("[data-span-chosen]")).to_contain_text("“Paris”")
    page.get_by_label("Your comment").fill("Which one?")
    page.get_by_role("button", name="Add the note").click()
    expect(page.locator("mark.span-note")).to_contain_text("Paris", timeout=SOON)
    assert SpanNote.objects.get().start == 18


def test_notes_are_highlighted_in_the_rendered_text_where_their_words_stand_once(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project, text="One *fine* day, one day.")
    add_note(submission=submission, author=cast.lead, start=5, end=9, comment="Really?")
    add_note(submission=submission, author=cast.lead, start=11, end=14, comment="Twice")
    page = open_as(cast.annotator)
    page.goto(f"/projects/{cast.project.slug}/submissions/{submission.pk}/")
    expect(page.locator("mark.span-note")).to_have_count(2)
    page.wait_for_function("() => CSS.highlights.get('span-note')?.size === 1")
