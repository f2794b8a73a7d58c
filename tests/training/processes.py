"""Workers in processes of their own on the test's database, and what is seen of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from django.db import connection

from training.models import TrainingRun

from .conftest import FAKE_TRAINER

ROOT = Path(__file__).resolve().parents[2]
LEASE = 2.0  # seconds
ASLEEP = 6  # seconds after which the server ends the transaction of a worker that says nothing

HEAD = """
import os, signal, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
sys.path.insert(0, {root!r})
import django
from django.conf import settings
django.setup()
settings.DATABASES["default"]["NAME"] = {database!r}
from django.db import connections
connections["default"].settings_dict["NAME"] = {database!r}
import annotate.postgres
annotate.postgres.ASLEEP_SECONDS = {asleep!r}
if {port!r}:
    connections["default"].settings_dict.update(HOST="127.0.0.1", PORT=str({port!r}))
    connections["default"].settings_dict["OPTIONS"].pop("host", None)
from pathlib import Path
settings.DATA_DIR = Path({data_dir!r})
settings.MODEL_DIRS = [{data_dir!r} + "/models"]
settings.TRAINER_COMMAND = {trainer!r}
settings.TRAINING_LEASE_SECONDS = {lease!r}
settings.TRAINING_GRACE_SECONDS = 1.0
run_id, away = {run!r}, Path({data_dir!r}) / "away"
from django.db import OperationalError
def refuse(execute, *statement):
    if away.exists():
        raise OperationalError("the database is away")
    return execute(*statement)
connections["default"].execute_wrappers.append(refuse)
falls_asleep = Path({data_dir!r}) / "falls_asleep"
def sleep(execute, statement, *rest):
    found = execute(statement, *rest)
    if statement.startswith('UPDATE "training_trainingrun"') and falls_asleep.exists():
        falls_asleep.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)
    return found
connections["default"].execute_wrappers.append(sleep)
"""
# A worker that has claimed the run.
SUPERVISE = """
from training.services import leases
from training.services.supervision import RunSupervisor
run = leases.claim_run(run_id=run_id, worker="process")
print("claimed", run.attempt, flush=True)
print(RunSupervisor(run).supervise().name, flush=True)
"""
# A worker that is told of the run once it is read from: by one message, or by several.
MESSAGES = """
from training import tasks
print("ready", flush=True)
for _ in range(int(sys.stdin.readline())):
    print(tasks.execute_run(run_id), flush=True)
"""
# A sweep whose bell is heard here alone.
SWEEP = """
from training import tasks
rung = []
tasks.ring = lambda name, key: rung.append((name, key)) or True
tasks.sweep()
print(sorted(rung), flush=True)
"""


class Workers:
    """Starts processes and ends them all."""

    def __init__(self, data_dir: Path, trainer: list[str] | None = FAKE_TRAINER) -> None:
        """`trainer`: None for the real one."""
        self.data_dir, self.trainer = data_dir, trainer
        self.port = 0  # where the database is met; 0: where this process meets it
        self.started: list[subprocess.Popen] = []

    def start(self, run: TrainingRun, body: str = SUPERVISE, lease: float = LEASE) -> subprocess.Popen:
        head = HEAD.format(
            root=str(ROOT),
            database=str(connection.settings_dict["NAME"]),
            data_dir=str(self.data_dir),
            trainer=self.trainer,
            port=self.port,
            lease=lease,
            run=str(run.pk),
            asleep=ASLEEP,
        )
        process = subprocess.Popen(
            [sys.executable, "-c", head + body],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.started.append(process)
        if body == SUPERVISE:
            assert process.stdout.readline().startswith("claimed")
        elif body == MESSAGES:
            assert process.stdout.readline().strip() == "ready"
        return process

    @property
    def away(self) -> Path:
        """While this file is there, the database refuses every statement of the workers."""
        return self.data_dir / "away"

    @property
    def falls_asleep(self) -> Path:
        """Once this file is there, a worker is stopped right after its next change of a run, before the
        commit. The file is gone then."""
        return self.data_dir / "falls_asleep"

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                pipe.close()


def told(process: subprocess.Popen, times: int) -> None:
    """Give a worker of MESSAGES its messages."""
    process.stdin.write(f"{times}\n")
    process.stdin.flush()


def wait_for(condition, seconds: float = 90.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def trainer_pid(run: TrainingRun, attempt: int) -> int | None:
    event = run.events.filter(type="state", attempt=attempt, data__pid__isnull=False).first()
    return event.data["pid"] if event else None


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # it went between the two looks
        return False


def step_of(run: TrainingRun) -> int:
    return TrainingRun.objects.get(pk=run.pk).step
