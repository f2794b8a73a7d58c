"""Every field of every screen where people work: what was put there is there after a reload, and what is
put there while a save is under way is not lost.
"""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from labeling.models import Draft
from labeling.services.batches import create_writing_batch
from tests.browser.stage import wait_until
from tests.factories import make_demonstration_batch, make_ranking_batch, publish_form, question
from tests.labeling.work import claim, do_next

pytestmark = [pytest.mark.browser, pytest.mark.slow]
AB = [{"key": "a", "label": "Ah"}, {"key": "b", "label": "Bee"}]
QUESTIONS = [
    question("short", "short_text"),
    question("long", "long_text"),
    question("sure", "yes_no"),
    question("tone", "one_of", options=AB),
    question("topics", "several_of", options=AB),
    question("ease", "scale"),
    question("must", "short_text", required=True),
]
PER_COMPLETION = [
    question("origin", "short_text", per="completion"),
    question("fair", "yes_no", per="completion"),
]
SCREENS = ("demonstration", "ranking", "pairwise")
# What a form would send, as a person sees it: what is typed, what is chosen, and a widget's own inputs.
STATE = """(selector) => {
  const form = document.querySelector(selector), left = ["csrfmiddlewaretoken", "idempotency_key", "fence",
    "active_seconds", "revision", "decision"];
  const fields = {}, plain = (value) => (/^[[{]/.test(value) ? JSON.parse(value) : value);
  for (const [name, value] of new FormData(form)) {
    if (!left.includes(name)) (fields[name] ||= []).push(plain(value));
  }
  return fields;
}"""


def make_screen(cast, screen: str) -> None:
    per_completion = [] if screen == "demonstration" else PER_COMPLETION
    publish_form(cast.project, screen, questions=[*QUESTIONS, *per_completion])
    if screen == "demonstration":
        create_writing_batch(project=cast.project, name="Ask", tasks=1, acting_user=cast.lead)
    elif screen == "pairwise":
        make_ranking_batch(cast.project, tasks=1, k=2, layout="pairwise")
    else:
        make_ranking_batch(cast.project, tasks=1, k=4)


def open_screen(cast, open_as):
    slot = claim(cast.annotator, cast.project)
    page = open_as(cast.annotator)
    page.goto(reverse("labeling:work_task", args=[cast.project.slug, slot.pk]))
    page.wait_for_selector("[data-autosave-ready]")
    return page


def fill_everything(page, form: str) -> None:
    """Words into all text fields, all boxes ticked, and the last of all radio buttons and choices."""
    scope = page.locator(form)
    for field in scope.locator("textarea:visible, input.input:visible").all():
        field.fill(f"Wörter für {field.get_attribute('name')} \N{OTTER} «é»")
    for box in scope.locator("input[type=checkbox]").all():
        box.check(force=True)
    names = scope.locator("input[type=radio]:not([value=''])").evaluate_all(
        "(all) => [...new Set(all.map((each) => each.name))]"
    )
    for name in names:
        scope.locator(f"input[type=radio][name='{name}']:not([value=''])").last.check(force=True)
    for select in scope.locator("select:visible:not([data-compare])").all():
        select.select_option(index=2)


def rank(page, form: str = "#work-form") -> None:
    """A tie, a first, and one that cannot be ranked for a reason in words; then margins at each boundary."""
    cards = page.locator(f"{form} [data-completion]")
    for place, key in enumerate(["2", "1", "2", "u"][: cards.count()]):
        cards.nth(place).focus()
        page.keyboard.press(key)
    cards.nth(3).locator("[data-why-reason]").select_option("other")
    cards.nth(3).locator("[data-why-note]").fill("It is in Klingon.")
    for margin in page.locator(f"{form} [data-margin]").all():
        margin.select_option(index=2)


def note_on_a_stretch(page) -> None:
    page.locator("#work-form [data-span-open]").first.click()
    page.get_by_role("button", name="Next word").click()
    page.get_by_label("Your comment").fill("Why so?")
    page.get_by_role("button", name="Add the note").click()


def saved(page) -> None:
    expect(page.locator("#work-form [data-save-status]")).to_contain_text("Saved ")


@pytest.mark.parametrize("screen", SCREENS)
def test_all_that_was_put_there_is_there_after_a_reload(cast, open_as, screen):
    make_screen(cast, screen)
    page = open_screen(cast, open_as)
    if screen == "ranking":
        rank(page)
    fill_everything(page, "#work-form")
    if screen != "demonstration":
        note_on_a_stretch(page)
    before = page.evaluate(STATE, "#work-form")
    expect(page.locator("#work-form [data-save-status]")).to_have_attribute("data-state", "")
    saved(page)
    page.evaluate("() => localStorage.clear()")  # what comes back comes from the site
    page.reload()
    page.wait_for_selector("[data-autosave-ready]")
    assert page.evaluate(STATE, "#work-form") == before


@pytest.mark.parametrize("screen", SCREENS)
def test_what_is_done_while_a_save_is_under_way_is_saved_after_it(cast, open_as, screen):
    make_screen(cast, screen)
    page = open_screen(cast, open_as)
    saves: list = []
    page.route("**/draft/", lambda route: (saves.append(route), len(saves) > 1 and route.continue_()))
    page.locator("#work-form textarea").first.fill("First")
    wait_until(page, lambda: len(saves) == 1)
    if screen == "ranking":
        rank(page)
    fill_everything(page, "#work-form")
    before = page.evaluate(STATE, "#work-form")
    saves[0].continue_()
    wait_until(page, lambda: len(saves) > 1)
    saved(page)
    page.evaluate("() => localStorage.clear()")
    page.reload()
    page.wait_for_selector("[data-autosave-ready]")
    assert page.evaluate(STATE, "#work-form") == before


@pytest.mark.parametrize("screen", SCREENS)
def test_a_submission_that_is_refused_loses_nothing_even_if_the_page_is_left(cast, open_as, screen):
    """Sent so soon that no save came before it; then the browser dies."""
    make_screen(cast, screen)
    page = open_screen(cast, open_as)
    if screen == "ranking":
        rank(page)
    fill_everything(page, "#work-form")
    must = page.locator("#work-form [name='answer.task.must']")
    must.fill("")
    must.evaluate("(field) => field.removeAttribute('required')")  # what only the site finds
    before = page.evaluate(STATE, "#work-form")
    with page.expect_response("**/submit/") as answer:
        page.keyboard.press("Control+Enter")
    assert answer.value.status == 422
    expect(page.get_by_role("alert").first).to_contain_text("Not submitted.")
    saved(page)
    assert Draft.objects.get().body["answer.task.must"] == ""
    page.evaluate("() => localStorage.clear()")
    page.reload()
    page.wait_for_selector("[data-autosave-ready]")
    after = page.evaluate(STATE, "#work-form")
    after.pop("confirmed_warnings", None)
    assert after == before


# --- Forms that have no draft on the site: this browser keeps their words -----------------------------------
@pytest.mark.parametrize("screen", SCREENS)
def test_a_reviewers_fix_is_there_after_a_reload(cast, open_as, screen):
    make_screen(cast, screen)
    written = {"answers": {"task": {"must": "so"}}}
    written |= {
        "demonstration": {"prompt": "Who was Ada?"},
        "pairwise": {"margins": ["clearly"], "scores": {}},
    }.get(screen, {})
    submission = do_next(cast.annotator, cast.project, **written)
    page = open_as(cast.lead)
    address = reverse("labeling:review_submission", args=[cast.project.slug, submission.pk])
    page.goto(address)
    page.keyboard.press("f")
    if screen == "ranking":
        rank(page, "#fix-panel")
    fill_everything(page, "#fix-panel form")
    before = page.evaluate(STATE, "#fix-panel form")
    page.wait_for_timeout(100)
    page.reload()
    expect(page.locator("#fix-panel")).to_contain_text("Restored from this browser")
    assert page.evaluate(STATE, "#fix-panel form") == before
    # Decided in another way, the fix is about what is no more.
    page.locator("h1").click()
    page.keyboard.press("a")
    page.wait_for_url(lambda url: not url.endswith(address))
    page.goto(reverse("labeling:submission_detail", args=[cast.project.slug, submission.pk]))
    assert page.get_by_text("Restored from this browser").count() == 0


def test_a_comment_is_kept_until_it_has_arrived(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    submission = do_next(cast.annotator, cast.project)
    page = open_as(cast.annotator)
    page.goto(reverse("labeling:submission_detail", args=[cast.project.slug, submission.pk]))
    page.get_by_label("Write a comment").fill("Half a thought")
    page.reload()
    expect(page.get_by_label("Write a comment")).to_have_value("Half a thought")
    page.context.set_offline(True)
    page.get_by_role("button", name="Send").click()
    page.wait_for_timeout(300)
    page.context.set_offline(False)
    page.goto("about:blank")
    page.goto(reverse("labeling:submission_detail", args=[cast.project.slug, submission.pk]))
    expect(page.get_by_label("Write a comment")).to_have_value("Half a thought")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#comments .timeline")).to_contain_text("Half a thought")
    expect(page.get_by_label("Write a comment")).to_have_value("")


def test_a_note_on_a_stretch_survives_the_escape_key(cast, open_as):
    make_screen(cast, "ranking")
    page = open_screen(cast, open_as)
    page.locator("#work-form [data-span-open]").first.click()
    page.get_by_label("Your comment").fill("Half a thought")
    page.keyboard.press("Escape")
    page.locator("#work-form [data-span-open]").first.click()
    expect(page.get_by_label("Your comment")).to_have_value("Half a thought")


def test_words_that_the_site_took_no_more_are_shown_where_the_task_was(cast, open_as):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    page = open_screen(cast, open_as)
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_selector("[data-autosave-ready]")
    page.get_by_label("Your answer, as the assistant").fill("Handed in.")
    page.get_by_role("button", name="Submit, next").click()
    page.wait_for_url("**/work/?done=*")
    other.get_by_label("Your answer, as the assistant").fill("Written in the other window.")
    expect(other.locator("[data-save-status]")).to_contain_text("Your text is kept in this browser.")
    other.reload()
    expect(other.get_by_role("heading", name="Kept in this browser, and not on the site")).to_be_visible()
    expect(other.locator("#draft-left")).to_have_text("Written in the other window.")
    other.get_by_role("button", name="Forget it").click()
    other.reload()
    expect(other.locator("#draft-left")).to_be_hidden()


def test_two_versions_name_the_fields_as_the_form_does(cast, open_as):
    make_screen(cast, "pairwise")
    page = open_screen(cast, open_as)
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_selector("[data-autosave-ready]")
    page.get_by_label("Long?").fill("Long words")
    page.get_by_label("Why?").fill("Said here")
    saved(page)
    other.get_by_label("Why?").fill("Said there")
    dialog = other.get_by_role("dialog")
    expect(dialog).to_contain_text("Long?:")
    expect(dialog).to_contain_text("Why? (optional):")
    expect(dialog).not_to_contain_text("answer.task")
