"""A round by plan: presets kept, begun from the form, followed to its end while others work."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from . import learning
from .window import Window

ROUND = 360_000  # milliseconds for ten steps, three of them training, two of them people's work


def keep_a_preset(
    admin: Window, project: str, stage: str, name: str, hyperparameters: dict[str, Any], **inputs
) -> None:
    """Fill the form of a run in and keep what is there under a name, without starting anything."""
    page = admin.open(f"{project}runs/new/?stage={stage}")
    for role, words in inputs.items():
        learning.choose(admin, role, words)
    learning.fill_in(admin, hyperparameters)
    page.get_by_text("Keep these hyperparameters as a preset").click()
    admin.field("Keep as preset").fill(name)
    admin.button("Keep preset").click()
    admin.says(name)
    admin.picture(f"60-preset-{stage}")


def begin_a_round(admin: Window, project: str, checkpoint: str, preset: str, numbers: dict[str, int]) -> None:
    page = admin.open(f"{project}rounds/new/")
    learning.choose(admin, "checkpoint", checkpoint)
    for label, value in numbers.items():
        admin.field(label).fill(str(value))
    for stage in ("sft", "reward", "ppo"):
        learning.choose(admin, f"{stage}_preset", preset)
    admin.picture("61-round-new")
    admin.press("Control+Enter")
    page.wait_for_url("**/rounds/*/")
    admin.picture("62-round-begun")


def the_round_goes_to_its_end(admin: Window, steps: tuple[str, ...]) -> None:
    """The page follows by itself; each step is said to be done, and what it made is a link."""
    page = admin.page
    for step in steps:
        row = page.locator("#round tbody tr", has_text=step)
        expect(row.locator(".badge")).to_have_text("done", timeout=ROUND, ignore_case=True)
        expect(row.get_by_role("link").first).to_be_visible()
    expect(page.locator("#round > .cluster .badge")).to_have_text("done", timeout=ROUND, ignore_case=True)
    admin.picture("63-round-done")
