"""The review list by keyboard alone: moving, choosing, deciding, taking back; an appeal from both sides."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from labeling.models import Review, Submission
from labeling.services.reviews import fix_submission
from tests.factories import make_demonstration_batch
from tests.labeling.work import do_next

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PATIENCE = 20_000


@pytest.fixture
def submissions(cast):
    make_demonstration_batch(cast.project, tasks=4, review_rate=1)
    return [do_next(cast.annotator, cast.project) for _ in range(4)]


def statuses() -> list[str]:
    return list(Submission.objects.order_by("pk").values_list("status", flat=True))


def open_list(page, cast) -> None:
    page.goto(f"/projects/{cast.project.slug}/review/")
    expect(page.locator("[data-review-row]")).to_have_count(4, timeout=PATIENCE)
    page.wait_for_load_state("load")  # modules have run by then


def row(page, index):
    return page.locator("[data-review-row] a.row-target").nth(index)


def test_several_are_chosen_decided_and_taken_back_by_keyboard(cast, open_as, submissions):
    page = open_as(cast.lead)
    open_list(page, cast)
    page.keyboard.press("j")
    expect(row(page, 0)).to_be_focused()
    page.keyboard.press("v")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    expect(row(page, 2)).to_be_focused()
    page.keyboard.press("v")
    expect(page.locator("[data-chosen-count]")).to_have_text("2 chosen")
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="Accept 2 submissions?")).to_be_visible(timeout=PATIENCE)
    assert not Review.objects.exists()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Accepted: 2")).to_be_visible(timeout=PATIENCE)
    assert statuses() == ["accepted", "awaiting_review", "accepted", "awaiting_review"]
    page.keyboard.press("u")
    expect(page.get_by_text("2 taken back.")).to_be_visible(timeout=PATIENCE)
    assert statuses() == ["awaiting_review"] * 4


def test_one_is_opened_decided_the_next_comes_and_it_is_taken_back(cast, open_as, submissions):
    page = open_as(cast.lead)
    open_list(page, cast)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/review/{submissions[0].pk}/**", timeout=PATIENCE)
    page.keyboard.press("a")
    page.wait_for_url(f"**/review/{submissions[1].pk}/**", timeout=PATIENCE)
    page.keyboard.press("u")
    page.wait_for_url(f"**/review/{submissions[0].pk}/**", timeout=PATIENCE)
    expect(page.get_by_text("Taken back.")).to_be_visible(timeout=PATIENCE)
    assert statuses()[0] == "awaiting_review"


def test_f_on_the_list_opens_the_piece_at_its_fix(cast, open_as, submissions):
    page = open_as(cast.lead)
    open_list(page, cast)
    page.keyboard.press("j")
    page.keyboard.press("f")
    expect(page.get_by_label("The mended answer")).to_be_focused(timeout=PATIENCE)


def test_an_author_appeals_and_another_lead_overturns(cast, open_as, submissions):
    fix_submission(submission=submissions[0], revision=1, reviewer=cast.lead, text="Rome.")
    author = open_as(cast.annotator)
    author.goto(f"/projects/{cast.project.slug}/submissions/{submissions[0].pk}/")
    expect(author.locator(".diff ins").first).to_be_visible(timeout=PATIENCE)
    author.get_by_label("Say why").fill("It is Paris, as I wrote.")
    author.get_by_role("button", name="Appeal", exact=True).click()
    expect(author.get_by_text("Your appeal waits for a reviewer.")).to_be_visible(timeout=PATIENCE)
    lead = open_as(cast.lead)
    lead.goto(f"/projects/{cast.project.slug}/review/")
    lead.get_by_role("link", name="Appeals 1").click()
    lead.get_by_role("row").nth(1).get_by_role("link").click()
    expect(lead.get_by_text("This appeal is against your own decision.")).to_be_visible(timeout=PATIENCE)
    admin = open_as(cast.admin)
    admin.goto(lead.url)
    admin.get_by_label("Note to both").fill("Paris it is.")
    admin.get_by_role("button", name="Overturn").click()
    expect(admin.get_by_text("No appeal waits")).to_be_visible(timeout=PATIENCE)
    author.reload()
    expect(author.get_by_text("Overturned").first).to_be_visible(timeout=PATIENCE)
    expect(author.get_by_text("Paris is the capital of France.").first).to_be_visible(timeout=PATIENCE)
