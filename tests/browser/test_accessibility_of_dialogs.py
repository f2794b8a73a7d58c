"""What lies over a page breaks no rule of WCAG 2.2 AA either: dialogs, menus, folded panels, toasts, the
shortcuts sheet, the jump palette, confirmations; light, dark, 390 px. On every kind of page that has one.
"""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from labeling.models import TaskKind
from labeling.services.guidelines import save_draft
from tests.browser.axe import COLOURS, EVERYTHING, LAYOUT, violations
from tests.factories import make_ranking_batch
from tests.labeling.work import claim
from tests.security.world import build_world

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# Each way to open something, by what it opens, once: [kind, selector of the nth].
OPENERS = """() => {
  const found = [], seen = new Set();
  const add = (kind, what, all, node) => {
    if (seen.has(kind + what) || !node.checkVisibility()) return;
    seen.add(kind + what);
    found.push([kind, what, [...document.querySelectorAll(all)].indexOf(node), all]);
  };
  const each = (all, kind, what) => {
    for (const node of document.querySelectorAll(all)) add(kind, what(node), all, node);
  };
  for (const fold of document.querySelectorAll("details[open]")) fold.dataset.wasOpen = "";
  each("[data-dialog]", "dialog", (node) => node.dataset.dialog);
  each("[data-span-open]", "dialog", () => "#span-dialog");
  each("form[data-confirm] [type=submit], [type=submit][data-confirm], form[data-confirm] button:not([type])",
    "confirm", (node) => (node.dataset.confirm || node.form.dataset.confirm).replace(/\\S*\\d\\S*/g, ""));
  each("main details:not([open]) > summary, .topbar details > summary", "fold",
    (node) => node.parentElement.className + node.textContent.replace(/[\\d\\s]+/g, " ").slice(0, 30));
  return found;
}"""
CLOSE = """() => {
  document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
  for (const fold of document.querySelectorAll("details[open]:not([data-was-open])")) fold.open = false;
}"""
TOASTS = """() => { for (const level of ["info", "success", "warning", "error"]) {
  document.dispatchEvent(new CustomEvent("app:toast", { detail: { message: `Said as ${level}.`, level } }));
} }"""
SCROLLS = "(all) => all.some((dialog) => dialog.scrollWidth > dialog.clientWidth + 1)"
SIGNED_OUT = "() => document.dispatchEvent(new CustomEvent('app:signed-out', { detail: {} }))"


@pytest.fixture
def world(cast):
    return build_world(cast.project, admin=cast.admin, annotator=cast.annotator, reviewer=cast.lead)


def check(page, where: str) -> list[str]:
    """As it is open now: light with every rule, dark and narrow with what they can change."""
    found = [f"{where}, light: {line}" for line in violations(page, EVERYTHING)]
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found += [f"{where}, dark: {line}" for line in violations(page, COLOURS)]
    page.set_viewport_size(NARROW)
    found += [f"{where}, narrow: {line}" for line in violations(page, LAYOUT)]
    if page.locator("dialog[open]").evaluate_all(SCROLLS):
        found.append(f"{where}, narrow: it scrolls sideways")
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    return found


class Visit:
    """Opens whatever a page can open; what was seen open on another page is not opened again."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()
        self.found: list[str] = []

    def page(self, page, address: str) -> None:
        page.set_viewport_size(WIDE)
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.goto(address, wait_until="load")
        self.openers(page, address)
        # And what stands in a menu or a folded panel.
        page.evaluate("() => document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
        self.openers(page, address)

    def openers(self, page, address: str) -> None:
        for kind, what, number, selector in page.evaluate(OPENERS):
            if (kind, what) in self.seen:
                continue
            self.seen.add((kind, what))
            page.locator(selector).nth(number).evaluate("(node) => node.click()")
            page.wait_for_timeout(50)
            self.found += check(page, f"{address} {kind} {what.strip()}")
            page.evaluate(CLOSE)

    def keys(self, page, address: str) -> None:
        """The sheet and the palette, which differ from page to page."""
        page.goto(address, wait_until="load")
        page.keyboard.press("?")
        self.found += check(page, f"{address} shortcuts")
        page.evaluate(CLOSE)
        page.keyboard.press("Control+k")
        page.locator("dialog[open] input").fill("a")
        page.wait_for_timeout(600)
        self.found += check(page, f"{address} palette")
        page.evaluate(CLOSE)


def project_page(cast, name: str, *parts) -> str:
    return reverse(f"labeling:{name}", args=[cast.project.slug, *parts])


def work_page(cast, kind: str, **batch) -> str:
    make_ranking_batch(cast.project, tasks=1, k=2, priority=50, **batch)
    return project_page(cast, "work_task", claim(cast.peer, cast.project, kind).pk)


def test_nothing_that_opens_on_the_work_screens_breaks_a_rule(cast, world, open_as):
    visit, page = Visit(), open_as(cast.annotator, bypass_csp=True)
    writing = project_page(cast, "work_task", world["assignments"])
    for address in (writing, project_page(cast, "submission_detail", world["appealed"])):
        visit.page(page, address)
    visit.keys(page, writing)
    page.goto(writing)
    page.evaluate(TOASTS)
    visit.found += check(page, "toasts")
    page.evaluate(SIGNED_OUT)
    page.get_by_role("heading", name="Please sign in again").wait_for()
    visit.found += check(page, "sign in again")
    peer = open_as(cast.peer, bypass_csp=True)
    for layout in ("ranking", "pairwise"):
        address = work_page(cast, TaskKind.RANKING, layout=layout)
        visit.page(peer, address)
        visit.keys(peer, address)
        cast.project.assignments.filter(annotator=cast.peer, status="leased").update(status="void")
    assert not visit.found, "\n".join(visit.found)
    assert {what for kind, what in visit.seen if kind == "dialog"} >= {"#skip", "#span-dialog"}


def test_the_choice_between_two_versions_breaks_no_rule(cast, world, open_as):
    page = open_as(cast.annotator, bypass_csp=True)
    other = {"revision": 9, "fields": {"text": "Written elsewhere"}, "error": {"code": "stale_draft"}}
    page.route("**/draft/", lambda route: route.fulfill(status=409, json=other))
    page.goto(project_page(cast, "work_task", world["assignments"]))
    page.get_by_label("Your answer, as the assistant").fill("Written here")
    page.get_by_role("dialog").get_by_text("Written elsewhere").wait_for()
    found = check(page, json.dumps(other))
    assert not found, "\n".join(found)


def test_nothing_that_opens_on_the_pages_of_leads_and_admins_breaks_a_rule(cast, world, open_as):
    visit, page = Visit(), open_as(cast.admin, bypass_csp=True)
    guideline = cast.project.guidelines.get(kind="ranking")
    save_draft(
        project=cast.project,
        kind="ranking",
        markdown="# To publish",
        revision=guideline.draft_revision,
        acting_user=cast.lead,
    )
    addresses = [
        project_page(cast, "review_submission", world["submissions"]),
        project_page(cast, "adjudication", world["ranking task"]),
        project_page(cast, "task_detail", world["tasks"]),
        project_page(cast, "batch_detail", world["batches"]),
        project_page(cast, "people"),
        project_page(cast, "qualification"),
        project_page(cast, "form_edit", "ranking"),
        project_page(cast, "guideline_edit", "ranking"),
        project_page(cast, "submissions") + "?kind=ranking",
        project_page(cast, "prompts"),
        project_page(cast, "webhooks"),
        project_page(cast, "webhook", world["webhooks"]),
        project_page(cast, "dataset_version", world["datasets"], 1),
        reverse("profile"),
    ]
    for address in addresses:
        visit.page(page, address)
    visit.keys(page, addresses[0])
    assert not visit.found, "\n".join(visit.found)
    dialogs = {what for kind, what in visit.seen if kind == "dialog"}
    assert dialogs >= {
        "#return",
        "#reject",
        "#invite-dialog",
        "#publish-dialog",
        "#save-view",
        "#span-dialog",
    }
    assert len(visit.seen) > 20
