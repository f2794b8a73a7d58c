"""From a model back to the very judgment that made it, and forward again, by links alone."""

from __future__ import annotations

from playwright.sync_api import expect

from .window import Window


def walk_back_to_a_judgment(admin: Window, checkpoint: str, version: str) -> str:
    """Checkpoint → dataset version → row → judgment → guideline version; returns the judgment's address."""
    page = admin.open(checkpoint)
    admin.picture("50-lineage")
    admin.link(version).first.click()
    expect(page.get_by_role("heading", name=version, level=1)).to_be_visible()
    row = page.locator("#rows details.card", has=page.locator("text=by annotator-")).first
    row.locator("summary").first.click()
    row.get_by_role("link", name="judgment").click()
    page.wait_for_url("**/submissions/*/")
    # The guideline it was made under, and the form: links to the very versions.
    for room in ("guidelines", "forms"):
        expect(page.locator(f"a[href*='/{room}/'][href$='/versions/1/']").first).to_be_visible()
    admin.picture("51-judgment")
    return page.url


def walk_forward_to_a_checkpoint(admin: Window, judgment: str, version: str, runs: tuple[str, ...]) -> None:
    """Judgment → dataset version → run → its checkpoint → the run after it, and so on through `runs`."""
    page = admin.open(judgment)
    admin.link(version).click()
    for run in runs:
        page.get_by_role("link", name=run).first.click()
        expect(page.get_by_role("heading", name=run, level=1)).to_be_visible()
        page.locator("#run-results tbody a").first.click()
        page.wait_for_url("**/checkpoints/*/")
    admin.picture("52-forward")
