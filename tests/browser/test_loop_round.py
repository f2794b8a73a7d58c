"""A round runs all by itself: begun from a form, with simulated people at work over HTTP."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.browser.loop import learning, preparing, rounds
from tests.browser.loop import material as bring
from tests.browser.loop.site import WholeSite, whole_site
from tests.browser.loop.window import Window

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STEPS = (
    "People write demonstrations", "SFT dataset", "SFT run", "Sample completions", "People rank completions",
    "Comparison dataset", "Reward run", "PPO run", "Sample the better model", "People rank again",
)  # fmt: skip
NUMBERS = {
    "Prompts people answer first": 6,
    "Prompts whose completions people rank": 12,
    "Completions per task (K)": 3,
    "Longest completion in tokens": 8,
    "Held-out prompts for SFT against PPO": 2,
}


@pytest.fixture
def site(tmp_path):
    with whole_site(tmp_path) as site:
        yield site


@pytest.fixture
def admin(site, browser):
    window = Window(browser, site.url, "admin")
    yield window
    window.close()
    assert not window.complaints, "\n".join(window.complaints)


@contextmanager
def simulated_people(site: WholeSite, slug: str) -> Iterator[None]:
    """Two annotators and a lead who work as long as the test watches."""
    command = site.manage(
        "simulate", "--project", slug, "--annotators", "2", "--patience", "3600", "--site", site.url
    )
    with open(site.log, "ab") as log:
        people = subprocess.Popen(command, env=site.environment, stdout=log, stderr=log)
    try:
        yield
        assert people.poll() is None, f"the simulated people went home:\n{site.words()}"
    finally:
        people.terminate()
        people.wait(60)


def test_a_round_begun_from_the_form_goes_through_every_step_by_itself(site, admin, tmp_path):
    preparing.set_up_the_site(admin, site.setup_link)
    project = preparing.open_a_project(admin, "Whole round")
    demonstrations = bring.demonstrations_file(tmp_path, 30, skip=40)
    preparing.import_a_file(admin, project, "Prompts", bring.prompts_file(tmp_path, 20), 20)
    preparing.import_a_file(admin, project, "Demonstrations", demonstrations, 30)
    learning.upload_a_text(admin, project, bring.text_file(tmp_path))
    admin.page.get_by_role("checkbox", name="pretraining.txt").check()
    learning.start_the_run(admin, "pretrain", bring.HYPERPARAMETERS["pretrain"])
    learning.watch_it_succeed(admin, "Loss")
    for stage in ("sft", "reward", "ppo"):
        rounds.keep_a_preset(admin, project, stage, "tiny", bring.HYPERPARAMETERS[stage])
    with simulated_people(site, "whole-round"):
        rounds.begin_a_round(admin, project, checkpoint="Pretrain run", preset="tiny", numbers=NUMBERS)
        rounds.the_round_goes_to_its_end(admin, STEPS)
