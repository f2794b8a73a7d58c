"""A new annotator goes through the screening in a real browser, from the Work page to what comes of it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from labeling.models import Assignment, GoldAnswer, Qualification
from labeling.services.gold import mark_gold
from labeling.services.projects import update_settings
from labeling.services.qualification import open_screening_set
from tests.factories import make_ranking_batch

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def page(cast, open_as):
    """The Work page of somebody new, in a project that asks for a screening of two rankings first."""
    values = {"require_qualification": True, "gold_rate": 0, "calibration_rate": 0}
    update_settings(project=cast.project, values=values, acting_user=cast.admin)
    batch = make_ranking_batch(cast.project, tasks=2, k=2, purpose="screening")
    for task in batch.tasks.all():
        ids = task.task_completions.values_list("completion_id", flat=True)
        mark_gold(task=task, tiers=[[pk] for pk in ids], acting_user=cast.lead)
    open_screening_set(batch=batch, tasks_per_attempt=2, acting_user=cast.lead)
    page = open_as(cast.annotator)
    page.goto(f"/projects/{cast.project.slug}/work/")
    return page


def rank_the_task_in_hand(page, cast, *, rightly: bool) -> None:
    slot = Assignment.objects.get(annotator=cast.annotator, status="leased")
    known = [pk for [pk] in GoldAnswer.objects.get(task=slot.task).tiers]
    wanted = known if rightly else known[::-1]
    cards = page.locator("[data-completion]")
    for index, completion in enumerate(slot.presentation["order"]):
        cards.nth(index).focus()
        page.keyboard.press(str(wanted.index(completion) + 1))
        page.keyboard.press(f"Shift+{6 - wanted.index(completion)}")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(f"**/work/**?done={slot.pk}")


def test_somebody_new_is_screened_from_the_work_page_and_qualified(cast, page):
    make_ranking_batch(cast.project, tasks=1, k=2)
    expect(page.get_by_text("you do a short screening: 2 tasks")).to_be_visible()
    expect(page.get_by_text("Nothing to do right now")).to_have_count(0)
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/work/*/")
    for _ in range(2):
        rank_the_task_in_hand(page, cast, rightly=True)
    assert Qualification.objects.get().status == "passed"
    assert Assignment.objects.get(status="leased").purpose == "work"  # goes on with the work itself
    page.goto(f"/projects/{cast.project.slug}/work/")
    expect(page.get_by_text("short screening")).to_have_count(0)
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    page.goto("/notifications/")
    expect(page.get_by_text("You are qualified for ranking work.")).to_be_visible()


def test_who_fails_the_screening_is_told_what_happens_next(cast, page, open_as):
    make_ranking_batch(cast.project, tasks=1, k=2)
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/work/*/")
    for _ in range(2):
        rank_the_task_in_hand(page, cast, rightly=False)
    expect(page.get_by_text("You did not pass the ranking screening.")).to_contain_text(
        "There are no tasks left for another attempt. A lead decides what comes next."
    )
    expect(page.get_by_role("button", name="Start")).to_have_count(0)
    expect(page.get_by_text("What comes next with your screening stands above.")).to_be_visible()
    lead = open_as(cast.lead)
    lead.goto(f"/projects/{cast.project.slug}/screening/")
    row = lead.get_by_role("row").filter(has_text="Anna")
    expect(row).to_contain_text("No tasks are left for another attempt")
