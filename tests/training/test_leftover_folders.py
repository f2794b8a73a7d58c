"""Killed between the commit and the files, in either direction, or in the middle of a file: the next sweep
leaves no orphan, and nothing that somebody uses is taken."""

from __future__ import annotations

import os
import signal
import time

import pytest

from labeling.services import dataset_files
from training import tasks
from training.models import Checkpoint
from training.services import leftovers, retention
from training.services.checkpoints import register_checkpoints, verify_checkpoint, whole_checkpoints
from training.services.leases import claim_run
from training.services.locations import checkpoint_directory, checkpoints_directory, run_directory

from .conftest import make_sft_run
from .processes import Workers
from .test_retention import eight, make, run  # noqa: F401 - fixtures

WEEKS = 21 * 86_400

# Dies after the row has said that the files are removed, and before they are.
RETIRE = """
import signal
from training.services import leftovers, retention
retention._remove = lambda folder: os.kill(os.getpid(), signal.SIGKILL)
retention.retire_checkpoints()
"""
# Dies after the folder was made, and before its row.
REGISTER = """
import signal
from training.models import TrainingRun
from training.services import checkpoints
run = TrainingRun.objects.get(pk=run_id)
checkpoints._must_hold = lambda run: os.kill(os.getpid(), signal.SIGKILL)
checkpoints.register_checkpoints(run, checkpoints.whole_checkpoints(run), {})
"""


@pytest.fixture
def workers(data_dir):
    found = Workers(data_dir)
    yield found
    found.end()


def folders() -> set[str]:
    return {path.name for path in checkpoints_directory().iterdir()}


def of_present() -> set[str]:
    return {checkpoint_directory(each).name for each in Checkpoint.objects.present()}


@pytest.mark.database
@pytest.mark.django_db(transaction=True)
def test_files_of_a_retirement_that_was_killed_are_removed_by_the_next_sweep(workers, run, eight):  # noqa: F811
    assert workers.start(run, RETIRE).wait(60) == -signal.SIGKILL
    gone = run.checkpoints.get(removed_at__isnull=False)
    assert checkpoint_directory(gone).is_dir(), "an orphan of the killed process"
    tasks.retire_checkpoints()
    assert not checkpoint_directory(gone).exists()
    assert folders() == of_present()
    for checkpoint in Checkpoint.objects.present():
        verify_checkpoint(checkpoint)


@pytest.mark.database
@pytest.mark.django_db(transaction=True)
def test_a_folder_without_a_row_is_kept_for_a_week_and_then_removed(workers, cast, sft_version, data_dir):
    run = make_sft_run(cast, sft_version)  # noqa: F811
    claimed = claim_run(run_id=run.pk, worker="w")
    make_step(claimed, 3)
    assert workers.start(run, REGISTER).wait(60) == -signal.SIGKILL
    (orphan,) = folders()
    assert retention.sweep_folders() == 0, "it may be somebody's who is just about to write the row"
    # The same checkpoint is registered under another name meanwhile, and stays.
    (registered,) = register_checkpoints(claimed, whole_checkpoints(claimed), {})
    assert retention.sweep_folders(nameless_days=-1) == 1
    assert folders() == {checkpoint_directory(registered).name} != {orphan}
    verify_checkpoint(registered)


def make_step(run, step: int) -> None:  # noqa: F811
    from training.rlhf import checkpoints as files

    def fill(folder) -> None:
        (folder / "model.safetensors").write_bytes(b"weights" * 1000)

    target = run_directory(run) / "checkpoints" / f"step-{step}"
    files.write_checkpoint(target, fill, kind="causal_lm", step=step, stage="sft", metrics={}, base="")


@pytest.mark.django_db
def test_age_is_that_of_the_name_not_of_the_copied_times(run):  # noqa: F811
    """copytree keeps the times of what it copies, which may have been written weeks before."""
    folder = checkpoint_directory(make(run, 1))
    Checkpoint.objects.all().delete()
    old = time.time() - WEEKS
    os.utime(folder, (old, old))
    assert retention.sweep_folders() == 0
    assert retention.sweep_folders(nameless_days=-1) == 1


@pytest.mark.django_db
def test_a_sweep_asks_once_for_many_folders_and_takes_no_file_or_link(
    run,  # noqa: F811
    data_dir,
    tmp_path_factory,
    django_assert_num_queries,
):
    kept = [make(run, step, is_pinned=True) for step in range(1, 20)]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (checkpoints_directory() / "link").symlink_to(elsewhere)
    (checkpoints_directory() / "note.txt").write_text("not a folder")
    with django_assert_num_queries(1):
        assert retention.sweep_folders(nameless_days=-1) == 0
    assert elsewhere.is_dir() and len(folders()) == len(kept) + 2


@pytest.mark.django_db
def test_what_cannot_be_removed_is_tried_again_and_keeps_no_other_from_being_removed(run, monkeypatch):  # noqa: F811
    first, second = make(run, 1), make(run, 2)
    Checkpoint.objects.update(removed_at="2026-01-01T00:00Z")
    stubborn = checkpoint_directory(min(first, second, key=lambda each: each.directory))
    remove = retention.shutil.rmtree

    def refuse(folder, *given, **named):
        if folder == stubborn:
            raise PermissionError(13, "Permission denied")
        remove(folder, *given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(retention.shutil, "rmtree", refuse)
        assert retention.sweep_folders() == 1
    assert folders() == {stubborn.name}
    assert retention.sweep_folders() == 1


@pytest.mark.django_db
def test_nothing_was_ever_registered(data_dir):
    assert retention.sweep_folders() == 0


# Dies in the middle of a text that somebody uploads.
UPLOAD = """
import io, signal
from labeling.models import Project
from training.services import texts
texts._check_utf8 = lambda path: os.kill(os.getpid(), signal.SIGKILL)
project, file = Project.objects.first(), io.BytesIO(b"words")
texts.save_text(project=project, name="words.txt", file=file, acting_user=None)
"""
# Dies before a version's finished folder gets its name.
FREEZE = """
import signal
from labeling.models import DatasetVersion
from labeling.services import dataset_files
writer = dataset_files.VersionWriter(DatasetVersion.objects.first())
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.database
@pytest.mark.django_db(transaction=True)
def test_a_text_and_a_version_that_were_never_whole_are_removed(workers, run, sft_version):  # noqa: F811
    root = run_directory(run).parent.parent
    for body in (UPLOAD, FREEZE):
        assert workers.start(run, body).wait(60) == -signal.SIGKILL
    (text,) = (root / "texts").glob("*/.words.txt.*")
    (version,) = dataset_files.root().glob(".building-*")
    assert leftovers.sweep_leftovers() == 0, "somebody may still be writing there"
    assert leftovers.sweep_leftovers(idle_hours=-1) == 2
    assert not text.exists() and not version.exists()


@pytest.mark.django_db
def test_what_is_whole_stays_and_what_a_dead_run_left_goes(run, data_dir):  # noqa: F811
    folder = run_directory(run)
    whole = [data_dir / "texts" / "1" / "a.txt", folder / "launch.json", folder / "inputs" / "train.jsonl"]
    whole += [folder / "checkpoints" / "step-4" / "model.safetensors"]
    half = [folder / "launch.writing", folder / "inputs" / "train.writing"]
    half += [folder / "checkpoints" / name for name in (".step-8.writing", ".step-2.removing")]
    for path in (*whole, *half[:2], *(each / "model.safetensors" for each in half[2:])):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("words")
    tasks.retire_checkpoints()
    assert all(path.exists() for path in (*whole, *half)), "written to just now"
    assert leftovers.sweep_leftovers(idle_hours=-1) == 4
    assert all(path.exists() for path in whole) and not any(path.exists() for path in half)


@pytest.mark.django_db
def test_a_large_file_that_is_still_being_written_keeps_its_folder(run, monkeypatch):  # noqa: F811
    folder = run_directory(run) / "checkpoints" / ".step-8.writing"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("half of it")
    now = time.time()
    monkeypatch.setattr(leftovers.time, "time", lambda: now + 3600 * (leftovers.IDLE_HOURS - 1))
    tasks.retire_checkpoints()
    assert folder.exists()
    monkeypatch.setattr(leftovers.time, "time", lambda: now + 3600 * (leftovers.IDLE_HOURS + 1))
    tasks.retire_checkpoints()
    assert not folder.exists()
