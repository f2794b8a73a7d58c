"""A lead settles an order from a rule of their choice, and scores gold beside its reference by keyboard."""

from __future__ import annotations

import os

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from labeling.models import Adjudication, GoldResult
from labeling.services import turns
from labeling.services.gold import mark_gold
from labeling.services.projects import update_settings
from labeling.services.quality_reports import refresh_report
from tests.browser.axe import COLOURS, LAYOUT, violations
from tests.browser.widths import reaching_over
from tests.factories import make_demonstration_batch, make_ranking_batch
from tests.labeling.ranked import rank
from tests.labeling.work import do_next

pytestmark = [pytest.mark.browser]
PATIENCE = 20_000
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def look(page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@pytest.fixture
def disputed(cast):
    """Two tie the first two completions, one puts them in order: Kemeny ties, the others do not."""
    batch = make_ranking_batch(cast.project, tasks=1, k=3, overlap=3, review_rate=0)
    rank(cast.annotator, cast.project, [[0, 1], [2]])
    rank(cast.peer, cast.project, [[0, 1], [2]])
    rank(cast.admin, cast.project, [[0], [1], [2]])
    refresh_report(project=cast.project)
    return batch.tasks.get()


def test_a_lead_begins_from_another_rule_and_settles(cast, open_as, disputed):
    page = open_as(cast.lead, viewport=WIDE, bypass_csp=True)
    page.goto(reverse("labeling:adjudication", args=[cast.project.slug, disputed.pk]))
    card = page.locator("#consensus")
    expect(card.get_by_text("The rules do not all say the same.")).to_be_visible(timeout=PATIENCE)
    expect(card.get_by_role("row", name="Schulze")).to_contain_text("A > B > C")
    look(page, "settle-wide")
    card.get_by_role("row", name="Kemeny").get_by_role("link", name="Begin from it").click()
    expect(card.get_by_role("row", name="Kemeny")).to_contain_text("proposes", timeout=PATIENCE)
    card.get_by_text("Pair by pair").click()
    expect(card.get_by_role("row", name="A–B 1 2 0")).to_contain_text("differ")
    assert violations(page) == []
    page.get_by_label("Why this order?").fill("Two of three see no difference.")
    page.get_by_role("button", name="Settle this order").click()
    expect(page.get_by_text("The order is settled.")).to_be_visible(timeout=PATIENCE)
    settled = Adjudication.objects.get()
    assert (settled.method, settled.is_changed, len(settled.tiers)) == ("kemeny", False, 2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_consensus_fits_a_phone_in_both_schemes(cast, open_as, disputed, scheme):
    page = open_as(cast.lead, viewport=NARROW, bypass_csp=True, color_scheme=scheme)
    for name, args in (("adjudication", [disputed.pk]), ("task_detail", [disputed.pk]), ("quality", [])):
        page.goto(reverse(f"labeling:{name}", args=[cast.project.slug, *args]))
        page.wait_for_load_state("load")
        look(page, f"{name}-narrow-{scheme}")
        assert reaching_over(page) == []
        assert violations(page, COLOURS) == []
        assert violations(page, LAYOUT) == []


@pytest.fixture
def unscored(cast, monkeypatch):
    update_settings(
        project=cast.project,
        values={"gold_rate": 0.5, "calibration_rate": 0, "new_person_reviews": 0},
        acting_user=cast.admin,
    )
    monkeypatch.setattr(turns, "draw", lambda: 0.0)
    batch = make_demonstration_batch(cast.project, tasks=4, review_rate=0)
    mark_gold(
        task=batch.tasks.last(), minimum_score=5, acting_user=cast.lead, note="Nothing is made up.",
        reference="Otters eat **fish**, crabs and sea urchins.",
    )  # fmt: skip
    return [do_next(user, cast.project, text="Otters eat fish.") for user in (cast.annotator, cast.peer)]


def test_answers_are_scored_one_after_the_other_by_keyboard(cast, open_as, unscored):
    page = open_as(cast.lead, viewport=WIDE, bypass_csp=True)
    page.goto(reverse("labeling:review_queue", args=[cast.project.slug]) + "?reason=gold_unscored")
    expect(page.locator("[data-review-row]")).to_have_count(2, timeout=PATIENCE)
    look(page, "unscored-queue")
    page.locator("[data-review-row] a.row-target").first.click()
    expect(page.get_by_role("heading", name="The reference", exact=True)).to_be_visible(timeout=PATIENCE)
    page.wait_for_load_state("load")
    look(page, "score-wide")
    assert violations(page) == []
    for score in ("4", "6"):
        page.keyboard.press(score)
        expect(page.get_by_role("radio", name=score)).to_be_checked()
        page.keyboard.press("s")
        expect(page.get_by_text("The score is stored.")).to_be_visible(timeout=PATIENCE)
        page.wait_for_load_state("load")
    expect(page.get_by_text("Nothing more waits here.")).to_be_visible(timeout=PATIENCE)
    assert sorted(GoldResult.objects.values_list("score", "passed")) == [(4, False), (6, True)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_scoring_fits_a_phone_in_both_schemes(cast, open_as, unscored, scheme):
    page = open_as(cast.lead, viewport=NARROW, bypass_csp=True, color_scheme=scheme)
    page.goto(reverse("labeling:gold_score", args=[cast.project.slug, unscored[0].pk]))
    page.wait_for_load_state("load")
    look(page, f"score-narrow-{scheme}")
    assert reaching_over(page) == []
    assert violations(page, COLOURS) == []
    assert violations(page, LAYOUT) == []
