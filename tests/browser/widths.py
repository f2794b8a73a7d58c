"""Whether a page keeps to the width of its window, and what reaches over it where it does not."""

from __future__ import annotations

import time

from playwright.sync_api import Page

FITS = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
REACHES_OVER = """() => [...document.querySelectorAll("body *")]
  .filter((node) => node.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .slice(0, 12).map((node) => `${node.tagName.toLowerCase()}.${node.getAttribute("class") || ""}`)"""


def reaching_over(page: Page, *, seconds: float = 3.0) -> list[str]:
    """The elements on whose account the page scrolls sideways; none when it fits.

    A page whose window has just changed its width is laid out a moment later, so it has `seconds` to fit.
    """
    deadline = time.monotonic() + seconds
    while not page.evaluate(FITS):
        if time.monotonic() > deadline:
            return page.evaluate(REACHES_OVER) or ["something that is no element"]
        page.wait_for_timeout(30)
    return []
