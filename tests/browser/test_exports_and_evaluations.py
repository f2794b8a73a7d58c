"""Exports, classes and safety prompts: on a phone and in the dark, nothing out of reach; by keys alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.db import transaction
from django.urls import reverse

from tests.browser.test_accessibility import check
from tests.browser.test_run_reports import DESK, PHONE
from tests.browser.widths import reaching_over
from tests.training.conftest import demonstration, make_checkpoint, make_version
from tests.training.test_evaluations import CLASSES, evaluate, safety
from tests.training.test_exports import shaped
from training.models import Checkpoint, RunStatus, Stage, TrainingRun
from training.services.event_log import append_event
from training.services.exporting import export_checkpoint

pytestmark = [pytest.mark.browser]
CHECKS = {"difference": 1.4e-6, "limit": 2.6e-3, "tokens": 64, "tokens_equal": 64, "texts": 6}
FILES = [{"name": name, "bytes": 157_421, "sha256": "ab" * 32} for name in ("README.md", "model.gguf")]


@pytest.fixture
def checkpoint(cast):
    return shaped(make_checkpoint(cast.project, user=cast.admin))


@pytest.fixture
def addresses(cast, checkpoint) -> dict[str, str]:
    rows = [demonstration(number) for number in range(8)]
    data = {"demonstrations": make_version(cast.project, "sft", {"train": rows[:6], "test": rows[6:]})}
    later = Checkpoint.objects.create(
        run=checkpoint.run, project=cast.project, kind="causal_lm", step=20, directory=checkpoint.directory,
        manifest_sha256="",
    )  # fmt: skip
    told = {"classes": CLASSES, "safety": safety(7)}
    metrics = {"loss": 2.0, "refusal_rate": 0.7, "class_accuracy": 0.7}
    first = evaluate(cast, checkpoint, inputs=data, told=told, metrics=metrics)
    better = {"loss": 1.5, "refusal_rate": 0.9, "class_accuracy": 0.7}
    second = evaluate(cast, later, inputs=data, told=told | {"safety": safety(9)}, metrics=better)
    run = export_checkpoint(
        project=cast.project, checkpoint=checkpoint, values={"format": "gguf"}, acting_user=cast.admin
    )
    report = {"format": "gguf", "weights": "float32", "files": FILES, "checks": CHECKS}
    with transaction.atomic():
        append_event(run.pk, type="report", data={"name": "export", "report": report})
    TrainingRun.objects.filter(pk=run.pk).update(status=RunStatus.SUCCEEDED)
    slug = cast.project.slug
    return {
        "checkpoint": reverse("training:checkpoint_detail", args=[slug, checkpoint.pk]),
        "export": reverse("training:run_detail", args=[slug, run.number]),
        "evaluation": reverse("training:run_detail", args=[slug, first.number]),
        "side by side": reverse("training:run_compare", args=[slug])
        + f"?run={first.number}&run={second.number}",
        "form": reverse("training:run_new", args=[slug]) + "?stage=evaluate",
        "tokens": reverse("training:token_preview", args=[slug]),
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_they_break_no_rule_and_are_no_wider_than_the_page(cast, addresses, open_as, theme, viewport):
    page = open_as(cast.admin, bypass_csp=True, viewport=viewport, color_scheme=theme)
    for name, address in addresses.items():
        page.goto(address)
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"{name}-{theme}-{viewport['width']}.png", full_page=True)
        assert reaching_over(page) == [], name
        assert not check(page, page.url), name


def test_an_export_is_ordered_by_keys_alone(cast, checkpoint, open_as):
    page = open_as(cast.admin, viewport=DESK)
    page.goto(reverse("training:checkpoint_detail", args=[cast.project.slug, checkpoint.pk]))
    page.get_by_label("Format", exact=True).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    for _ in range(6):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "Prepare the export"
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/*/")
    run = TrainingRun.objects.get(stage=Stage.EXPORT)
    assert run.hyperparameters["format"] == "gguf" and page.url.endswith(f"/runs/{run.number}/")
