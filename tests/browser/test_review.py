"""A lead decides in a real browser, mostly by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from labeling.models import Submission
from tests.factories import make_demonstration_batch, make_ranking_batch
from tests.labeling.work import do_next

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def start(page, cast) -> None:
    page.goto(f"/projects/{cast.project.slug}/review/")
    page.get_by_role("link", name="Start reviewing").click()
    page.wait_for_url("**/review/*/")


def test_accept_return_and_reject_follow_one_another_by_keyboard(cast, open_as):
    make_demonstration_batch(cast.project, tasks=3, review_rate=1)
    for _ in range(3):
        do_next(cast.annotator, cast.project)
    page = open_as(cast.lead)
    start(page, cast)
    for key, button in [("a", None), ("r", "Return"), ("x", "Reject")]:
        before = page.url
        page.keyboard.press(key)
        if button:
            dialog = page.get_by_role("dialog")
            dialog.get_by_label("Note to its author").fill("Please look at the guideline.")
            dialog.get_by_role("button", name=button).click()
        page.wait_for_url(lambda url, before=before: url != before)
    expect(page.get_by_text("Nothing to review")).to_be_visible()
    statuses = Submission.objects.order_by("pk").values_list("status", flat=True)
    assert list(statuses) == ["accepted", "returned", "rejected"]


def test_a_demonstration_is_fixed_and_its_author_sees_what_changed(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    page = open_as(cast.lead)
    start(page, cast)
    page.keyboard.press("f")
    page.get_by_label("The mended answer").fill("Paris is the capital of Italy.")
    page.get_by_role("button", name="Save the fix and accept").click()
    page.wait_for_url("**/review/")
    author = open_as(cast.annotator)
    author.goto(f"/projects/{cast.project.slug}/submissions/{submission.pk}/")
    expect(author.locator(".diff ins")).to_have_text("Italy")
    expect(author.locator(".diff del")).to_have_text("France")


def test_a_ranking_is_fixed_with_the_same_widget(cast, open_as):
    make_ranking_batch(cast.project, tasks=1, k=2, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    first, second = submission.current.tiers
    page = open_as(cast.lead)
    start(page, cast)
    page.keyboard.press("f")
    page.locator("[data-completion]").nth(1).focus()
    page.keyboard.press("ArrowUp")
    page.get_by_role("button", name="Save the fix and accept").click()
    page.wait_for_url("**/review/")
    assert submission.current.tiers == [second, first]


def test_the_reasons_of_a_return_are_sent_by_the_key_that_submits(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    page = open_as(cast.lead)
    start(page, cast)
    page.keyboard.press("r")
    note = page.get_by_role("dialog").get_by_label("Note to its author")
    note.press_sequentially("Please say why.")
    note.press("Control+Enter")
    page.wait_for_url("**/review/")
    submission.refresh_from_db()
    assert submission.status == "returned"
