"""The whole loop in real browsers: an admin, a lead and an annotator, real jobs, real (tiny) models.

Nothing of the site is called from here: what the test knows, it reads on the pages.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.loop import freezing, learning, lineage, preparing, working
from tests.browser.loop import material as bring
from tests.browser.loop.site import WholeSite, whole_site
from tests.browser.loop.window import Window

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PROMPTS, IMPORTED, K = 5, 30, 4
ANSWERS, RANKINGS = "All answers", "All rankings"


@pytest.fixture
def site(tmp_path):
    with whole_site(tmp_path) as site:
        yield site


@pytest.fixture
def window_of(site, browser):
    """`window_of("ann")`: a browser of that person's own. What must never happen on a page fails the test."""
    windows: list[Window] = []

    def open_window(person: str) -> Window:
        windows.append(Window(browser, site.url, person))
        return windows[-1]

    yield open_window
    for window in windows:
        window.close()
    complaints = [f"{window.person}: {each}" for window in windows for each in window.complaints]
    assert not complaints, "\n".join(complaints)


def test_people_turn_judgments_into_a_better_model_and_judge_it_again(
    site: WholeSite, window_of, tmp_path: Path
):
    admin, lead, annotator = window_of("admin"), window_of("lead"), window_of("annotator")
    project = _prepare(site, admin, lead, annotator, tmp_path)
    _write_and_review(project, lead, annotator)
    sft = _learn_from_answers(project, admin, tmp_path)
    learning.sample_into_a_ranking_batch(admin, sft, "First answers", prompts=3, k=K)
    _rank_and_review(project, lead, annotator)
    ppo = _learn_from_rankings(project, admin)
    learning.sample_into_a_ranking_batch(admin, ppo, "First answers", prompts=1, k=K)
    working.start(annotator, project)
    working.rank_by_keyboard(annotator, "4321", "1234")
    annotator.says("Nothing to do right now")
    working.accept_all(lead, project, count=1)
    judgment = lineage.walk_back_to_a_judgment(admin, ppo, f"{RANKINGS} v1")
    lineage.walk_forward_to_a_checkpoint(
        admin, judgment, f"{RANKINGS} v1", runs=("Reward model run", "PPO run")
    )


def _prepare(site: WholeSite, admin: Window, lead: Window, annotator: Window, folder: Path) -> str:
    """Project, guidelines, prompts, batch, people; returns the project's address."""
    preparing.set_up_the_site(admin, site.setup_link)
    project = preparing.open_a_project(admin, "Tidy answers")
    for kind, markdown in bring.GUIDELINES.items():
        preparing.publish_a_guideline(admin, project, kind, markdown)
    preparing.import_a_file(admin, project, "Prompts", bring.prompts_file(folder, PROMPTS), PROMPTS)
    preparing.make_a_demonstration_batch(admin, project, "First answers")
    invitation = preparing.invite(admin, project, "ann@example.org", "annotator")
    preparing.join(annotator, invitation, "ann", "Ann")
    preparing.join(lead, preparing.invite(admin, project, "lea@example.org", "lead"), "lea", "Lea")
    return project


def _write_and_review(project: str, lead: Window, annotator: Window) -> None:
    """Four answers and a skip; one each accepted, returned, fixed and rejected; the returned is mended."""
    working.read_the_guideline_and_start(annotator, project)
    working.skip_the_task(annotator, "Outside my knowledge")
    for text in ("Of course! It is blue.", "Two and two make four.", "No idea", "go away"):
        working.write_an_answer(annotator, text)
    annotator.says("Nothing to do right now")
    working.start_reviewing(lead, project)
    working.accept(lead)
    working.give_back(lead, "Please be kinder.")
    working.fix(lead, "Good question! I do not know.")
    working.reject(lead, "Rude.")
    lead.says("Nothing to review")
    working.mend_what_was_returned(annotator, project, "Please be kinder.", "With pleasure: it is four.")
    working.accept_all(lead, project, count=1)


def _learn_from_answers(project: str, admin: Window, folder: Path) -> str:
    """Import, freeze, download, pretrain (socket), SFT (polling); returns the SFT checkpoint's address."""
    demonstrations = bring.demonstrations_file(folder, IMPORTED, skip=PROMPTS)
    preparing.import_a_file(admin, project, "Demonstrations", demonstrations, IMPORTED)
    freezing.freeze_a_dataset(admin, project, ANSWERS, "sft", rows=IMPORTED + 3)
    freezing.the_version_is_whole(admin)
    freezing.download_and_check(admin, folder, "train")
    learning.upload_a_text(admin, project, bring.text_file(folder))
    admin.page.get_by_role("checkbox", name="pretraining.txt").check()
    learning.start_the_run(admin, "pretrain", bring.HYPERPARAMETERS["pretrain"])
    learning.watch_it_succeed(admin, "Loss", mode="socket")
    learning.block_the_socket(admin)
    learning.open_the_form(admin, project, "sft")
    learning.start_the_run(
        admin, "sft", bring.HYPERPARAMETERS["sft"], train_data=f"{ANSWERS} v1", model="Pretrain run"
    )
    learning.watch_it_succeed(admin, "Loss", mode="polling")
    return learning.open_best_checkpoint(admin)


def _rank_and_review(project: str, lead: Window, annotator: Window) -> None:
    working.read_the_guideline_and_start(annotator, project)
    working.rank_by_keyboard(annotator, "1223", "6542")
    working.rank_by_drag(annotator, "7531")
    working.rank_by_keyboard(annotator, "2134", "5671")
    annotator.says("Nothing to do right now")
    working.accept_all(lead, project, count=3)


def _learn_from_rankings(project: str, admin: Window) -> str:
    """Comparison dataset, reward model, PPO; returns the PPO checkpoint's address."""
    freezing.freeze_a_dataset(admin, project, RANKINGS, "comparison", rows=3, shares=(100, 0, 0))
    learning.open_the_form(admin, project, "reward")
    learning.start_the_run(
        admin,
        "reward",
        bring.HYPERPARAMETERS["reward"],
        train_data=f"{RANKINGS} v1",
        model="SFT run",
        demonstrations=f"{ANSWERS} v1",
    )
    learning.watch_it_succeed(admin, "Loss", mode="polling")
    learning.open_the_form(admin, project, "ppo")
    learning.start_the_run(
        admin,
        "ppo",
        bring.HYPERPARAMETERS["ppo"],
        prompts=f"{ANSWERS} v1",
        model="SFT run",
        reward_model="Reward model run",
    )
    learning.watch_it_succeed(admin, "Reward", mode="polling")
    return learning.open_best_checkpoint(admin)
