"""A version is the same bytes when it is rebuilt on another database, in another locale and time zone, in
real processes: the site is moved from SQLite to PostgreSQL and back as docs/operating.md says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"Answers": "sft", "Rankings": "comparison", "Questions": "prompts"}
# As docs/operating.md has them.
DUMP = ("dumpdata", "--exclude", "contenttypes", "--exclude", "auth.permission", "--output")

pytestmark = pytest.mark.slow


class Site:
    """A site of its own folder and database, whose processes have their own ideas of time and order."""

    def __init__(self, folder: Path, database: str, **environment: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "annotate.settings",
            "DATA_DIR": str(folder),
            "DATABASE_URL": database,
            "SECRET_KEY": "moved-" + "x" * 50,
            "REDIS_URL": "",
            "PYTHONUTF8": "1",
            **environment,
        }

    def run(self, *command: str, expected: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=self.environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == expected, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    def manage(self, *command: str) -> str:
        return self.run("manage.py", *command)

    def freeze(self) -> dict[str, tuple[int, str, dict[str, int]]]:
        """{dataset: (number, SHA-256, rows)} of a new version of each."""
        words = self.run("-m", "tests.commands.moved_site", "freeze", json.dumps(NAMES))
        versions = [json.loads(line) for line in words.splitlines() if line.startswith("{")]
        return {each["dataset"]: (each["number"], each["sha256"], each["rows"]) for each in versions}

    def move_to(self, other: Site) -> None:
        dump = self.folder / "dump.json"
        self.manage(*DUMP, str(dump))
        other.manage("loaddata", str(dump))
        for name in ("datasets", "imports"):
            shutil.copytree(self.folder / name, other.folder / name, dirs_exist_ok=True)


@pytest.fixture
def postgres_url():
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.commands.moved_site", "postgres"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(60)


def shas(versions):
    return {name: (sha256, rows) for name, (_, sha256, rows) in versions.items()}


def test_versions_are_the_same_bytes_on_another_database_and_back(tmp_path, postgres_url):
    first = Site(
        tmp_path / "first", f"sqlite:///{tmp_path}/first/annotate.sqlite3",
        TZ="UTC", LC_ALL="C.UTF-8", PYTHONHASHSEED="0",
    )  # fmt: skip
    first.manage("migrate", "--verbosity", "0")
    third = Site(
        tmp_path / "third", f"sqlite:///{tmp_path}/third/annotate.sqlite3",
        TZ="America/St_Johns", LC_ALL="C", PYTHONHASHSEED="1",
    )  # fmt: skip
    shutil.copy(tmp_path / "first/annotate.sqlite3", tmp_path / "third/annotate.sqlite3")
    first.run("-m", "tests.commands.moved_site", "fill")
    frozen = first.freeze()
    assert [number for number, _, _ in frozen.values()] == [1, 1, 1]
    assert all(sum(rows.values()) >= 18 for _, _, rows in frozen.values())

    second = Site(
        tmp_path / "second", postgres_url, TZ="Asia/Kathmandu", LC_ALL="tr_TR.UTF-8", PYTHONHASHSEED="4711"
    )
    second.manage("migrate", "--verbosity", "0")
    first.move_to(second)
    rebuilt = second.freeze()
    assert [number for number, _, _ in rebuilt.values()] == [2, 2, 2]
    assert shas(rebuilt) == shas(frozen)
    # The judgments were put straight into the database, which verify tells; the versions are as made.
    said = [
        line.strip()
        for line in second.run("manage.py", "verify", "--verbosity", "2", expected=1).splitlines()
    ]
    assert not [line for line in said if line.startswith("BAD") and "judgment" not in line]
    assert len([line for line in said if "dataset version moved" in line and "BAD" not in line]) == 6

    second.move_to(third)
    assert shas(third.freeze()) == shas(frozen)
