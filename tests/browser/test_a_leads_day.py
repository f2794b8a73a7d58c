"""What leads do with pointer and keyboard: clarify a guideline and have work judged again, give a task to
somebody, correct somebody's time, pause them, read the audit trail; and an answer begun from a model's draft.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from labeling.models import (
    Assignment,
    Demonstration,
    GuidelineVersion,
    LedgerDay,
    Membership,
    Submission,
    TaskKind,
)
from labeling.services.batches import create_demonstration_batch
from labeling.services.quality_reports import refresh_report
from tests.factories import (
    make_completions,
    make_demonstration_batch,
    make_prompt,
    make_ranking_batch,
    publish_guideline,
)
from tests.labeling.ranked import rank
from tests.labeling.work import do_next

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PATIENCE = 20_000


def test_from_a_disagreement_to_a_clearer_guideline_and_work_judged_again(cast, open_as):
    project = cast.project
    publish_guideline(project, TaskKind.RANKING, readers=[cast.annotator, cast.peer])
    make_ranking_batch(project, tasks=1, k=2, overlap=2, review_rate=0)
    rank(cast.annotator, project, [[0], [1]])
    rank(cast.peer, project, [[1], [0]])
    refresh_report(project=project)
    page = open_as(cast.lead)
    page.goto(f"/projects/{project.slug}/quality/items/")
    page.get_by_role("checkbox", name="Choose task").check()
    page.get_by_role("button", name="Clarify the guideline").click()
    page.wait_for_url("**/guidelines/ranking/edit/**", timeout=PATIENCE)
    draft = page.locator("#draft-form textarea").first
    draft.fill("The shorter one wins where both are right.")
    page.get_by_role("button", name="Save draft").click()
    page.get_by_role("button", name="Publish…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").first.fill("Says what to do with equals.")
    dialog.get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_text("in force").first).to_be_visible(timeout=PATIENCE)
    assert GuidelineVersion.objects.filter(guideline__kind="ranking").count() == 2
    page.goto(f"/projects/{project.slug}/guidelines/ranking/versions/")
    page.get_by_role("link", name="Judged under it").last.click()
    page.wait_for_url("**/submissions/**", timeout=PATIENCE)
    expect(page.get_by_role("checkbox", name="Choose submission")).to_have_count(2)
    page.get_by_role("checkbox", name="Choose submission").first.check()
    page.get_by_label("What to look at").fill("Version 2 says which one wins.")
    page.get_by_role("button", name="Judge again").click()
    page.get_by_role("dialog").get_by_role("button", name="Judge again").click()
    expect(page.get_by_text("To be judged again: 1.")).to_be_visible(timeout=PATIENCE)
    assert sorted(Submission.objects.values_list("status", flat=True)) == ["accepted", "returned"]


def test_a_task_is_given_to_somebody_taken_back_and_asked_of_two(cast, open_as):
    batch = make_demonstration_batch(cast.project, tasks=1, overlap=1)
    task = batch.tasks.get()
    page = open_as(cast.lead)
    page.goto(f"/projects/{cast.project.slug}/tasks/{task.pk}/")
    page.get_by_label("Person", exact=True).select_option(label=cast.peer.name)
    page.get_by_role("button", name="Assign").click()
    expect(page.get_by_text("gets it next", exact=True)).to_be_visible(timeout=PATIENCE)
    assert Assignment.objects.get().reserved_for == cast.peer
    page.get_by_role("button", name="Take back").click()
    page.get_by_role("dialog").get_by_role("button").last.click()
    expect(page.get_by_text("gets it next", exact=True)).to_have_count(0, timeout=PATIENCE)
    page.get_by_label("People who judge it").fill("2")
    page.get_by_role("button", name="Change overlap").click()
    expect(page.get_by_label("People who judge it")).to_have_value("2", timeout=PATIENCE)
    assert Assignment.objects.count() == 2


def test_time_is_corrected_with_a_reason_and_somebody_is_paused(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    do_next(cast.annotator, cast.project)
    member = cast.project.memberships.get(user=cast.annotator)
    page = open_as(cast.admin)
    page.goto(f"/projects/{cast.project.slug}/people/")
    page.get_by_role("link", name=cast.annotator.name, exact=True).click()
    page.get_by_role("link", name="Time and corrections").click()
    page.wait_for_url("**/time/**", timeout=PATIENCE)
    form = page.locator("form[action$='/time/correct/']")
    form.get_by_label("Minutes").fill("12")
    form.get_by_label("Reason").fill("The clock of the browser was wrong.")
    form.get_by_role("button", name="Add the correction").click()
    expect(page.get_by_text("The clock of the browser was wrong.")).to_be_visible(timeout=PATIENCE)
    assert sum(LedgerDay.objects.values_list("seconds", flat=True)) >= 12 * 60
    page.goto(f"/projects/{cast.project.slug}/people/")
    page.get_by_label(f"Change {cast.annotator.name}").click()
    page.get_by_role("button", name="Pause work").and_(page.locator(":visible")).click()
    expect(page.get_by_text(f"{cast.annotator.name} is paused")).to_be_visible(timeout=PATIENCE)
    assert Membership.objects.get(pk=member.pk).status == "paused"
    # Who did that, and what it was before.
    page.goto(f"/projects/{cast.project.slug}/audit/")
    page.get_by_label("What").select_option(label="Membership status changed")
    expect(page.locator("tbody tr")).to_have_count(1, timeout=PATIENCE)
    expect(page.locator("tbody tr")).to_contain_text('status "active"')
    page.get_by_label("Who").select_option(label=cast.lead.name)
    expect(page.get_by_text("Nothing matches.")).to_be_visible(timeout=PATIENCE)


def test_an_answer_begins_from_a_models_draft_and_the_reviewer_sees_what_was_changed(cast, open_as):
    prompt = make_prompt(cast.project, "Where is Paris?")
    make_completions(prompt, ["Paris is in Frence."], generator="tiny-sft")
    create_demonstration_batch(
        project=cast.project,
        name="drafts",
        prompts=[prompt],
        acting_user=cast.admin,
        starts_from_draft=True,
        review_rate=1,
    )
    page = open_as(cast.annotator)
    page.goto(f"/projects/{cast.project.slug}/work/")
    page.keyboard.press("n")
    page.wait_for_url("**/work/*/", timeout=PATIENCE)
    answer = page.get_by_label("Your answer, as the assistant")
    expect(answer).to_have_value("Paris is in Frence.", timeout=PATIENCE)
    page.wait_for_selector("[data-autosave-ready]")
    page.get_by_role("button", name="Submit, next").click()
    # As it was, it is no answer.
    expect(page.locator("#toasts, [role=alert]").first).to_be_visible(timeout=PATIENCE)
    assert not Submission.objects.exists()
    answer.fill("Paris is in France.")
    page.get_by_role("button", name="Submit, next").click()
    page.wait_for_url("**/work/?done=*", timeout=PATIENCE)
    assert Demonstration.objects.get().started_from.text == "Paris is in Frence."
    lead = open_as(cast.lead)
    lead.goto(f"/projects/{cast.project.slug}/review/{Submission.objects.get().pk}/")
    expect(lead.locator("del").filter(has_text="Frence")).to_be_visible(timeout=PATIENCE)
    expect(lead.locator("ins").filter(has_text="France")).to_be_visible()
