"""People who have never seen the site, without a mouse and without the docs: sign in, write, rank, review.

No test here knows a shortcut: it reaches whatever it needs with Tab, as people do who only reads the page.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from labeling.models import Review, Submission
from tests.conftest import PASSWORD
from tests.factories import make_demonstration_batch, make_ranking_batch, publish_guideline

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# As many presses of Tab as somebody may need from the top of a page to what they came for.
MOST_TABS = 45
FOCUSED = """() => {
  const at = document.activeElement;
  if (at === document.body) return {name: "", tag: "", visible: false, ring: false};
  const label = at.labels?.length ? at.labels[0].innerText : "";
  const box = at.getBoundingClientRect();
  const style = getComputedStyle(at);
  const names = [at.getAttribute("aria-label"), label, at.innerText];
  return {
    name: names.filter(Boolean).join(" ").replace(/\\s+/g, " "),
    tag: at.tagName,
    visible: box.width > 0 && box.bottom > 0 && box.top < innerHeight,
    ring: style.outlineStyle !== "none" || style.boxShadow !== "none",
  };
}"""


class Hands:
    """Two hands on a keyboard: `tab_to` walks on until what is wanted has the focus, and that shows."""

    def __init__(self, page) -> None:
        self.page = page

    def tab_to(self, wanted: str, tag: str = "") -> None:
        passed = []
        for _ in range(MOST_TABS):
            found = self.page.evaluate(FOCUSED)
            if wanted.lower() in found["name"].lower() and tag in ("", found["tag"]):
                assert found["visible"], f"{wanted}: has the focus outside the window"
                assert found["ring"], f"{wanted}: nothing shows that it has the focus: {found}"
                return
            passed.append(found["name"][:30])
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{wanted}: not reached on {self.page.url}; passed {passed}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def sign_in(self, user) -> None:
        self.page.goto("/")
        self.tab_to("e-mail", "INPUT")
        self.type(user.email)
        self.tab_to("password", "INPUT")
        self.type(PASSWORD)
        self.press("Enter")
        self.page.wait_for_url(lambda url: "login" not in url)


@pytest.fixture
def hands_of(open_as):
    def at_a_desk(user) -> Hands:
        user.set_password(PASSWORD)
        user.save()
        hands = Hands(open_as(reduced_motion="reduce"))
        hands.sign_in(user)
        return hands

    return at_a_desk


def to_the_work(hands: Hands, cast) -> None:
    """From wherever signing in leads to the first task, past the guideline that is new to them."""
    if cast.project.slug not in hands.page.url:
        hands.tab_to(cast.project.name, "A")
        hands.press("Enter")
    hands.page.wait_for_url(f"**/{cast.project.slug}/**")
    hands.tab_to("Start", "BUTTON")
    hands.press("Enter")
    expect(hands.page.get_by_role("heading", name="Be brief")).to_be_visible()
    hands.tab_to("I have read", "BUTTON")
    hands.press("Enter")
    hands.page.wait_for_url("**/work/*/")


def test_a_newcomer_writes_a_demonstration(cast, hands_of):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    publish_guideline(cast.project, markdown="# Be brief")
    hands = hands_of(cast.annotator)
    to_the_work(hands, cast)
    hands.tab_to("Your answer", "TEXTAREA")
    hands.type("Paris.")
    hands.tab_to("Submit", "BUTTON")
    hands.press("Enter")
    expect(hands.page.get_by_text("Nothing to do right now")).to_be_visible()
    assert Submission.objects.get().current.text == "Paris."


def test_a_newcomer_ranks(cast, hands_of):
    make_ranking_batch(cast.project, tasks=1, k=3, review_rate=1)
    publish_guideline(cast.project, "ranking", markdown="# Be brief")
    hands = hands_of(cast.annotator)
    to_the_work(hands, cast)
    for letter, rank in (("A", "2"), ("B", "1"), ("C", "3")):
        hands.tab_to(f"Completion {letter}")
        hands.press(rank, "Shift+4")
    hands.tab_to("Submit", "BUTTON")
    hands.press("Enter")
    expect(hands.page.get_by_text("Nothing to do right now")).to_be_visible()
    stored = Submission.objects.get().current
    shown = Submission.objects.get().assignment.presentation["order"]
    assert stored.tiers == [[shown[1]], [shown[0]], [shown[2]]]
    assert set(stored.scores.values()) == {4}


def test_a_newcomer_reviews(cast, hands_of):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    publish_guideline(cast.project, markdown="# Be brief")
    author = hands_of(cast.annotator)
    to_the_work(author, cast)
    author.tab_to("Your answer", "TEXTAREA")
    author.type("Paris.")
    author.tab_to("Submit", "BUTTON")
    author.press("Enter")
    expect(author.page.get_by_text("Nothing to do right now")).to_be_visible()
    hands = hands_of(cast.lead)
    if cast.project.slug not in hands.page.url:
        hands.tab_to(cast.project.name, "A")
        hands.press("Enter")
    hands.page.wait_for_url(f"**/{cast.project.slug}/**")
    hands.tab_to("Review", "A")
    hands.press("Enter")
    hands.page.wait_for_url("**/review/")
    hands.tab_to("Question", "A")
    hands.press("Enter")
    hands.page.wait_for_url("**/review/*/**")
    hands.tab_to("Accept", "BUTTON")
    hands.press("Enter")
    expect(hands.page.get_by_text("Nothing to review")).to_be_visible()
    assert Review.objects.get().decision == "accepted"
