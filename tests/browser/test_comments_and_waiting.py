"""A question about the task in hand, asked and answered in place; and a page that waits for work."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from labeling.models import CommentThread, Draft
from labeling.services.batch_control import pause_batch, resume_batch
from tests.factories import make_demonstration_batch
from tests.labeling.work import claim

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_question_is_asked_and_answered_without_leaving_the_work(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1)
    slot = claim(cast.annotator, cast.project)
    page = open_as(cast.annotator)
    page.goto(reverse("labeling:work_task", args=[cast.project.slug, slot.pk]))
    page.get_by_label("Your answer, as the assistant").fill("Half an answer")
    page.keyboard.press("Alt+q")
    question = page.get_by_label("Write a comment")
    expect(page.locator("#comments")).to_contain_text("@Lena")
    question.fill("Does a list count, @Lena?")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#comments .timeline")).to_contain_text("Does a list count, @Lena?")
    expect(page.get_by_label("Write a comment")).to_have_value("")
    expect(page.get_by_label("Your answer, as the assistant")).to_have_value("Half an answer")
    expect(page.locator("[data-save-status]")).to_contain_text("Saved")
    assert Draft.objects.get().body["text"] == "Half an answer"
    lead = open_as(cast.lead)
    lead.goto("/notifications/")
    lead.get_by_role("link", name="Anna mentions you on a demonstration in hand").click()
    talk = lead.get_by_role("region", name="Comments: Anna")
    expect(talk).to_contain_text("Does a list count, @Lena?")
    talk.get_by_label("Write a comment").fill("It does.")
    talk.get_by_role("button", name="Send").click()
    expect(talk.locator(".timeline")).to_contain_text("It does.")
    page.reload()
    expect(page.locator("#comments .timeline")).to_contain_text("It does.")
    page.get_by_role("button", name="Resolve").click()
    expect(page.locator("#comments")).to_contain_text("Resolved by Anna")
    assert not CommentThread.objects.get().is_open
    expect(page.get_by_label("Your answer, as the assistant")).to_have_value("Half an answer")


def test_who_waits_sees_work_as_it_comes_and_hears_of_it(cast, open_as):
    batch = make_demonstration_batch(cast.project, tasks=1)
    pause_batch(batch=batch, acting_user=cast.lead)
    page = open_as(cast.annotator)
    page.clock.install()
    page.goto(reverse("labeling:work", args=[cast.project.slug]))
    expect(page.get_by_text("Nothing to do right now")).to_be_visible()
    page.clock.run_for(31_000)
    expect(page.get_by_text("Nothing to do right now")).to_be_visible()
    resume_batch(batch=batch, acting_user=cast.lead)
    page.clock.run_for(31_000)
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    page.clock.run_for(1_000)
    expect(page.locator("#live-region")).to_have_text("There is work for you.")
    page.keyboard.press("n")
    expect(page.get_by_role("heading", name="Write an answer")).to_be_visible()
