"""Arabic, Hebrew, Chinese and Japanese in prompts and answers: direction, lines, differences; and keys."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotate.accounts.preferences import change_preferences
from labeling.models import TaskKind
from labeling.services.batches import create_demonstration_batch, create_ranking_batch
from tests.factories import make_completions, make_prompt
from tests.labeling.work import claim

pytestmark = [pytest.mark.browser]
ARABIC = "ما هي عاصمة فرنسا؟ باريس هي عاصمة فرنسا، وفيها برج إيفل. "
HEBREW = "מהי בירת צרפת? פריז היא בירת צרפת, ובה מגדל אייפל. "
CHINESE = "法国的首都是巴黎，埃菲尔铁塔也在那里。它位于塞纳河畔。"
JAPANESE = "フランスの首都はパリです。エッフェル塔もそこにあります。"
TEXTS = {ARABIC * 3: "rtl", HEBREW * 3: "rtl", CHINESE * 6: "ltr", JAPANESE * 6: "ltr"}
NARROW, WIDE = {"width": 390, "height": 844}, {"width": 1280, "height": 900}

DIRECTION = "(node) => getComputedStyle(node).direction"
# Within a text nothing may reach over its sides, and the page may not scroll sideways.
SPILLS = """() => [
  document.documentElement.scrollWidth > innerWidth ? ["the page"] : null,
  ...[...document.querySelectorAll(".prose, .plain")].filter((box) => box.checkVisibility())
    .map((box) => (box.scrollWidth > box.clientWidth + 1 ? [box.className, box.scrollWidth] : null)),
].filter(Boolean)"""


def open_ranking(cast, open_as, texts, question, **options):
    prompt = make_prompt(cast.project, question)
    ids = [each.pk for each in make_completions(prompt, list(texts))]
    create_ranking_batch(
        project=cast.project, name="b", completion_sets=[(prompt.pk, ids)], acting_user=cast.admin
    )
    page = open_as(cast.annotator, **options)
    assignment = claim(cast.annotator, cast.project, TaskKind.RANKING)
    page.goto(f"/projects/{cast.project.slug}/work/{assignment.pk}/")
    page.wait_for_selector("[data-reading-ready][data-ranking-ready]")
    return page


@pytest.mark.parametrize("viewport", [NARROW, WIDE], ids=["narrow", "wide"])
def test_each_text_runs_in_its_own_direction_and_stays_in_its_card(viewport, cast, open_as):
    page = open_ranking(cast, open_as, TEXTS, HEBREW, viewport=viewport)
    assert page.locator(".turn-body").first.evaluate(DIRECTION) == "rtl"
    for text, direction in TEXTS.items():
        body = page.locator(".completion-body.prose", has_text=text.strip()[:40])
        assert body.evaluate(DIRECTION) == direction, text[:20]
    assert page.evaluate(SPILLS) == []


def test_differences_are_found_by_sign_where_words_have_no_blanks(cast, open_as):
    texts = [CHINESE, CHINESE.replace("巴黎", "里昂"), ARABIC, ARABIC.replace("باريس", "ليون")]
    page = open_ranking(cast, open_as, texts, CHINESE, viewport=WIDE)
    for text, changed, gone in ((texts[0], "里昂", "巴黎"), (texts[2], "ليون", "باريس")):
        body = page.locator(".completion-body.prose", has_text=text.strip())
        reference = body.locator("xpath=ancestor::*[@data-completion]").get_attribute("data-completion")
        page.locator("[data-compare]").select_option(reference)
        other = page.locator("[data-completion] .completion-body.prose", has_text=changed)
        expect(other.locator("ins")).to_have_text([changed])
        expect(other.locator("del")).to_have_text([gone])
        page.locator("[data-compare]").select_option("")
        expect(page.locator("[data-completion] ins")).to_have_count(0)


def test_what_somebody_writes_turns_as_they_write(cast, open_as):
    prompt = make_prompt(cast.project, ARABIC * 4)
    create_demonstration_batch(project=cast.project, name="d", prompts=[prompt], acting_user=cast.admin)
    page = open_as(cast.annotator, viewport=NARROW)
    assignment = claim(cast.annotator, cast.project, TaskKind.DEMONSTRATION)
    page.goto(f"/projects/{cast.project.slug}/work/{assignment.pk}/")
    answer = page.locator("textarea[name=text]")
    for text, direction in ((HEBREW, "rtl"), ("Paris, " + ARABIC, "ltr"), (JAPANESE, "ltr"), (ARABIC, "rtl")):
        answer.fill(text)
        assert answer.evaluate(DIRECTION) == direction, text
    assert page.evaluate(SPILLS) == []


def test_a_german_ranking_screen_speaks_german_and_holds_its_words(cast, open_as):
    change_preferences(user=cast.annotator, changes={"language": "de"})
    page = open_ranking(cast, open_as, ["Eins.", "Zwei."], "Was?", viewport=NARROW)
    expect(page.locator("html")).to_have_attribute("lang", "de")
    card = page.locator("[data-completion]").first
    card.focus()
    page.keyboard.press("1")
    expect(card.locator("[data-rank-text]")).to_have_text("1.")
    expect(page.locator("[data-rank-status]")).to_contain_text("1 von 2 eingeordnet.")
    expect(page.locator("#live-region")).to_contain_text("Rang 1 von 2")
    assert page.evaluate(SPILLS) == []


# --- Keys ---------------------------------------------------------------------------------------------------
def stops(page, most: int = 400) -> list[str]:
    """What Tab reaches, from the top of the page until it comes round to the skip link again."""
    page.evaluate("() => { document.activeElement.blur(); window.scrollTo(0, 0); }")
    seen: list[str] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "() => `${document.activeElement.tagName} ${document.activeElement.className} "
            "${document.activeElement.id} ${document.activeElement.name || ''}`"
        )
        if seen and "skip-link" in name:
            return seen
        seen.append(name)
    raise AssertionError(f"Tab never came back: {seen[-4:]}")


@pytest.mark.parametrize("address", ["forms/ranking/edit/", "guidelines/ranking/edit/", "people/"])
def test_no_editor_keeps_the_tab_key(address, cast, open_as):
    page = open_as(cast.admin, viewport=WIDE)
    page.goto(f"/projects/{cast.project.slug}/{address}", wait_until="load")
    reached = stops(page)
    assert "skip-link" in reached[0]
    assert any(name.startswith(("TEXTAREA", "INPUT")) for name in reached)


def test_a_ranking_screen_can_be_walked_through(cast, open_as):
    page = open_ranking(cast, open_as, [CHINESE, ARABIC], HEBREW, viewport=WIDE)
    reached = stops(page)
    assert any(name.startswith("ARTICLE") for name in reached)
    assert any("btn-primary" in name for name in reached)


@pytest.mark.parametrize(("opener", "inside"), [("Control+k", "#palette-input"), ("?", "dialog[open]")])
def test_what_lies_over_a_page_is_left_by_escape_and_the_focus_returns(opener, inside, cast, open_as):
    page = open_as(cast.annotator, viewport=WIDE)
    page.goto(f"/projects/{cast.project.slug}/history/", wait_until="load")
    page.wait_for_function("() => document.querySelector('[data-theme-toggle]').title")
    link = page.locator(".sidenav a").nth(1)
    link.focus()
    page.keyboard.press(opener)
    expect(page.locator(inside)).to_be_visible()
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(link).to_be_focused()
