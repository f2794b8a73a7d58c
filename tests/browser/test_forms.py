"""Pairwise work by keyboard, and a lead's new field reaching people without breaking what they hold."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from labeling.models import Assignment, Submission
from tests.factories import make_demonstration_batch, make_ranking_batch, publish_form, question

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def start(page, cast) -> None:
    page.goto(f"/projects/{cast.project.slug}/work/")
    page.keyboard.press("n")
    page.wait_for_url("**/work/*/")


def test_two_answers_are_compared_by_keyboard_alone(cast, open_as):
    publish_form(cast.project, "pairwise", questions=[question("note", "short_text")])
    make_ranking_batch(cast.project, tasks=2, k=2, layout="pairwise", review_rate=0)
    page = open_as(cast.annotator)
    start(page, cast)
    first = page.url
    expect(page.get_by_role("heading", name="Compare two answers")).to_be_visible()
    page.keyboard.press("6")
    expect(page.get_by_role("radio", name="B better")).to_be_checked()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("radio", name="B slightly better")).to_be_checked()
    expect(page.locator("[data-side='b'] [data-side-text]")).to_have_text("Better")
    page.keyboard.press("a")
    expect(page.locator("[data-side='a']")).to_be_focused()
    page.get_by_label("Note?").focus()
    page.keyboard.type("7 of them")  # digits typed into a field choose nothing
    expect(page.get_by_role("radio", name="B slightly better")).to_be_checked()
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: url.split("?")[0] != first.split("?")[0])
    expect(page.get_by_role("heading", name="Compare two answers")).to_be_focused()
    assert page.locator("input[name='strength']:checked").count() == 0
    stored = Submission.objects.get().current
    a, b = Assignment.objects.get(submission__isnull=False).presentation["order"]
    assert (stored.tiers, stored.margins) == ([[b], [a]], ["slightly"])
    assert stored.answers == {"task": {"note": "7 of them"}}


def test_a_new_field_reaches_the_next_task_and_not_the_one_in_hand(cast, open_as):
    make_demonstration_batch(cast.project, tasks=2, review_rate=0)
    annotator = open_as(cast.annotator)
    start(annotator, cast)
    annotator.get_by_label("Your answer, as the assistant").fill("Paris.")
    lead = open_as(cast.lead)
    lead.goto(f"/projects/{cast.project.slug}/forms/demonstration/edit/")
    lead.locator("#questions-add").focus()
    lead.keyboard.press("Enter")
    expect(lead.locator("#questions-0-label")).to_be_focused()
    lead.keyboard.type("Did you look it up?")
    expect(lead.locator("#form-preview")).to_contain_text("Did you look it up?", timeout=15_000)
    lead.keyboard.press("Enter")  # in a field: saves the draft, and moves no row
    expect(lead.get_by_text("Question: Did you look it up? (did_you_look_it_up")).to_be_visible(
        timeout=15_000
    )
    lead.get_by_role("button", name="Publish…").click()
    lead.get_by_label("What changed").fill("One question more.")
    lead.get_by_role("dialog").get_by_role("button", name="Publish").click()
    lead.wait_for_url("**/forms/")
    first = annotator.url
    annotator.reload()
    expect(annotator.get_by_text("Did you look it up?")).to_have_count(0)
    expect(annotator.get_by_label("Your answer, as the assistant")).to_have_value("Paris.")
    annotator.keyboard.press("Control+Enter")
    annotator.wait_for_url(lambda url: url.split("?")[0] != first.split("?")[0])
    answer = annotator.get_by_role("group", name="Did you look it up?").get_by_role("radio", name="Yes")
    answer.check()
    annotator.get_by_label("Your answer, as the assistant").fill("Rome.")
    annotator.keyboard.press("Control+Enter")
    annotator.wait_for_url("**/work/?done=*")
    old, new = Submission.objects.order_by("pk")
    assert (old.current.form_version.number, old.current.answers) == (1, {})
    assert new.current.form_version.number == 2
    assert new.current.answers == {"task": {"did_you_look_it_up": True}}
