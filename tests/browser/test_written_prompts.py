"""At work on a task that asks for the prompt too, and on a pair of which neither can be judged."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from labeling.models import Draft, Submission
from labeling.services.batches import create_writing_batch
from tests.browser.axe import violations
from tests.browser.widths import reaching_over
from tests.factories import make_ranking_batch
from tests.labeling.work import claim

pytestmark = [pytest.mark.browser]


def work_page(cast, open_as, **options):
    slot = claim(cast.annotator, cast.project)
    page = open_as(cast.annotator, **options)
    page.goto(reverse("labeling:work_task", args=[cast.project.slug, slot.pk]))
    return page


@pytest.fixture
def writing(cast):
    create_writing_batch(project=cast.project, name="Ask", tasks=2, review_rate=0, acting_user=cast.lead)


def test_prompt_and_answer_are_checked_while_typing_saved_and_there_after_a_reload(cast, writing, open_as):
    page = work_page(cast, open_as)
    page.get_by_label("The prompt: what a person asks").fill("Who is ann@example.org?")
    page.get_by_label("Your answer, as the assistant").fill("I cannot tell.")
    checks = page.get_by_role("region", name="Checks of the prompt")
    expect(checks.get_by_text("Looks like an e-mail address.")).to_be_visible()
    checks.get_by_role("button", name="Show where").click()
    chosen = page.evaluate(
        "() => { const a = document.activeElement; return [a.id, a.selectionStart, a.selectionEnd]; }"
    )
    assert chosen == ["prompt-text", 7, 22]
    expect(page.locator("[data-save-status]")).to_contain_text("Saved")
    assert Draft.objects.get().body["prompt"] == "Who is ann@example.org?"
    page.reload()
    expect(page.get_by_label("The prompt: what a person asks")).to_have_value("Who is ann@example.org?")
    expect(page.get_by_label("Your answer, as the assistant")).to_have_value("I cannot tell.")


def test_what_was_warned_of_is_submitted_anyway_and_the_next_one_begins_empty(cast, writing, open_as):
    page = work_page(cast, open_as)
    page.get_by_label("The prompt: what a person asks").fill("Who is ann@example.org?")
    page.get_by_label("Category of the prompt (optional)").fill("people")
    page.get_by_label("Your answer, as the assistant").fill("I cannot tell.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("Submit anyway?")
    expect(page.get_by_label("The prompt: what a person asks")).to_have_value("Who is ann@example.org?")
    page.get_by_role("button", name="Submit anyway, next").click()
    expect(page.get_by_label("The prompt: what a person asks")).to_have_value("")
    submission = Submission.objects.get()
    assert (submission.prompt.preview, submission.prompt.category) == ("Who is ann@example.org?", "people")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_screen_of_prompt_and_answer_breaks_no_rule(cast, writing, open_as, scheme):
    page = work_page(cast, open_as, bypass_csp=True, color_scheme=scheme)
    page.get_by_label("The prompt: what a person asks").fill("Who is ann@example.org?")
    expect(page.get_by_text("Looks like an e-mail address.", exact=True)).to_be_visible()
    assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 1600})
    assert violations(page) == []
    assert reaching_over(page) == []


def test_neither_can_be_judged_by_keys_alone_with_a_reason(cast, open_as):
    make_ranking_batch(cast.project, tasks=1, k=2, layout="pairwise", review_rate=0)
    page = work_page(cast, open_as, bypass_csp=True)
    reason = page.get_by_label("What keeps both from being judged?")
    expect(reason).to_be_hidden()
    page.keyboard.press("0")
    expect(reason).to_be_visible()
    expect(page.locator("[data-side-text]").first).to_have_text("Cannot be judged")
    assert violations(page) == []
    page.keyboard.press("Control+Enter")
    assert not Submission.objects.exists()  # the browser asks for the reason
    reason.focus()
    page.keyboard.type("Garbled")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/work/?done=*")  # nothing more waits
    stored = Submission.objects.get().current
    assert (stored.tiers, len(stored.unrankable)) == ([], 2)
    assert {each["reason"] for each in stored.unrankable_reasons.values()} == {"unreadable"}
