"""Accepted work becomes a dataset version, and its bytes are what the page says they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

from playwright.sync_api import expect

from .window import Window

BUSY = 120_000  # milliseconds that a worker may take to freeze a few rows on a busy machine


def freeze_a_dataset(
    admin: Window, project: str, name: str, kind: str, rows: int, shares: tuple[int, int, int] = (70, 20, 10)
) -> str:
    """Make the dataset from all accepted work, freeze it, and wait until it is ready.

    Returns its address.
    """
    page = admin.open(f"{project}datasets/new/")
    admin.field("Name").fill(name)
    admin.field("Kind").select_option(kind)
    for label, share in zip(("Train %", "Validation %", "Test %"), shares, strict=True):
        admin.field(label).fill(str(share))
    admin.press("Tab")
    expect(page.locator("#count dd.strong")).to_have_text(str(rows))
    admin.picture(f"24-dataset-new-{kind}")
    admin.press("Control+Enter")
    expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
    admin.picture(f"25-dataset-{kind}")
    admin.button("Freeze").click()
    expect(page.get_by_role("heading", name="Identity")).to_be_visible(timeout=BUSY)
    admin.picture(f"26-version-{kind}")
    return page.url


def the_version_is_whole(admin: Window) -> None:
    admin.button("Verify").click()
    expect(admin.page.locator(".notice-success")).to_be_visible()
    admin.picture("27-verified")


def download_and_check(admin: Window, folder: Path, split: str) -> Path:
    """The bytes of a split that come down have the SHA-256 that the page shows for it."""
    page = admin.page
    page.get_by_text("SHA-256 of each split").click()
    shown = page.locator(f"[data-digest={split}]").inner_text()
    page.locator("#download-split").select_option(split)
    with page.expect_download() as waiting:
        admin.button("Download").click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == shown
    return path
