"""What a newcomer stumbled over: where the focus is, which key does what, what lies out of sight, pauses."""

from __future__ import annotations

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import expect

from labeling.models import Draft, Submission
from labeling.services.batches import create_ranking_batch
from labeling.services.people import pause_member
from tests.factories import (
    make_completions,
    make_demonstration_batch,
    make_prompt,
    make_ranking_batch,
    publish_form,
    publish_guideline,
)
from tests.labeling.work import do_next

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1300, "height": 900}
# Words of the loop's steps that lie on more than one line. No dictionary of hyphens need be there.
BROKEN_WORDS = """() => [...document.querySelectorAll(".loop-node strong")].flatMap((label) => {
  label.style.hyphens = "none";
  const text = label.firstChild;
  return [...text.data.matchAll(/\\S+/g)].filter((word) => {
    const range = document.createRange();
    range.setStart(text, word.index);
    range.setEnd(text, word.index + word[0].length);
    return new Set([...range.getClientRects()].map((box) => box.top)).size > 1;
  }).map(([word]) => word);
})"""
OVERRIDDEN = "Good \u202egnp.exe\u202c and zero\u200bwidth"


def home(cast) -> str:
    return f"/projects/{cast.project.slug}/"


def start(page, cast) -> None:
    page.goto(f"{home(cast)}work/")
    page.keyboard.press("n")
    page.wait_for_url("**/work/*/")
    page.wait_for_selector("[data-autosave-ready]")


def test_signing_in_begins_in_the_first_field(cast, open_as):
    page = open_as()
    page.goto("/accounts/login/")
    expect(page.locator("[name=login]")).to_be_focused()


def test_the_key_to_the_answer_stands_beside_it_and_leads_there_from_a_fresh_task(cast, open_as):
    make_demonstration_batch(cast.project, tasks=2, review_rate=0)
    page = open_as(cast.annotator, viewport=DESK)
    start(page, cast)
    expect(page.locator("label[for=answer] kbd")).to_have_text("E")
    page.keyboard.press("e")
    page.keyboard.type("Paris.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Write an answer")).to_be_focused()
    page.keyboard.press("e")
    expect(page.locator("#answer")).to_be_focused()


def test_the_key_of_the_scores_stands_beside_them(cast, open_as):
    make_ranking_batch(cast.project, tasks=1, k=2)
    page = open_as(cast.annotator, viewport=DESK)
    start(page, cast)
    expect(page.locator(".completion kbd").first).to_have_text("Shift 1–7")
    expect(page.locator("[data-rank-status]")).to_contain_text("Press a letter")


def test_the_keys_that_begin_work_stand_on_their_buttons(cast, open_as):
    publish_guideline(cast.project, kind="demonstration")
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    page = open_as(cast.annotator, viewport=DESK)
    page.goto(f"{home(cast)}work/")
    expect(page.locator("[data-shortcut=n] kbd")).to_have_text("N")
    page.keyboard.press("n")
    page.wait_for_url("**/guideline/demonstration/")
    expect(page.locator("[data-shortcut='mod+enter'] kbd")).to_have_text("Ctrl ↵")


def test_the_ring_around_the_heading_of_a_fresh_task_stays_off_the_line_below(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1)
    page = open_as(cast.annotator, viewport=DESK)
    start(page, cast)
    heading = page.locator("h1")
    expect(heading).to_be_focused()
    gap = heading.evaluate(
        "(h) => h.nextElementSibling.getBoundingClientRect().top - h.getBoundingClientRect().bottom"
    )
    assert gap >= 4  # the ring's offset and its width


def test_marking_a_stretch_stands_in_line_with_the_other_buttons_of_a_card(cast, open_as):
    make_ranking_batch(cast.project, tasks=1, k=2)
    page = open_as(cast.annotator, viewport=DESK)
    start(page, cast)
    expect(page.locator(".rank-moves [data-span-open]")).to_have_count(2)


@pytest.mark.parametrize("width", [1024, 1200, 1440])
def test_no_step_of_a_round_breaks_its_words(cast, open_as, width):
    page = open_as(cast.admin, viewport={"width": width, "height": 900})
    page.goto(home(cast))
    steps = ["People write demonstrations", "Comparison dataset", "Sample the better model"]
    nodes = [{"label": steps[n % 3], "state": "done", "icon": "work", "note": "Round 1"} for n in range(10)]
    loop = render_to_string("components/loop.html", {"nodes": nodes})
    page.locator("#main").evaluate("(main, html) => { main.innerHTML = html; }", loop)
    assert page.locator(".loop-node").count() == 10
    assert page.evaluate(BROKEN_WORDS) == []


def ranked_without_scores(cast, open_as):
    make_ranking_batch(cast.project, tasks=1, k=3, review_rate=0)
    page = open_as(cast.annotator, viewport=DESK)
    start(page, cast)
    for letter, rank in zip("abc", "123", strict=True):
        page.keyboard.press(letter)
        page.keyboard.press(rank)
    page.keyboard.press("a")
    page.keyboard.press("Shift+4")
    return page


def test_a_ranking_without_its_scores_leads_to_the_first_that_lacks_one_and_keeps_its_undo(cast, open_as):
    page = ranked_without_scores(cast, open_as)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("No score yet: B, C.").first).to_be_visible()
    expect(page.locator('[data-letter="B"] [data-score]').first).to_be_focused()
    for _last_first in range(2):  # the score of A, then the place of C
        page.keyboard.press("Control+z")
    expect(page.locator('[data-letter="C"] [data-rank-text]')).to_have_text("Not placed yet")


def test_after_a_refusal_by_the_site_the_wrong_field_has_the_focus_and_moves_can_be_undone(cast, open_as):
    publish_form(cast.project, rationale="required")
    page = ranked_without_scores(cast, open_as)
    for letter in "bc":
        page.keyboard.press(letter)
        page.keyboard.press("Shift+4")
    page.locator("#rationale").evaluate("(area) => area.removeAttribute('required')")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#work-error")).to_be_attached()
    expect(page.locator("#rationale")).to_be_focused()
    page.keyboard.press("Escape")
    for _last_first in range(4):  # three scores, then the place of C
        page.locator("[data-rank-undo]").click()
    expect(page.locator('[data-letter="C"] [data-rank-text]')).to_have_text("Not placed yet")
    assert not Submission.objects.exists()


def test_the_sheet_of_keys_opens_at_its_top_with_close_in_sight(cast, open_as):
    make_ranking_batch(cast.project, tasks=1, k=2)
    page = open_as(cast.annotator, viewport={"width": 1300, "height": 600})
    start(page, cast)
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog")
    for part in (sheet.get_by_role("heading"), sheet.get_by_role("button", name="Close")):
        expect(part).to_be_in_viewport(ratio=1)
    assert sheet.evaluate("(dialog) => dialog.scrollTop") == 0


def test_the_save_line_has_words_from_the_start(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1)
    page = open_as(cast.annotator)
    start(page, cast)
    status = page.locator("[data-save-status]")
    expect(status).to_have_text("Nothing to save yet")
    page.locator("#answer").fill("Half")
    expect(status).to_contain_text("Saved ")
    page.reload()
    expect(status).to_have_text("Saved")
    page.context.set_offline(True)
    expect(status).to_have_text("Offline")


def test_who_is_paused_while_writing_loses_no_word_and_is_told(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1)
    page = open_as(cast.annotator)
    start(page, cast)
    page.locator("#answer").fill("Half a")
    expect(page.locator("[data-save-status]")).to_contain_text("Saved ")
    pause_member(membership=cast.project.memberships.get(user=cast.annotator), acting_user=cast.admin)
    page.locator("#answer").fill("Half a sentence")
    with page.expect_response("**/draft/") as answer:
        pass
    assert answer.value.status == 200
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("An admin of the project can resume it.")).to_be_visible()
    expect(page.locator("#answer")).to_have_value("Half a sentence")
    page.reload()
    expect(page.get_by_role("heading", name="Your work here is paused")).to_be_visible()
    expect(page.get_by_text(f"Ask one of them: {cast.admin.name}.")).to_be_visible()
    expect(page.locator("#kept")).to_have_text("Half a sentence")
    assert Draft.objects.get().body["text"] == "Half a sentence"


def test_nothing_is_asked_about_a_kind_that_has_no_work(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1)
    publish_guideline(cast.project, "ranking")
    page = open_as(cast.annotator)
    page.goto(f"{home(cast)}work/")
    card = page.locator("section", has=page.locator("#kind-ranking"))
    expect(card.get_by_text("is new to you")).to_have_count(0)
    expect(card.get_by_role("link", name="Guideline")).to_be_visible()


def test_the_bar_of_decisions_covers_no_row_of_a_phone_before_one_is_chosen(cast, open_as):
    make_demonstration_batch(cast.project, tasks=12, review_rate=1)
    for _ in range(12):
        do_next(cast.annotator, cast.project)
    page = open_as(cast.lead, viewport=PHONE)
    page.goto(f"{home(cast)}review/")
    bar = page.locator("[data-review-list] .workbar")
    expect(bar).not_to_be_in_viewport()
    expect(bar).not_to_contain_text("press V", use_inner_text=True)
    page.locator("[name=chosen]").first.check()
    expect(bar).to_be_in_viewport()
    expect(bar).to_contain_text("1 chosen")


def test_what_lies_beyond_the_edge_of_a_table_shows_there(cast, open_as):
    page = open_as(cast.lead, viewport=PHONE)
    page.goto(f"{home(cast)}people/")
    table = page.locator(".table-wrap")
    expect(table).to_have_attribute("data-more", "right")
    table.evaluate("(box) => { box.scrollLeft = 60; }")
    expect(table).to_have_attribute("data-more", "left right")
    table.evaluate("(box) => { box.scrollLeft = box.scrollWidth; }")
    expect(table).to_have_attribute("data-more", "left")


def test_the_top_bar_of_a_phone_lays_nothing_over_another(cast, open_as):
    cast.project.name = "A project with quite a long name of its own"
    cast.project.save()
    cast.other_project.memberships.create(user=cast.lead, role="lead")
    page = open_as(cast.lead, viewport=PHONE)
    page.goto(home(cast))
    name = page.locator(".topbar summary").first.bounding_box()
    bell = page.locator(".topbar-end > a").bounding_box()
    assert name["x"] + name["width"] <= bell["x"]
    chevron = page.locator(".topbar summary .icon-s").first.bounding_box()
    assert chevron["x"] + chevron["width"] <= name["x"] + name["width"]


COPIED = """(selector) => {
  const range = document.createRange();
  range.selectNodeContents(document.querySelector(selector));
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  return getSelection().toString();
}"""


@pytest.fixture
def ranking_with_signs(cast, open_as):
    prompt = make_prompt(cast.project)
    made = make_completions(prompt, [OVERRIDDEN, "An honest one."])
    create_ranking_batch(
        project=cast.project,
        name="Signs",
        completion_sets=[(prompt.pk, [each.pk for each in made])],
        acting_user=cast.admin,
    )
    page = open_as(cast.annotator, viewport=DESK)
    start(page, cast)
    return page


def test_signs_that_nobody_sees_are_shown_and_not_copied(ranking_with_signs):
    page = ranking_with_signs
    body = page.locator(".completion-body.prose", has_text="exe")
    marks = body.locator(".sign")
    assert marks.evaluate_all("(all) => all.map((each) => each.dataset.sign)") == ["RLO", "PDF", "ZWSP"]
    shown = marks.first.evaluate("(mark) => getComputedStyle(mark, '::before').content")
    assert "⟨" in shown
    assert body.evaluate("(node) => node.textContent.trim()") == OVERRIDDEN
    body.evaluate("(node) => { node.id = 'with-signs'; }")
    assert page.evaluate(COPIED, "#with-signs").strip() == OVERRIDDEN


def test_an_override_turns_nothing_around_where_it_is_shown(ranking_with_signs):
    """The letters after it stand in the order in which they are written: each further to the right."""
    places = ranking_with_signs.locator(".completion-body.prose", has_text="exe").evaluate("""(body) => {
      const walker = document.createTreeWalker(body, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const at = walker.currentNode.data.indexOf("gnp.exe");
        if (at < 0) continue;
        return [...Array(7).keys()].map((index) => {
          const range = document.createRange();
          range.setStart(walker.currentNode, at + index);
          range.setEnd(walker.currentNode, at + index + 1);
          return range.getBoundingClientRect().left;
        });
      }
    }""")
    assert places == sorted(places)
    assert len(set(places)) == 7


def test_a_note_on_a_text_with_signs_counts_the_characters_of_the_raw_text(ranking_with_signs):
    page = ranking_with_signs
    card = page.locator("[data-completion]", has_text="exe")
    card.focus()
    page.keyboard.press("m")
    start_at = OVERRIDDEN.index("and")
    page.locator("#span-text").evaluate(f"(area) => area.setSelectionRange({start_at}, {start_at + 3})")
    page.locator("#span-text").dispatch_event("select")
    page.get_by_label("Your comment").fill("Why?")
    page.get_by_role("button", name="Add the note").click()
    notes = page.locator("input[data-span-input]").input_value()
    assert f'"start":{start_at},"end":{start_at + 3}' in notes.replace(" ", "")
