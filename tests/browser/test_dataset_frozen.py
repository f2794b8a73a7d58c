"""In a browser: one click leaves a person out and shows what changed; a file is prepared and downloaded."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest
import requests
from django.utils import timezone
from playwright.sync_api import Page, expect

from annotate.accounts.services import create_api_token
from labeling.models import Prompt
from labeling.services import recipe_counting
from labeling.services.datasets import change_recipe, create_dataset
from labeling.services.progress import Progress
from labeling.services.recipes import Recipe
from labeling.services.selection_counts import MOST_WHILE_WAITING
from tests.browser.widths import reaching_over
from tests.factories import make_prompt
from tests.labeling.judgments import make_demonstration

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def seen(page: Page, name: str) -> None:
    """The page as wide and as narrow as people have it; pictures of it where SHOTS names a folder."""
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert reaching_over(page) == [], f"{name} is wider than {width} pixels"
        if folder := os.environ.get("SHOTS"):
            page.screenshot(path=f"{folder}/{name}-{width}.png", full_page=True)
    page.set_viewport_size({"width": 1280, "height": 900})


def test_leave_out_compare_read_the_card_and_download(live_site, cast, open_as, tmp_path):
    for who in (cast.annotator, cast.annotator, cast.peer):
        make_demonstration(cast.project, who, decision="accepted", reviewer=cast.lead)
    _, token = create_api_token(user=cast.admin, name="browser")
    api = f"{live_site.url}/api/projects/{cast.project.slug}/datasets/"
    headers = {"Authorization": f"Token {token}"}
    made = requests.post(api, json={"kind": "sft", "name": "Mine"}, headers=headers, timeout=60).json()
    assert requests.post(f"{api}{made['id']}/versions/", json={}, headers=headers, timeout=60).ok
    page = open_as(cast.admin)
    version = f"{live_site.url}/projects/{cast.project.slug}/datasets/{made['id']}/versions/"
    page.goto(f"{version}1/")
    seen(page, "version")
    page.get_by_role("button", name=f"without {cast.peer.pseudonym}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mine: v1 → v2")
    expect(page.locator("details.card")).to_have_count(1)
    page.locator("details.card summary").click()
    seen(page, "compare")
    page.goto(f"{version}2/card/")
    expect(page.get_by_role("heading", name="Known limits")).to_be_visible()
    seen(page, "card")
    page.goto(f"{version}2/exports/")
    page.get_by_label("Format").select_option("messages")
    page.get_by_role("button", name="Prepare", exact=True).click()
    digest = page.locator("#exports code").inner_text()
    with page.expect_download() as started:
        page.locator("#exports").get_by_role("link", name="Download").click()
    started.value.save_as(tmp_path / "rows")
    assert hashlib.sha256(Path(tmp_path / "rows").read_bytes()).hexdigest() == digest
    page.get_by_role("button", name="Link for one hour").click()
    expect(page.locator(".notice code")).to_contain_text("/downloads/")
    seen(page, "exports")


def test_a_recipe_is_changed_with_its_count_beside_it(live_site, cast, open_as, tmp_path):
    for text in ("A fine answer.", "A darn answer.", "Another one."):
        make_demonstration(cast.project, cast.annotator, text)
    dataset = create_dataset(project=cast.project, kind="sft", name="Mine", acting_user=cast.admin)
    record = cast.project.imports.create(
        kind="prompts", filename="asked.jsonl", size_bytes=1, sha256="a" * 64, status="succeeded",
        created_by=cast.admin,
    )  # fmt: skip
    page = open_as(cast.admin)
    here = f"{live_site.url}/projects/{cast.project.slug}/"
    page.goto(f"{here}datasets/{dataset.pk}/")
    page.get_by_role("link", name="Change the recipe").click()
    page.get_by_label("Blocked words").fill("darn")
    expect(page.locator("#count")).to_contain_text("Left out: a blocked word")
    expect(page.locator("#count")).to_contain_text("Of 3 rows are kept: 2")
    page.get_by_label("Why it is changed").fill("no swearing")
    seen(page, "recipe")
    page.get_by_role("button", name="Save the recipe").click()
    expect(page.get_by_text("no swearing")).to_be_visible()
    seen(page, "revisions")
    page.get_by_role("button", name="Freeze").click()
    expect(page.get_by_role("link", name="Revision 2")).to_be_visible()
    page.get_by_label("Format").select_option("parquet")
    with page.expect_download() as started:
        page.get_by_role("button", name="Download", exact=True).click()
    assert started.value.suggested_filename.endswith(".parquet.zip")
    page.goto(f"{here}imports/{record.pk}/")
    page.get_by_label("Licence").fill("CC BY 4.0")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The licence was saved")).to_be_visible()
    expect(page.get_by_label("Licence")).to_have_value("CC BY 4.0")
    seen(page, "licence")


def test_a_large_dataset_is_frozen_while_its_rows_are_counted(live_site, cast, open_as):
    """Its page is there at once; what was typed meanwhile stays when the count comes."""
    make_demonstration(cast.project, cast.annotator, decision="accepted", reviewer=cast.lead)
    Prompt.objects.bulk_create(
        Prompt(project=cast.project, messages=[], digest=f"{number:064x}", archived_at=timezone.now())
        for number in range(MOST_WHILE_WAITING)
    )
    dataset = create_dataset(project=cast.project, kind="prompts", name="Many", acting_user=cast.admin)
    page = open_as(cast.admin)
    counting = page.locator("#selected")
    page.route("**/*counted=1", lambda route: (page.wait_for_timeout(500), route.continue_()))
    page.goto(f"{live_site.url}/projects/{cast.project.slug}/datasets/{dataset.pk}/", wait_until="commit")
    expect(counting).to_have_text("Counting…")
    page.get_by_label("Note").fill("typed meanwhile")
    expect(counting.locator("dd").first).to_have_text("1")
    expect(page.get_by_label("Note")).to_have_value("typed meanwhile")
    seen(page, "counted-later")
    page.get_by_role("button", name="Freeze").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Many v1")


def ask_for_a_long_count(monkeypatch, dataset, word: str) -> str:
    """As if the rows were many, and no worker at hand before the test is: the site reads the same folder."""
    monkeypatch.setattr(recipe_counting, "INLINE_ROWS", 0)
    monkeypatch.setattr(recipe_counting, "_take_up", lambda key: None)
    asked = recipe_counting._path("").parent
    shutil.rmtree(asked, ignore_errors=True)  # answers of tests before, whose projects had these numbers
    recipe = Recipe.from_json(dataset.recipe | {"filters": {"blocked_words": [word]}})
    recipe_counting.count_by_reason(project=dataset.project, kind="sft", recipe=recipe)
    [path] = asked.glob("*.asked.json")
    os.utime(path, (time.time() + 600, time.time() + 600))  # the page may take its time to load
    return path.name.removesuffix(".asked.json")


def test_a_long_count_is_watched_beside_what_is_read_out(live_site, cast, open_as, monkeypatch):
    for text in ("A fine answer.", "A darn answer.", "Another one."):
        make_demonstration(cast.project, cast.annotator, text)
    dataset = create_dataset(
        project=cast.project,
        kind="sft",
        name="Mine",
        recipe={"filters": {"blocked_words": ["darn"]}},
        acting_user=cast.admin,
    )
    key = ask_for_a_long_count(monkeypatch, dataset, "darn")
    page = open_as(cast.admin)
    page.goto(f"{live_site.url}/projects/{cast.project.slug}/datasets/{dataset.pk}/recipe/")
    watching = page.locator("#count-progress")
    expect(watching).to_contain_text("Waiting for its turn.")
    expect(page.locator("#count dd.strong")).to_have_text("3")
    Progress("recipe", key).tell("counting", 1, 3, now=True)
    expect(watching).to_contain_text("1 of 3")  # told beside what is read out, not in it
    expect(page.locator("#count")).not_to_contain_text("1 of 3")
    seen(page, "count-watched")
    key = ask_for_a_long_count(monkeypatch, dataset, "answer")
    page.get_by_label("Blocked words").fill("answer")
    expect(watching).to_contain_text("Waiting for its turn.")
    recipe_counting.build_count(key)
    expect(page.locator("#count")).to_contain_text("Of 3 rows are kept: 1")
    expect(watching).to_be_empty()
    page.get_by_label("Blocked words").fill("")
    expect(page.locator("#count")).not_to_contain_text("are kept")
    expect(page.locator("#count dd.strong")).to_have_text("3")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_who_began_from_an_older_recipe_chooses_between_the_two(live_site, cast, open_as, scheme):
    make_demonstration(cast.project, cast.annotator, "A fine answer.")
    dataset = create_dataset(project=cast.project, kind="sft", name="Mine", acting_user=cast.admin)
    page = open_as(cast.admin, color_scheme=scheme)
    page.goto(f"{live_site.url}/projects/{cast.project.slug}/datasets/{dataset.pk}/recipe/")
    page.get_by_label("Blocked words").fill("heck\ngosh")
    page.get_by_label("At least so many characters").fill("30")
    theirs = {"filters": {"blocked_words": ["darn"]}, "decisions": ["accepted", "fixed"]}
    change_recipe(dataset=dataset, recipe=theirs, acting_user=cast.lead, note="Only work somebody looked at.")
    page.get_by_role("button", name="Save the recipe").click()
    conflict = page.get_by_role("alert")
    expect(conflict).to_contain_text("The recipe was changed meanwhile")
    expect(conflict).to_contain_text("Lena")
    seen(page, f"recipe-conflict-{scheme}")
    page.get_by_label("Salt of the split").press("Enter")  # is no choice
    expect(conflict).to_contain_text("gosh, heck")
    assert dataset.revisions.count() == 2
    if scheme == "light":
        conflict.get_by_role("button", name="Save mine over revision 2").click()
        expect(page.get_by_text("Revision 3")).to_be_visible()
        assert dataset.revisions.first().recipe["filters"]["blocked_words"] == ["gosh", "heck"]
    else:
        conflict.get_by_role("link", name="Discard mine, take revision 2").click()
        expect(page.get_by_label("Blocked words")).to_have_value("darn")
        expect(conflict).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_selection_leaves_out_is_seen_before_and_after(live_site, cast, open_as, scheme):
    for category, person, decision in (
        ("contract law", cast.annotator, "accepted"),
        ("contract law", cast.annotator, "fixed"),
        ("contract law", cast.peer, "accepted"),
        ("contract law", cast.annotator, None),
        ("maths", cast.annotator, "accepted"),
        ("maths", cast.peer, None),
    ):
        prompt = make_prompt(cast.project, category=category)
        make_demonstration(cast.project, person, prompt=prompt, decision=decision, reviewer=cast.lead)
    chosen = {"annotators": [cast.annotator.pseudonym], "decisions": ["accepted", "fixed"]}
    dataset = create_dataset(
        project=cast.project, kind="sft", name="Mine", recipe=chosen, acting_user=cast.admin
    )
    page = open_as(cast.admin, color_scheme=scheme)
    here = f"{live_site.url}/projects/{cast.project.slug}/datasets/{dataset.pk}/"
    page.goto(f"{here}recipe/")
    told = page.locator("#count")
    expect(told).to_contain_text("with another outcome of review")
    page.get_by_label("Categories").select_option("contract law")
    expect(told.locator("dl", has_text="of other categories").locator("dd")).to_have_text(["2", "1", "1"])
    seen(page, f"selection-form-{scheme}")
    page.get_by_role("button", name="Save the recipe").click()
    expect(page.get_by_role("heading", name="Left out by selection")).to_be_visible()
    seen(page, f"selection-dataset-{scheme}")
    page.get_by_role("button", name="Freeze").click()
    made_of = page.locator("section", has=page.get_by_role("heading", name="Made of"))
    expect(made_of).to_contain_text("of other categories")
    seen(page, f"selection-version-{scheme}")
    page.get_by_role("link", name="Data card").click()
    expect(page.get_by_text("left out by selection: 2 rows, of other categories")).to_be_visible()
    seen(page, f"selection-card-{scheme}")
