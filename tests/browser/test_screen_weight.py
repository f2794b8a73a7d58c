"""What the ranking screen costs a browser, served as in production: compressed, hashed files."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from tests.factories import make_completions, make_prompt, publish_guideline
from tests.labeling.work import claim
from tests.site_process import ROOT, SiteProcess, database_url

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.serial]
MOST_BYTES = 150_000
MOST_MILLISECONDS = 300
TRIES = 25  # until one is below: other work on the machine only ever adds time
ANSWER = (
    "Otters live in rivers ($n = {n}$). They eat *fish* and crayfish.\n\n| prey | share |\n|---|---|\n"
    "| fish | {n} % |\n\n"
    "```python\nprint({n})\n```\n\n"
)


@pytest.fixture
def production_site(live_site, tmp_path):
    """The same database behind a second server, with collected static files."""
    # The site's own settings: those of the tests serve plain files.
    environment = {
        "DJANGO_SETTINGS_MODULE": "annotate.settings",
        "DATA_DIR": str(tmp_path),
        "COLLECT_STATIC": "1",
    }
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
        timeout=120,
    )
    site = SiteProcess(database_url(), tmp_path, **environment)
    site.start()
    yield site
    site.stop()


@pytest.fixture
def task_page(cast):
    """The address of a ranking task with everything on it: nine answers, an older guideline read."""
    from labeling.services.batches import create_ranking_batch

    prompt = make_prompt(cast.project, "What is an otter? " * 20)
    texts = [ANSWER.format(n=n) * 4 for n in range(9)]
    ids = [each.pk for each in make_completions(prompt, texts)]
    create_ranking_batch(
        project=cast.project, name="b", completion_sets=[(prompt.pk, ids)], acting_user=cast.admin
    )
    for text in ("# Rules\n\nBe brief.", "# Rules\n\n" + "## A section\n\nBe brief and kind. \n\n" * 60):
        publish_guideline(cast.project, "ranking", text, readers=[cast.annotator])
    return reverse("labeling:work_task", args=[cast.project.slug, claim(cast.annotator, cast.project).pk])


@pytest.fixture
def window(production_site, browser, cast):
    """A fresh browser window (nothing cached) in which the annotator is signed in."""
    context = browser.new_context(base_url=production_site.url)
    client = Client()
    client.force_login(cast.annotator)
    name = settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": production_site.url}])
    yield context
    context.close()


def test_a_cold_ranking_screen_stays_below_its_weight(window, task_page):
    page = window.new_page()
    network = window.new_cdp_session(page)
    network.send("Network.enable")
    names, sizes = {}, {}
    network.on(
        "Network.requestWillBeSent", lambda event: names.update({event["requestId"]: event["request"]["url"]})
    )
    network.on(
        "Network.loadingFinished",
        lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}),
    )
    page.goto(task_page, wait_until="networkidle")
    page.wait_for_selector("[data-reading-ready]")
    table = "\n".join(f"{sizes.get(each, 0):>8.0f} {url}" for each, url in names.items())
    assert len(sizes) > 10, table
    assert sum(sizes.values()) <= MOST_BYTES, table
    assert all("/static/" not in url or "." in url.rsplit("/", 1)[1] for url in names.values())


def test_it_is_usable_within_its_time(window, task_page):
    """Best of several: the machine has other things to do. Modules run before this event ends."""
    page = window.new_page()
    times = []
    for _ in range(TRIES):
        page.goto(task_page, wait_until="load")
        page.wait_for_selector("[data-reading-ready][data-ranking-ready]")
        times.append(
            page.evaluate("() => performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        )
        if times[-1] < MOST_MILLISECONDS:
            return
    raise AssertionError(times)
