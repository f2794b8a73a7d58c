"""A process killed anywhere in a freeze leaves the version whole or absent, and the next attempt makes it the
same, to the byte."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable

import pytest
from django.db import connection, connections

from labeling.models import DatasetVersion, DatasetVersionStatus
from labeling.services import dataset_files, datasets, verification
from labeling.services.progress import Progress
from tests.cast import make_cast

from .test_dataset_freeze import fill, make_version

pytestmark = pytest.mark.django_db(transaction=True)
MOST_STEPS = 400
AT_A_TIME = 3  # every so many steps of the freeze are tried
IN_PLACE = -1  # the moment after the rename, before the commit


@pytest.fixture(autouse=True)
def data_dir(settings, tmp_path):
    settings.DATA_DIR = tmp_path


class Steps:
    """Kills this process before its `last`-th step: a statement of the database, or a call that touches the
    disk. IN_PLACE: after the first rename."""

    def __init__(self, last: int):
        self.left, self.is_in_place = last, last == IN_PLACE

    def __call__(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def before(self, call: Callable) -> Callable:
        def counted(*args, **kwargs):
            self()
            return call(*args, **kwargs)

        return counted

    def rename(self, call: Callable) -> Callable:
        def renamed(*args, **kwargs):
            call(*args, **kwargs)
            if self.is_in_place:
                os.kill(os.getpid(), signal.SIGKILL)

        return self.before(renamed)

    def on_statement(self, execute, *args):
        self()
        return execute(*args)


def build_and_die(version: DatasetVersion, last: int) -> bool:
    """Whether the child that builds it died before it was done."""
    connections.close_all()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            steps = Steps(last)
            os.fsync, os.rename = steps.before(os.fsync), steps.rename(os.rename)
            shutil.rmtree = steps.before(shutil.rmtree)
            hashed = dataset_files._HashedFile
            hashed.write, hashed.seal = steps.before(hashed.write), steps.before(hashed.seal)
            with connection.execute_wrapper(steps.on_statement):
                datasets.build_version(version=version)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child broke by itself"
    return os.WIFSIGNALED(status)


def begin(dataset, cast) -> DatasetVersion:
    return datasets.freeze_dataset(dataset=dataset, acting_user=cast.admin, in_background=True, force=True)


def test_a_freeze_killed_at_any_step_is_whole_or_absent_and_is_made_again(monkeypatch):
    cast = make_cast()
    fill(cast, 4)
    whole = make_version(cast)
    found = set()
    for last in (IN_PLACE, *range(0, MOST_STEPS, AT_A_TIME)):
        version = begin(whole.dataset, cast)
        died = build_and_die(version, last)
        version.refresh_from_db()
        is_ready = version.status == DatasetVersionStatus.READY
        found.add((is_ready, dataset_files.folder_of(version).exists()))
        if is_ready:
            assert verification.verify_version(version=version) == []
        else:
            assert died
            assert version.status == DatasetVersionStatus.FREEZING
            monkeypatch.setattr("labeling.services.progress.SILENT_SECONDS", -1.0)
            assert version in datasets.lost_versions()
            datasets.build_version(version=version)
            monkeypatch.undo()
            version.refresh_from_db()
            assert verification.verify_version(version=version) == []
        assert version.sha256 == whole.sha256
        Progress("dataset", version.pk).end()
        left = [path.name for path in dataset_files.root().iterdir() if path.name.startswith(".")]
        assert left == []
        if not died:
            break
    else:
        pytest.fail("the freeze has more steps than that")
    # It was killed before anything was in place, between rename and commit, and not at all.
    assert found == {(False, False), (False, True), (True, True)}
    assert last > 40
