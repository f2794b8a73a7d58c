"""A browser window of one person, and the few gestures that every step is made of."""

from __future__ import annotations

import os
import re
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, Response, expect

MANY_TABS = 80  # more presses of Tab than that to reach something is no keyboard access


class Window:
    """Somebody's own browser. `complaints` holds what must never happen: script errors, refused resources and
    answers 5xx.

    With LOOP_SCREENSHOTS=folder every step leaves pictures there, wide and narrow, light and dark.
    """

    def __init__(self, browser: Browser, url: str, person: str, **options) -> None:
        self.person = person
        self.context = browser.new_context(base_url=url, viewport={"width": 1360, "height": 900}, **options)
        self.context.set_default_timeout(60_000)
        self.complaints: list[str] = []
        self.context.on("page", self._listen)
        self.page: Page = self.context.new_page()

    def _listen(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("response", self._answered)
        page.on("console", self._said)

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self.complaints.append(f"{response.request.method} {response.url}: {response.status}")

    def _said(self, message) -> None:
        if "Content Security Policy" in message.text:
            self.complaints.append(f"{message.location.get('url')}: {message.text}")

    # ── gestures ──
    def open(self, address: str) -> Page:
        answer = self.page.goto(address)
        assert answer is None or answer.ok, f"{self.person}: {address} answered {answer.status}"
        return self.page

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def tab_to(self, target: Locator) -> None:
        """Reach `target` as somebody without a mouse does."""
        expect(target).to_be_visible()
        for _ in range(MANY_TABS):
            if target.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{self.person}: {target} is not reached with Tab")

    def leaves(self, address: str) -> None:
        """Wait until the page is another one than `address`."""
        self.page.wait_for_url(lambda url: url.partition("?")[0] != address.partition("?")[0])

    def goes_on_after(self, address: str) -> None:
        """The next piece came without a new page, and its heading has the focus: keys may follow."""
        self.leaves(address)
        expect(self.page.locator("h1")).to_be_focused()

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True)

    def field(self, label: str, within: Locator | None = None) -> Locator:
        """The control with that label; a required one's star and a key beside it are none of its words."""
        words = re.compile(rf"^\s*{re.escape(label)}\s*\*?\s*[A-Z]?\s*$")
        return (within or self.page).get_by_label(words)

    def says(self, text: str) -> None:
        expect(self.page.locator("body")).to_contain_text(text)

    # ── pictures ──
    def picture(self, name: str) -> None:
        folder = os.environ.get("LOOP_SCREENSHOTS")
        if not folder:
            return
        page, size = self.page, self.page.viewport_size
        for scheme, width in (("light", 1360), ("dark", 1360), ("light", 390)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=str(Path(folder) / f"{name}-{width}-{scheme}.png"), full_page=True)
        # Taking a picture leaves empty style attributes, which htmx's copy of a page may not have.
        page.evaluate(
            """document.querySelectorAll("[style='']").forEach(each => each.removeAttribute("style"))"""
        )
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(size)

    def close(self) -> None:
        self.context.close()
