"""A site of its own, after a walk through all that concerns models: torch is not in its memory."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from tests.cast import make_cast
from tests.site_process import SiteProcess, database_url
from training.rlhf.config import STAGES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.serial]

PAGES = ["", "runs/", "runs/compare/", "runs/continue/", "presets/", "checkpoints/", "sample/", "rounds/"]
HEAVY = ("torch", "transformers", "peft", "accelerate", "tokenizers")


def heavy_in(maps: str) -> set[str]:
    """Which of the heavy packages have a library among the files mapped into a process."""
    return {name for name in HEAVY if f"/{name}/" in maps}


def visit(site: SiteProcess, path: str, cookies: str, form: dict[str, str] | None = None) -> int:
    data = urllib.parse.urlencode(form).encode() if form is not None else None
    headers = {"Cookie": cookies, "Origin": site.url}
    try:
        request = urllib.request.Request(site.url + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_page_of_models_brings_torch_into_the_web_process(transactional_db, tmp_path):
    cast = make_cast()
    client = Client()
    client.force_login(cast.admin)
    token = "a" * 32
    cookies = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}; "
    cookies += f"{settings.CSRF_COOKIE_NAME}={token}"
    site = SiteProcess(database_url(), tmp_path, DATA_DIR=str(settings.DATA_DIR))
    site.start()
    try:
        root = f"/projects/{cast.project.slug}/"
        found = {page: visit(site, root + page, cookies) for page in PAGES}
        found |= {stage: visit(site, f"{root}runs/new/?stage={stage}", cookies) for stage in STAGES}
        assert set(found.values()) == {200}, found
        # A run that is refused has been looked at: its fields, its rows, its model's folder.
        form = {"csrfmiddlewaretoken": token, "hp_learning_rate": "nan"}
        assert visit(site, f"{root}runs/new/?stage=sft", cookies, form) == 422
        assert heavy_in(Path(f"/proc/{site.process.pid}/maps").read_text()) == set()
    finally:
        site.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_look_at_the_process_would_see_it():
    program = "import torch; print(open('/proc/self/maps').read())"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert heavy_in(shown.stdout) == {"torch"}
