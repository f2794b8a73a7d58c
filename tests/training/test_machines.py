"""A run that asks for a GPU: refused where it is ordered, or by the machine that took it before it begins,
and left to a machine that has one."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Invalid
from training import tasks
from training.models import RunStatus, TrainingMachine, TrainingRun
from training.rlhf.devices import has_gpu
from training.services import leases, machines
from training.services.locations import run_directory
from training.services.rounds import create_round
from training.services.supervision import RunSupervisor

from .conftest import make_sft_run
from .processes import ROOT

pytestmark = [pytest.mark.django_db]
ON_GPU = {"device": "cuda"}
REFUSAL = "device: is cuda, but no machine that trains has a GPU"


@pytest.fixture(autouse=True)
def without_gpu(monkeypatch):
    """Whatever this machine has: here it has none."""
    monkeypatch.setattr(machines, "has_gpu", lambda: False)


def machine(host: str, *, gpu: bool, minutes: float = 0.0) -> TrainingMachine:
    seen_at = timezone.now() - timedelta(minutes=minutes)
    return TrainingMachine.objects.create(host=host, has_gpu=gpu, seen_at=seen_at)


# --- Where it is ordered --------------------------------------------------------------------------------
def test_the_form_says_it_beside_the_field(client, cast, sft_version):
    machine("attic", gpu=False)
    client.force_login(cast.admin)
    (folder := machines_dir(cast)).mkdir(exist_ok=True, parents=True)
    (folder / "config.json").write_text("{}")
    address = reverse("training:run_new", args=[cast.project.slug]) + "?stage=sft"
    given = {"train_data": sft_version.pk, "base_model": "base", "hp_device": "cuda"}
    page = client.post(address, given)
    assert page.status_code == 422
    assert [REFUSAL in said for said in page.context["form"].errors["hp_device"]] == [True]
    assert "attic" in page.context["form"].errors["hp_device"][0]
    assert not TrainingRun.objects.exists()


def machines_dir(cast):
    from training.services.locations import data_dir

    return data_dir() / "models" / "base"


def test_the_api_names_the_field_and_says_what_to_do(client, cast, sft_version):
    machine("attic", gpu=False)
    client.force_login(cast.admin)
    body = {
        "stage": "sft", "base_model": "base", "hyperparameters": ON_GPU,
        "inputs": {"train_data": str(sft_version.public_id)},
    }  # fmt: skip
    address = f"/api/projects/{cast.project.slug}/runs/"
    answer = client.post(address, json.dumps(body), content_type="application/json")
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["field"]) == ("no_gpu", "device")
    assert error["message"].startswith(REFUSAL) and "auto" in error["hint"]


def test_the_command_refuses_it(cast, sft_version):
    machine("attic", gpu=False)
    with pytest.raises(CommandError, match=REFUSAL):
        call_command(
            "launch_run", project=cast.project.slug, stage="sft", dataset=[str(sft_version.public_id)],
            base_model="base", set=["device=cuda"], stdout=io.StringIO(),
        )  # fmt: skip


def test_a_round_is_refused_before_people_have_worked_for_it(cast, data_dir):
    machine("attic", gpu=False)
    with pytest.raises(Invalid, match="no machine that trains has a GPU") as refusal:
        create_round(project=cast.project, plan={"base_model": "base", "ppo": ON_GPU}, acting_user=cast.admin)
    assert refusal.value.field == "ppo.device"


def test_auto_and_cpu_are_taken_anywhere(cast, sft_version):
    machine("attic", gpu=False)
    for device in ("auto", "cpu"):
        assert make_sft_run(cast, sft_version, hyperparameters={"device": device}).status == RunStatus.QUEUED


@pytest.mark.parametrize("known", [[], [("old", False, 11)], [("attic", False, 0), ("cellar", True, 5)]])
def test_it_is_taken_where_nothing_is_known_or_some_machine_has_one(cast, sft_version, known):
    for host, gpu, minutes in known:
        machine(host, gpu=gpu, minutes=minutes)
    assert make_sft_run(cast, sft_version, hyperparameters=ON_GPU).status == RunStatus.QUEUED


# --- Where it is worked on ------------------------------------------------------------------------------
def test_the_machine_that_took_it_says_so_before_anything_is_prepared(fake_trainer, cast, sft_version):
    fake_trainer(steps=2)
    run = make_sft_run(cast, sft_version, hyperparameters=ON_GPU)
    claimed = leases.claim_run(run_id=run.pk, worker="w")
    supervisor = RunSupervisor(claimed)
    supervisor.supervise()
    run.refresh_from_db()
    assert (run.status, run.error_code) == (RunStatus.FAILED, "no_gpu")
    assert machines.own_host() in run.error_message and "choose auto" in run.error_message.lower()
    assert supervisor.child is None and not run_directory(run).exists()


@pytest.mark.database
def test_a_machine_without_one_leaves_it_to_one_that_has(cast, sft_version):
    first = make_sft_run(cast, sft_version, hyperparameters=ON_GPU)
    second = make_sft_run(cast, sft_version)
    machine("cellar", gpu=True)
    assert leases.claim_run(run_id=first.pk, worker="w") is None
    assert leases.claim_oldest(worker="w").pk == second.pk
    assert leases.claim_oldest(worker="w") is None
    TrainingMachine.objects.update(seen_at=timezone.now() - timedelta(minutes=11))
    assert leases.claim_oldest(worker="w").pk == first.pk, "nobody else will: somebody has to say so"


@pytest.mark.database
def test_a_machine_that_has_one_takes_both(cast, sft_version, monkeypatch):
    monkeypatch.setattr(machines, "has_gpu", lambda: True)
    machine("cellar", gpu=True)
    runs = [make_sft_run(cast, sft_version, hyperparameters=values) for values in (ON_GPU, {})]
    assert [leases.claim_oldest(worker="w").pk for _ in runs] == [run.pk for run in runs]


def test_what_a_machine_once_had_is_not_what_it_has(cast, sft_version):
    """Its own row does not count: it looks at itself."""
    machine(machines.own_host(), gpu=True)
    run = make_sft_run(cast, sft_version, hyperparameters=ON_GPU)
    assert leases.claim_run(run_id=run.pk, worker="w") is not None


# --- Telling --------------------------------------------------------------------------------------------
@pytest.mark.database
def test_a_machine_tells_once_a_minute_and_forgotten_ones_are_dropped(monkeypatch):
    machine("container-of-last-week", gpu=True, minutes=8 * 24 * 60)
    waited = []
    monkeypatch.setattr(tasks.connection, "close", lambda: None)  # it is the test's
    tasks.tell_for_ever(lambda seconds: waited.append(seconds) or len(waited) == 3)
    assert waited == [60.0] * 3
    (told,) = TrainingMachine.objects.all()
    assert (told.host, told.has_gpu) == (machines.own_host(), False)
    assert abs(told.seen_at - timezone.now()) < timedelta(seconds=60)
    assert list(machines.known_machines()) == [told]


def test_a_database_that_is_away_costs_a_minute(monkeypatch):
    answers = [OperationalError("away"), None]

    def tell() -> None:
        if (error := answers.pop(0)) is not None:
            raise error

    monkeypatch.setattr(tasks.machines, "tell_machine", tell)
    monkeypatch.setattr(tasks.connection, "close", lambda: None)
    tasks.tell_for_ever(lambda _seconds: not answers)
    assert not answers


@pytest.mark.parametrize(("queues", "tells"), [({"training"}, True), ({"default"}, False)])
def test_only_workers_of_the_queue_of_runs_tell(monkeypatch, queues, tells):
    begun = []
    monkeypatch.setattr(tasks, "tell_for_ever", lambda: begun.append(True))
    worker = SimpleNamespace(
        app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=queues)))
    )
    tasks._begin_to_tell(sender=worker)
    for thread in tasks.threading.enumerate():
        if thread.name == "machine":
            thread.join(10)
    assert bool(begun) is tells


# --- Looking --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("files", "environment", "found"),
    [
        ([], {}, False),
        (["null", "dri"], {}, False),
        (["nvidiactl", "nvidia0"], {}, True),
        (["kfd"], {}, True),
        (["dxg"], {}, True),
        (["nvidia0"], {"CUDA_VISIBLE_DEVICES": "0"}, True),
        (["nvidia0"], {"CUDA_VISIBLE_DEVICES": ""}, False),
        (["nvidia0"], {"CUDA_VISIBLE_DEVICES": "-1"}, False),
        (["kfd"], {"HIP_VISIBLE_DEVICES": " "}, False),
    ],
)
def test_a_gpu_is_known_by_the_files_of_its_driver(tmp_path, files, environment, found):
    for name in files:
        (tmp_path / name).touch()
    assert has_gpu(tmp_path, environment) is found


def test_the_trainer_refuses_it_without_loading_torch(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model": "m", "train_file": "t", "device": "cuda"}))
    program = (
        "import sys\nfrom training.rlhf.cli import main\n"
        f"status = main(['sft', '--config', {str(config)!r}, '--out', {str(tmp_path / 'run')!r}])\n"
        "assert 'torch' not in sys.modules\nraise SystemExit(status)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert (
        ended.stderr.strip().splitlines()[-1].startswith("sft: device: is cuda, but this machine has no GPU")
    )
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["status"], result["error"]["field"]) == ("failed", "device")
