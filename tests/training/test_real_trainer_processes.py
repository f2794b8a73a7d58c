"""Workers and the real trainer, each in a process of its own: killed, or with a database that goes away."""

from __future__ import annotations

import json
import shutil
import socket

import pytest
from django.db import connection

from tests.engines import on_postgres
from training.models import RunStatus, TrainingRun
from training.rlhf import checkpoints as files
from training.services import endings
from training.services.locations import checkpoint_directory, run_directory

from .conftest import demonstration, make_sft_run, make_version
from .processes import Workers, is_alive, step_of, wait_for
from .proxy import DatabaseProxy

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database, pytest.mark.serial]

STEPS = 240
LONG = 240.0  # seconds to wait for what a busy machine may take long for


@pytest.fixture(scope="module")
def base_model(tmp_path_factory):
    """A tiny base model, made by the trainer itself."""
    from training.rlhf.cli import main

    folder = tmp_path_factory.mktemp("base")
    (folder / "sums.txt").write_text("\n".join(f"What is {n} plus 1? It is {n + 1}." for n in range(200)))
    config = {"text_files": [str(folder / "sums.txt")], "vocabulary_size": 300, "layers": 1, "hidden": 16}
    config |= {"heads": 2, "context": 64, "maximum_steps": 2, "threads": 1, "device": "cpu"}
    (folder / "config.json").write_text(json.dumps(config))
    out = folder / "run"
    assert main(["pretrain", "--config", str(folder / "config.json"), "--out", str(out)]) == 0
    return out / json.loads((out / "result.json").read_text())["final_checkpoint"]


@pytest.fixture
def workers(data_dir, base_model, settings):
    shutil.copytree(base_model, data_dir / "models" / "base")
    settings.TRAINING_LEASE_SECONDS = 2.0
    found = Workers(data_dir, trainer=None)
    yield found
    found.end()


@pytest.fixture
def version(cast, data_dir):
    rows = [demonstration(number) for number in range(20)]
    return make_version(cast.project, "sft", {"train": rows[:16], "validation": rows[16:]})


@pytest.fixture
def order(cast, version, workers):
    def make() -> TrainingRun:
        values = {"maximum_steps": STEPS, "epochs": STEPS, "batch_size": 4, "maximum_length": 64}
        values |= {"log_every": 1, "save_every": 20, "evaluate_every": 20, "threads": 1}
        return make_sft_run(cast, version, hyperparameters=values)

    return make


def has_ended(run: TrainingRun) -> bool:
    run.refresh_from_db()
    return run.status in (RunStatus.SUCCEEDED, RunStatus.FAILED)


def final_digests(run: TrainingRun) -> dict[str, str]:
    run.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED, run.error_message
    manifest = files.verify(checkpoint_directory(run.checkpoints.get(is_final=True)))
    return {name: each["sha256"] for name, each in manifest.files.items() if name.endswith(".safetensors")}


def pid_of_trainer(run: TrainingRun) -> int:
    return json.loads((run_directory(run) / "process.json").read_text())["pid"]


def losses(run: TrainingRun) -> list[tuple[int, float]]:
    """Each step and its loss, as the rows have it."""
    rows = run.events.filter(type="metrics", data__has_key="train_loss").order_by("sequence")
    return [(step, data["train_loss"]) for step, data in rows.values_list("step", "data")]


def test_a_run_whose_worker_is_killed_ends_with_the_weights_of_one_that_was_left_alone(workers, order):
    killed, alone = order(), order()
    first = workers.start(killed)
    wait_for(lambda: step_of(killed) >= 25, LONG)
    pid = pid_of_trainer(killed)
    first.kill()
    wait_for(lambda: not is_alive(pid), LONG)
    assert not (run_directory(killed) / "result.json").exists(), "it was in the middle"
    wait_for(endings.take_up_lost_runs, LONG)
    heirs = [workers.start(run, lease=LONG) for run in (killed, alone)]
    assert [heir.stdout.readline().strip() for heir in heirs] == ["ENDED", "ENDED"]
    assert final_digests(killed) == final_digests(alone)
    assert {"model.safetensors", "optimizer.safetensors"} <= set(final_digests(killed))
    assert set(losses(killed)) == set(losses(alone)), "the same curve, also where steps were done twice"
    resumed = killed.events.filter(type="metrics", attempt=2).order_by("sequence").first()
    assert killed.attempt == 2 and resumed.step > 20, "it went on from a checkpoint"


@pytest.fixture
def proxy(workers):
    found = DatabaseProxy(server_address())
    workers.port = found.port
    yield found
    found.close()


def server_address():
    settings = connection.settings_dict
    host = settings["OPTIONS"].get("host") or settings["HOST"] or "127.0.0.1"
    port = int(settings["PORT"] or 5432)
    if host.startswith("/"):
        return socket.AF_UNIX, f"{host}/.s.PGSQL.{port}"
    return socket.AF_INET, (host, port)


@on_postgres
def test_a_database_that_is_cut_off_and_falls_silent_and_comes_back_costs_nothing(workers, order, proxy):
    run = order()
    worker = workers.start(run, lease=LONG)
    wait_for(lambda: step_of(run) >= 5, LONG)
    proxy.drop()
    diary = run_directory(run) / "events.jsonl"
    size = diary.stat().st_size
    wait_for(lambda: diary.stat().st_size > size + 5_000, LONG)
    proxy.mend()
    wait_for(lambda: step_of(run) >= 40, LONG)
    proxy.stall()
    wait_for((run_directory(run) / "result.json").exists, LONG)
    assert not has_ended(run)
    proxy.mend()
    assert worker.stdout.readline().strip() == "ENDED"
    assert has_ended(run) and (run.status, run.attempt) == (RunStatus.SUCCEEDED, 1)
    assert [step for step, _ in losses(run)] == list(range(1, STEPS + 1)), "each metric once"
    sequences = list(run.events.order_by("sequence").values_list("sequence", flat=True))
    assert sequences == list(range(1, len(sequences) + 1))


@on_postgres
def test_a_database_that_stays_silent_ends_the_trainer_and_the_run_goes_on_later(workers, order, proxy):
    """No error tells the worker: only its own clock does. Without it, two would train in the end."""
    run = order()
    worker = workers.start(run, lease=10.0)
    wait_for(lambda: step_of(run) >= 25, LONG)
    pid = pid_of_trainer(run)
    proxy.stall()
    assert worker.stdout.readline().strip() == "LOST"
    assert not is_alive(pid)
    proxy.mend()
    wait_for(endings.take_up_lost_runs, LONG)
    assert workers.start(run, lease=LONG).stdout.readline().strip() == "ENDED"
    assert has_ended(run) and (run.status, run.attempt) == (RunStatus.SUCCEEDED, 2)
    again = [step for step, _ in losses(run)]
    assert set(again) == set(range(1, STEPS + 1))
