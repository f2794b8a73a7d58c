"""No word is lost, whatever happens while somebody writes: each accident on the real site."""

from __future__ import annotations

import json

import pytest
from django.conf import settings
from playwright.sync_api import expect

from labeling.models import Assignment, Draft, Submission
from labeling.services.assignments import release_expired
from labeling.services.batches import close_batch
from labeling.services.reviews import return_submission
from tests.conftest import PASSWORD
from tests.factories import make_demonstration_batch, make_ranking_batch
from tests.labeling.work import claim, expire, submit

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PATIENT = 20_000  # ms: a loaded machine is slow


@pytest.fixture
def at_work(cast, open_as):
    """A page with a task in hand, of the kind that was made; further windows by its context."""

    def open_task(make=make_demonstration_batch, **policy):
        make(cast.project, tasks=1, **policy)
        page = open_as(cast.annotator)
        page.clock.install()
        page.goto(f"/projects/{cast.project.slug}/work/")
        page.keyboard.press("n")
        page.wait_for_url("**/work/*/")
        page.wait_for_selector("[data-autosave-ready]")
        return page

    return open_task


def answer(page):
    return page.get_by_label("Your answer, as the assistant")


def status(page):
    return page.locator("[data-save-status]")


def send(page) -> None:
    page.get_by_role("button", name="Submit, next").click()


def saved(page) -> None:
    """The site has the words; the page's clock is ours, so it is told that time passes."""
    page.clock.run_for(1_000)
    expect(status(page)).to_contain_text("Saved", timeout=PATIENT)


def test_two_tabs_of_a_ranking_show_both_orders_in_letters_and_one_is_kept(at_work):
    page = at_work(make_ranking_batch, k=3)
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_selector("[data-autosave-ready]")
    for rank, card in enumerate(page.locator("[data-completion]").all(), start=1):
        card.focus()
        page.keyboard.press(str(rank))
    saved(page)
    other.locator("[data-completion]").nth(2).focus()
    other.keyboard.press("1")
    dialog = other.get_by_role("dialog")
    expect(dialog).to_contain_text("A > B > C", timeout=PATIENT)
    expect(dialog).to_contain_text("Saved elsewhere")
    dialog.get_by_role("button", name="Take the other one").click()
    expect(other.locator("[data-completion]").first).to_have_attribute("data-rank", "1")
    expect(other.locator("[data-completion]").nth(2)).to_have_attribute("data-rank", "3")


def test_a_lease_that_ran_out_is_no_loss_while_the_slot_is_free(at_work, cast):
    page = at_work(review_rate=0)
    answer(page).fill("Written slowly.")
    saved(page)
    expire(Assignment.objects.get())
    release_expired()
    answer(page).fill("Written slowly, and well.")
    send(page)
    page.wait_for_url("**/work/?done=*", timeout=PATIENT)
    assert Submission.objects.get().current.text == "Written slowly, and well."


def test_a_lease_that_went_to_somebody_else_leaves_the_words_with_author_and_lead(at_work, cast):
    page = at_work(review_rate=0)
    answer(page).fill("Too slow.")
    saved(page)
    assignment = Assignment.objects.get()
    expire(assignment)
    release_expired()
    submit(claim(cast.peer, cast.project), cast.peer)
    answer(page).fill("Too slow, but whole.")
    send(page)
    expect(page.locator("#toasts")).to_contain_text("Your work is kept", timeout=PATIENT)
    page.clock.run_for(30_000)
    expect(page.locator("#toasts")).to_contain_text("Your work is kept")  # an error stays until it is read
    expect(answer(page)).to_have_value("Too slow, but whole.")
    draft = Draft.objects.get(user=cast.annotator)
    assert (draft.is_late, draft.body["text"]) == (True, "Too slow, but whole.")
    page.reload()
    expect(page.get_by_role("heading", name="no longer in your hands")).to_be_visible()
    expect(page.locator("#kept")).to_have_text("Too slow, but whole.")


def test_a_ranking_whose_lease_was_lost_is_shown_as_it_was(at_work, cast):
    page = at_work(make_ranking_batch, k=2)
    for rank in (1, 2):
        page.locator("[data-completion]").nth(rank - 1).focus()
        page.keyboard.press(str(rank))
    page.get_by_label("Why this order?").fill("B is rude.")
    saved(page)
    expire(Assignment.objects.get())
    release_expired()
    claim(cast.peer, cast.project)
    page.reload()
    expect(page.locator("#kept")).to_contain_text("A > B")
    expect(page.locator("#kept")).to_contain_text("B is rude.")


def test_a_session_that_ended_is_begun_again_in_place_and_the_submit_goes_on(at_work, cast):
    cast.annotator.set_password(PASSWORD)
    cast.annotator.save()
    page = at_work(review_rate=0)
    answer(page).fill("Half of it.")
    saved(page)
    end_session(page)
    answer(page).fill("All of it.")
    page.clock.run_for(1_000)
    sign_in(page)
    saved(page)
    assert Draft.objects.get().body["text"] == "All of it."
    # And once more at the worst moment: the submit itself.
    end_session(page)
    send(page)
    sign_in(page)
    page.wait_for_url("**/work/?done=*", timeout=PATIENT)
    assert Submission.objects.get().current.text == "All of it."


def test_signing_in_again_in_another_tab_is_enough(at_work, cast):
    cast.annotator.set_password(PASSWORD)
    cast.annotator.save()
    page = at_work(review_rate=0)
    end_session(page)
    other = page.context.new_page()
    other.goto("/accounts/login/")
    other.locator("input[name=login]").fill("anna")
    other.locator("input[name=password]").fill(PASSWORD)
    other.get_by_role("button", name="Sign in").click()
    other.wait_for_url("**/projects/**", timeout=PATIENT)
    # The token of the page is that of the session before.
    # Sent at once: the submit itself, before any draft is saved, has to take the new one over.
    answer(page).fill("With the old token.")
    send(page)
    page.wait_for_url("**/work/?done=*", timeout=PATIENT)
    assert Submission.objects.get().current.text == "With the old token."


def end_session(page) -> None:
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)


def sign_in(page) -> None:
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Please sign in again", timeout=PATIENT)
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Sign in and go on").click()
    expect(dialog).to_have_count(0, timeout=PATIENT)


def test_ten_minutes_offline_and_a_reload_lose_nothing(at_work, cast):
    page = at_work(review_rate=0)
    answer(page).fill("Before the tunnel.")
    saved(page)
    page.context.set_offline(True)
    # What is sent while a page closes passes by the browser's switch: here it is refused as well.
    page.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('no network')); }")
    answer(page).fill("Before the tunnel. And in it.")
    page.clock.run_for(1_000)
    expect(status(page)).to_contain_text("kept in this browser", timeout=PATIENT)
    page.clock.run_for(10 * 60_000)
    expect(status(page)).to_contain_text("kept in this browser")
    assert Draft.objects.get().body["text"] == "Before the tunnel."
    # A reload without a network shows the browser's own error; with one, the words are there again.
    address = page.url
    page.goto("about:blank")
    page.context.set_offline(False)
    page.goto(address)
    expect(answer(page)).to_have_value("Before the tunnel. And in it.", timeout=PATIENT)
    saved(page)
    assert Draft.objects.get().body["text"] == "Before the tunnel. And in it."
    assert page.evaluate("() => Object.keys(localStorage).filter((key) => key.startsWith('draft:'))") == []


def test_back_online_the_words_are_sent_without_a_reload(at_work, cast):
    page = at_work(review_rate=0)
    page.context.set_offline(True)
    answer(page).fill("Written on a train.")
    page.clock.run_for(10 * 60_000)
    page.context.set_offline(False)
    saved(page)
    send(page)
    page.wait_for_url("**/work/?done=*", timeout=PATIENT)
    assert Submission.objects.get().current.text == "Written on a train."


def test_a_reviewer_who_decides_while_the_author_edits_in_another_tab(at_work, cast):
    page = at_work(review_rate=1)
    answer(page).fill("First thought.")
    saved(page)
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_selector("[data-autosave-ready]")
    send(page)
    page.wait_for_url("**/work/?done=*", timeout=PATIENT)
    return_submission(
        submission=Submission.objects.get(), revision=1, reviewer=cast.lead, note="Please say why."
    )
    answer(other).fill("First thought, and a second one.")
    expect(status(other)).to_contain_text("returned", timeout=PATIENT)
    # The first tab still says that it handed the task in; whatever comes into that page, these words stay.
    page.evaluate("() => document.body.dispatchEvent(new CustomEvent('htmx:afterSettle', { detail: {} }))")
    kept = other.evaluate("() => Object.values(localStorage).find((text) => text.includes('second one'))")
    assert json.loads(kept)["fields"]["text"] == "First thought, and a second one."
    # Taken up again, the note is in view, and the words of the other tab are offered beside what was sent.
    other.reload()
    other.get_by_role("button", name="Mend it now").click()
    expect(other.get_by_text("Please say why.")).to_be_visible()
    dialog = other.get_by_role("dialog")
    expect(dialog).to_contain_text("First thought, and a second one.", timeout=PATIENT)
    dialog.get_by_role("button", name="Take the browser's").click()
    send(other)
    other.wait_for_url("**/work/?done=*", timeout=PATIENT)
    assert Submission.objects.get().current.text == "First thought, and a second one."


def test_a_batch_that_closes_takes_what_is_in_hand(at_work, cast):
    page = at_work(review_rate=0)
    answer(page).fill("Almost done.")
    saved(page)
    close_batch(batch=cast.project.batches.get(), acting_user=cast.lead)
    answer(page).fill("Done.")
    send(page)
    page.wait_for_url("**/work/?done=*", timeout=PATIENT)
    assert Submission.objects.get().current.text == "Done."


def test_a_task_that_was_closed_after_the_lease_keeps_the_words(at_work, cast):
    page = at_work(review_rate=0)
    answer(page).fill("Nearly.")
    saved(page)
    expire(Assignment.objects.get())
    release_expired()
    close_batch(batch=cast.project.batches.get(), acting_user=cast.lead)
    answer(page).fill("Nearly there.")
    send(page)
    expect(page.locator("#toasts")).to_contain_text("This task was closed.", timeout=PATIENT)
    expect(answer(page)).to_have_value("Nearly there.")
    page.reload()
    expect(page.locator("#kept")).to_have_text("Nearly there.")
    assert not Submission.objects.exists()
