"""Previews of tokens are made beside the request; one whose process is killed is begun again by the sweep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import orjson
import pytest
from django.urls import reverse

from annotate.errors import Invalid
from labeling.services.progress import SILENT_SECONDS, Progress
from tests.site_process import ROOT, database_url
from tests.training.conftest import make_letters_model
from training import tasks
from training.services import preview_jobs
from training.services.preview_jobs import JOB, PreviewRequest

pytestmark = pytest.mark.django_db
FOUND = {"stands": "for what the library says"}


@pytest.fixture
def wanted(sft_version, data_dir):
    make_letters_model(data_dir / "models" / "letters")
    return PreviewRequest(sft_version, "train", None, "letters", 512, 1)


@pytest.fixture
def waiting(monkeypatch):
    """Nobody waits, and nothing is done beside the request; what would be begun is noted."""
    begun = []
    monkeypatch.setattr(preview_jobs, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(preview_jobs, "_in_thread", lambda request, _language: begun.append(request.key))
    return begun


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(preview_jobs, "preview_tokens", lambda **_: FOUND)


def grow_silent(key: str) -> None:
    path, then = Progress(JOB, key).path, time.time() - SILENT_SECONDS - 1
    os.utime(path, (then, then))


def test_the_page_answers_at_once_and_asks_again_until_it_is_there(client, cast, wanted, waiting, quick):
    client.force_login(cast.admin)
    url = reverse("training:token_preview", args=[cast.project.slug])
    query = {"train_data": wanted.version.pk, "base_model": "letters", "rows": 1}
    for _ in range(2):
        page = client.get(url, query).content.decode()
        assert 'hx-trigger="every 1s"' in page and "appear here as soon as they are read" in page
    assert len(waiting) == 1  # asked for twice, begun once
    poll = {"headers": {"HX-Request": "true", "HX-Target": "preview-waits"}}
    assert "HX-Refresh" not in client.get(url, query, **poll)
    [key] = waiting
    preview_jobs._refuse(key, "The model is odd.", "base_model")
    assert client.get(url, query, **poll)["HX-Refresh"] == "true"
    answer = client.get(url, query)  # looking did not take it away
    assert answer.status_code == 422 and "The model is odd." in answer.content.decode()


def test_a_refusal_is_told_once_and_tried_again(wanted, waiting, monkeypatch):
    def refuse(**_):
        raise Invalid("No.", field="model")

    monkeypatch.setattr(preview_jobs, "preview_tokens", refuse)
    preview_jobs.build_preview(wanted)
    with pytest.raises(Invalid, match="No."):
        preview_jobs.take_preview(wanted)
    assert preview_jobs.take_preview(wanted) is None
    assert not preview_jobs.begin_preview(wanted) and len(waiting) == 1


def test_what_breaks_is_told_and_leaves_nothing_waiting(wanted, monkeypatch):
    def fail(**_):
        raise RuntimeError("odd")

    monkeypatch.setattr(preview_jobs, "preview_tokens", fail)
    with pytest.raises(RuntimeError):
        preview_jobs.build_preview(wanted)
    with pytest.raises(Invalid, match="broke on our side"):
        preview_jobs.take_preview(wanted)
    assert Progress(JOB, wanted.key).is_silent()


def test_one_that_goes_on_is_left_alone_and_a_lost_one_is_begun_again(wanted, waiting, quick):
    preview_jobs.begin_preview(wanted)
    tasks.sweep()
    assert preview_jobs.take_preview(wanted) is None
    grow_silent(wanted.key)
    tasks.sweep()
    assert preview_jobs.take_preview(wanted) == FOUND
    assert preview_jobs.revive_lost_previews() == 0


def test_what_dies_too_often_is_given_up_and_says_so(wanted, waiting, monkeypatch):
    preview_jobs.begin_preview(wanted)
    heartbeat = Progress(JOB, wanted.key)
    heartbeat.attempt = preview_jobs.ATTEMPTS
    heartbeat.tell("reading", 0, now=True)
    grow_silent(wanted.key)
    assert preview_jobs.revive_lost_previews() == 0
    with pytest.raises(Invalid, match="died too often"):
        preview_jobs.take_preview(wanted)


def test_of_a_version_that_is_gone_nothing_is_begun(wanted, waiting):
    preview_jobs.begin_preview(wanted)
    asked = wanted.to_json() | {"version": "00000000-0000-0000-0000-000000000000"}
    preview_jobs.FILES.question(wanted.key).write_bytes(orjson.dumps(asked))
    grow_silent(wanted.key)
    assert preview_jobs.revive_lost_previews() == 0 and Progress(JOB, wanted.key).read() is None


KILLED = """
import os, sys, time, django
django.setup()
from training.services import preview_jobs
from training.services.preview_jobs import PreviewRequest
import orjson
def hang(**_):
    print("at it", flush=True)
    time.sleep(600)
preview_jobs.preview_tokens = hang
preview_jobs.build_preview(PreviewRequest.from_json(orjson.loads(sys.argv[1])))
"""


@pytest.mark.django_db(transaction=True)
def test_killed_in_the_middle_it_is_made_by_the_sweep(wanted, waiting, quick, data_dir):
    preview_jobs.begin_preview(wanted)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": database_url()}
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, orjson.dumps(wanted.to_json()).decode()],
        cwd=ROOT,
        env=environment | {"DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "at it\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert Progress(JOB, wanted.key).attempts() == 1
    grow_silent(wanted.key)
    tasks.sweep()
    assert preview_jobs.take_preview(wanted) == FOUND
