"""Runs: ordered from the form, watched live, and what their checkpoints lead to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, expect

from .window import Window

RUN = 240_000  # milliseconds for a run of seconds, on a machine that does much else


def upload_a_text(admin: Window, project: str, file: Path) -> None:
    page = admin.open(f"{project}runs/new/?stage=pretrain")
    page.locator("input[type=file]").set_input_files(file)
    admin.button("Upload").click()
    expect(page.get_by_role("checkbox", name=file.name)).to_be_visible()
    admin.picture("28-text-uploaded")


def fill_in(admin: Window, values: dict[str, Any]) -> None:
    """Hyperparameters by name; a closed section that holds one is opened first, as a person would."""
    page = admin.page
    for name, value in values.items():
        control = page.locator(f"[name=hp_{name}]")
        section = page.locator("details.card", has=control)
        if section.count() and section.get_attribute("open") is None:
            section.locator("summary").first.click()
        control.fill(str(value))


def choose(admin: Window, role: str, words: str) -> None:
    """The option of a select that holds these words; the newest first."""
    select = admin.page.locator(f"select[name={role}]")
    option = select.locator("option", has_text=words).first
    expect(option).to_be_attached()
    select.select_option(option.get_attribute("value"))


def start_the_run(admin: Window, stage: str, hyperparameters: dict[str, Any], **inputs: str) -> None:
    """From the form of `stage`; inputs are words of the option to choose. Leaves the run's page open."""
    page = admin.page
    assert f"stage={stage}" in page.url, "open the form first"
    for role, words in inputs.items():
        choose(admin, role, words)
    fill_in(admin, hyperparameters)
    admin.picture(f"29-run-new-{stage}")
    admin.press("Control+Enter")
    page.wait_for_url("**/runs/*/")


def watch_it_succeed(admin: Window, chart: str, mode: str = "socket") -> None:
    """Followed without a reload: the page says how it hears of news, ends with success, and has drawn."""
    page = admin.page
    live = page.locator(f"[data-live-mode][data-mode={mode}]")
    expect(live).to_be_visible(timeout=RUN)
    admin.picture(f"30-running-{mode}")
    expect(page.locator("[data-live-state]")).to_have_text("Succeeded", timeout=RUN, ignore_case=True)
    figure = page.locator(f"figure.chart[data-title='{chart}']")
    expect(figure.locator("canvas")).to_be_visible()
    assert points(figure) >= 2, f"the curve of {chart} has {points(figure)} points"
    expect(page.get_by_role("heading", name="Checkpoints")).to_be_visible()


def block_the_socket(admin: Window) -> None:
    """As a proxy does that knows no WebSockets."""
    admin.context.route_web_socket("**/ws/**", lambda socket: socket.close(code=1011, reason="blocked"))


def points(figure: Locator) -> int:
    """How many points a chart holds: the rows of its table."""
    switch = figure.locator(".chart-head button")
    switch.click()
    count = figure.locator("tbody tr").count()
    switch.click()
    return count


def open_best_checkpoint(admin: Window) -> str:
    """From the run's page; returns the checkpoint's address."""
    page = admin.page
    row = page.locator("#run-results tr", has=page.locator(".badge", has_text="best")).first
    row.get_by_role("link").first.click()
    page.wait_for_url("**/checkpoints/*/")
    return page.url


def open_the_form(admin: Window, project: str, stage: str) -> None:
    """As from the list of runs: New run, then the stage."""
    page = admin.open(f"{project}runs/")
    admin.link("New run").click()
    page.locator(f"a[href='?stage={stage}']").click()
    page.wait_for_url(f"**/runs/new/?stage={stage}")


def sample_into_a_ranking_batch(admin: Window, checkpoint: str, batch: str, prompts: int, k: int) -> None:
    """From the checkpoint's page: one form, one button; completions come back as a batch to be ranked.

    Leaves the page of the new batch open.
    """
    page = admin.open(checkpoint)
    admin.picture("32-checkpoint")
    admin.link("Sample completions").click()
    choose(admin, "batch", batch)
    for label, value in (
        ("Prompts at most", prompts),
        ("Completions per prompt and checkpoint", k),
        ("Longest completion in tokens", 8),
        ("Completions per task (K)", k),
        ("Review rate", 1),
    ):
        admin.field(label).fill(str(value))
    admin.picture("33-sample")
    admin.button("Sample").click()
    page.wait_for_url("**/runs/*/")
    made = page.locator("#run-follow-up a")
    expect(made).to_be_visible(timeout=RUN)
    admin.picture("34-sampled")
    made.click()
    page.wait_for_url("**/batches/*/")
    expect(page.locator("tbody tr")).to_have_count(prompts)
    admin.picture("35-ranking-batch")
