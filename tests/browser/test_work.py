"""A day of an annotator in a real browser: write, rank, lose nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from labeling.models import Assignment, Draft, Submission
from labeling.services.reviews import return_submission
from tests.factories import make_demonstration_batch, make_ranking_batch, publish_guideline
from tests.labeling.work import do_next

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def home(page, cast) -> None:
    page.goto(f"/projects/{cast.project.slug}/work/")


def start(page, cast) -> None:
    home(page, cast)
    page.keyboard.press("n")
    page.wait_for_url("**/work/*/")


def test_a_person_reads_the_guideline_writes_and_goes_on_by_keyboard_alone(cast, open_as):
    make_demonstration_batch(cast.project, tasks=2, review_rate=0)
    publish_guideline(cast.project, markdown="# Be brief")
    page = open_as(cast.annotator)
    home(page, cast)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name="Be brief")).to_be_visible()
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/work/*/")
    expect(page.get_by_role("heading", name="Write an answer")).to_be_visible()
    page.keyboard.press("e")
    page.keyboard.type("Paris — Ünïcode 😀 & <tags>")
    first = page.url
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: url.split("?")[0] != first.split("?")[0])
    expect(page.get_by_role("heading", name="Write an answer")).to_be_focused()
    expect(page.get_by_label("Your answer, as the assistant")).to_have_value("")
    assert Submission.objects.get().current.text == "Paris — Ünïcode 😀 & <tags>"


def test_what_is_typed_is_saved_and_there_again_after_a_reload(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1)
    page = open_as(cast.annotator)
    start(page, cast)
    page.get_by_label("Your answer, as the assistant").fill("Half a sentence")
    expect(page.locator("[data-save-status]")).to_contain_text("Saved")
    assert Draft.objects.get().body["text"] == "Half a sentence"
    page.reload()
    expect(page.get_by_label("Your answer, as the assistant")).to_have_value("Half a sentence")


def test_two_windows_with_one_draft_lose_no_word(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1)
    page = open_as(cast.annotator)
    start(page, cast)
    other = page.context.new_page()
    other.goto(page.url)
    page.get_by_label("Your answer, as the assistant").fill("From the first window")
    expect(page.locator("[data-save-status]")).to_contain_text("Saved")
    other.get_by_label("Your answer, as the assistant").fill("From the second window")
    dialog = other.get_by_role("dialog")
    expect(dialog).to_contain_text("From the first window")
    expect(dialog).to_contain_text("From the second window")


def test_the_preview_shows_markdown_while_typing(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1)
    page = open_as(cast.annotator)
    start(page, cast)
    page.get_by_text("Preview", exact=True).click()
    page.get_by_label("Your answer, as the assistant").fill("This is **important**.")
    expect(page.locator("details[data-preview] strong")).to_have_text("important")


def test_completions_are_ranked_by_keyboard_with_a_tie(cast, open_as):
    make_ranking_batch(cast.project, tasks=1, k=3, review_rate=0)
    page = open_as(cast.annotator)
    start(page, cast)
    order = Assignment.objects.get().presentation["order"]
    cards = page.locator("[data-completion]")
    for index, rank in enumerate(("2", "1", "2")):
        cards.nth(index).focus()
        page.keyboard.press(rank)
        page.keyboard.press(f"Shift+{5 - index}")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/work/?done=*")
    expect(page.get_by_text("Nothing to do right now")).to_be_visible()
    stored = Submission.objects.get().current
    assert stored.tiers == [[order[1]], [order[0], order[2]]]
    assert stored.scores == {str(order[0]): 5, str(order[1]): 4, str(order[2]): 3}
    assert stored.touched == order


def test_an_unfinished_ranking_is_held_back_and_said(cast, open_as):
    make_ranking_batch(cast.project, tasks=1, k=2)
    page = open_as(cast.annotator)
    start(page, cast)
    page.locator("[data-completion]").first.focus()
    page.keyboard.press("1")
    page.get_by_role("button", name="Submit, next").click()
    expect(page.locator("#toasts")).to_contain_text("Not ranked yet: B")
    assert not Submission.objects.exists()


def test_a_ranking_without_scores_is_held_back_with_the_order_kept(cast, open_as):
    make_ranking_batch(cast.project, tasks=1, k=2)
    page = open_as(cast.annotator)
    start(page, cast)
    for index in range(2):
        page.locator("[data-completion]").nth(index).focus()
        page.keyboard.press(str(index + 1))
    page.get_by_role("button", name="Submit, next").click()
    expect(page.get_by_text("No score yet: A, B.", exact=True)).to_be_visible()
    expect(page.locator("[data-completion]").first).to_have_attribute("data-rank", "1")
    assert "/submit/" not in page.url


def test_a_task_is_skipped_with_a_reason(cast, open_as):
    make_demonstration_batch(cast.project, tasks=2)
    page = open_as(cast.annotator)
    start(page, cast)
    first = page.url
    page.keyboard.press("Alt+s")
    page.get_by_role("radio", name="Outside my knowledge").check()
    page.get_by_role("dialog").get_by_role("button", name="Skip").click()
    page.wait_for_url(lambda url: "/work/" in url and url != first)
    assert cast.annotator.skips.get().reason == "not_my_field"


def test_returned_work_is_mended_with_the_note_in_view(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    return_submission(submission=submission, revision=1, reviewer=cast.lead, note="Please say it in French.")
    page = open_as(cast.annotator)
    home(page, cast)
    page.locator("a.row-target").first.click()
    page.get_by_role("button", name="Mend it now").click()
    expect(page.get_by_text("Please say it in French.")).to_be_visible()
    answer = page.get_by_label("Your answer, as the assistant")
    expect(answer).to_have_value("Paris is the capital of France.")
    answer.fill("Paris est la capitale de la France.")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/work/?done=*")
    submission.refresh_from_db()
    assert (submission.revision_count, submission.review_reason) == (2, "resubmitted")


def test_what_is_fetched_while_somebody_writes_leaves_the_focus_with_them(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1)
    page = open_as(cast.annotator)
    start(page, cast)
    page.goto(page.url)  # opened by its address: no swap came before
    page.get_by_text("Preview", exact=True).click()
    answer = page.get_by_label("Your answer, as the assistant")
    answer.focus()
    page.keyboard.type("This is **important**.")
    expect(page.locator("details[data-preview] strong")).to_have_text("important")
    expect(answer).to_be_focused()
    page.keyboard.type(" And more.")
    expect(answer).to_have_value("This is **important**. And more.")
    page.keyboard.press("Alt+q")
    expect(page.get_by_label("Write a comment")).to_be_focused()


def test_the_board_says_what_is_missing_and_not_that_all_is_there(cast, open_as):
    make_ranking_batch(cast.project, tasks=1, k=2)
    page = open_as(cast.annotator)
    start(page, cast)
    status = page.locator("[data-rank-status]")
    for index in range(2):
        page.locator("[data-completion]").nth(index).focus()
        page.keyboard.press(str(index + 1))
    expect(status).to_have_text("2 of 2 placed. No score yet: A, B.")
    page.keyboard.press("Shift+4")
    expect(status).to_have_text("2 of 2 placed. No score yet: A.")
    page.locator("[data-completion]").first.focus()
    page.keyboard.press("Shift+6")
    expect(status).to_have_text("Complete: ready to submit.")
