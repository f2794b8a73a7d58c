"""`manage.py up` and what it is made of: restarts, clean stops, one site per folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from annotate.supervisor import AlreadyRunning, FolderLock, Service, Supervisor
from tests.architecture.source import ROOT
from tests.servers import free_port

LEADER_WITH_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
open(sys.argv[1], "a").write(f"{child.pid}\\n")
time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds: float = 60.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def children_in(notes: Path) -> list[int]:
    return [int(line) for line in notes.read_text().split()] if notes.exists() else []


@pytest.fixture
def running(tmp_path):
    """A supervisor in a thread, over a service that starts a child: (supervisor, notes of children)."""
    notes = tmp_path / "children"
    service = Service("leader", [sys.executable, "-c", LEADER_WITH_CHILD, str(notes)])
    supervisor = Supervisor([service], say=lambda line: None, grace=2)
    # Signal handlers belong to the main thread; the thread only tends.
    service.start()
    thread = threading.Thread(target=lambda: [supervisor.tend() or time.sleep(0.05) for _ in iter(
        lambda: supervisor._stopping, True)])  # fmt: skip
    thread.start()
    wait_for(lambda: children_in(notes))
    yield supervisor, notes
    supervisor.stop()
    thread.join()
    supervisor.shut_down()


def test_a_service_that_dies_is_started_again_and_its_orphans_ended(running):
    supervisor, notes = running
    first_child = children_in(notes)[0]
    supervisor.services[0].process.kill()
    wait_for(lambda: len(children_in(notes)) == 2)
    wait_for(lambda: not is_alive(first_child))
    assert is_alive(children_in(notes)[1])


def test_stopping_ends_what_the_service_started_too(running):
    supervisor, notes = running
    supervisor.stop()
    time.sleep(0.2)
    supervisor.shut_down()
    wait_for(lambda: not is_alive(children_in(notes)[0]))
    assert not supervisor.services[0].is_running


def test_a_folder_has_one_holder_and_is_free_after_it(tmp_path):
    lock = FolderLock(tmp_path / "lock")
    lock.acquire()
    with pytest.raises(AlreadyRunning) as caught:
        FolderLock(tmp_path / "lock").acquire()
    assert caught.value.pid == str(os.getpid())
    lock.release()
    second = FolderLock(tmp_path / "lock")
    second.acquire()
    second.release()


@pytest.fixture
def site(tmp_path):
    """`manage.py up` in a fresh folder, as a person would start it."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    environment = {**kept, "DATA_DIR": str(tmp_path), "PORT": str(free_port())}
    log = open(tmp_path / "up.log", "wb")  # noqa: SIM115
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up"], cwd=ROOT, env=environment, stdout=log, stderr=log
    )
    yield process, environment, tmp_path / "up.log"
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(90)
    log.close()


def answers(port: str) -> bool:
    import urllib.request

    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as response:
            return response.status == 200
    except OSError:
        return False


@pytest.mark.serial
@pytest.mark.database
def test_up_serves_runs_jobs_refuses_a_second_and_leaves_nothing_behind(site):
    process, environment, log = site
    wait_for(lambda: answers(environment["PORT"]) or process.poll() is not None, 180)
    assert process.poll() is None, log.read_text()
    wait_for(lambda: log.read_text().count("/setup/?token=") == 2)  # again when all is up: nothing hides it
    said = log.read_text()
    assert "[queues]" not in said
    assert "superuser privileges" not in said
    assert said.rfind("/setup/?token=") > said.rfind("Uvicorn running")

    second = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert second.returncode != 0
    assert "already running" in second.stderr

    # A job rung from outside is run by the worker: the message leaves the folder.
    ring = "import django; django.setup(); from annotate.doorbell import ring; assert ring('annotate.ping')"
    subprocess.run(
        [sys.executable, "-c", ring],
        cwd=ROOT,
        env={**environment, "DJANGO_SETTINGS_MODULE": "annotate.settings"},
        check=True,
        timeout=180,
    )
    messages = Path(environment["DATA_DIR"]) / "broker" / "messages"
    wait_for(lambda: not list(messages.glob("*.default.msg")), 90)

    children = [
        int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ]
    assert len(children) == 3
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 0
    assert not [pid for pid in children if is_alive(pid)]


LEADER_THAT_SAVES = """
import signal, subprocess, sys, time
notes = sys.argv[1]
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
def save(*_):
    time.sleep(0.5)
    open(notes, "a").write("child alive" if child.poll() is None else "child gone")
    child.kill()
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
open(notes, "a").write("ready ")
time.sleep(600)
"""


def test_a_leader_ends_its_own_work_before_anything_else_is_touched(tmp_path):
    notes = tmp_path / "notes"
    service = Service("trainer", [sys.executable, "-c", LEADER_THAT_SAVES, str(notes)])
    supervisor = Supervisor([service], say=lambda line: None, grace=10)
    service.start()
    wait_for(lambda: notes.exists() and "ready" in notes.read_text())
    supervisor.shut_down()
    assert notes.read_text() == "ready child alive"
    assert service.process.returncode == 0


def test_what_ignores_the_request_is_killed_after_the_grace(tmp_path):
    deaf = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "open(sys.argv[1], 'w').close(); time.sleep(600)"
    )
    service = Service("deaf", [sys.executable, "-c", deaf, str(tmp_path / "ready")])
    said: list[str] = []
    supervisor = Supervisor([service], say=said.append, grace=0.3)
    service.start()
    wait_for(lambda: (tmp_path / "ready").exists())
    supervisor.shut_down()
    assert service.process.returncode == -signal.SIGKILL
    assert "deaf" in said[0]
