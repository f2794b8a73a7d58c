"""SQLite here waits for the disk after COMMIT and outside its lock, and loses nothing by it."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.utils import ConnectionHandler

from annotate.sqlite import base

# The database of a test is not this one, but pytest-django guards all.
pytestmark = pytest.mark.django_db(transaction=True)
OPTIONS = {"transaction_mode": "IMMEDIATE", "timeout": 5}
WAL = "PRAGMA journal_mode=WAL;PRAGMA synchronous={};"
FULL, NORMAL = 2, 1


class Site:
    """A database of its own, whichever the other tests run on."""

    def __init__(self, path: Path, level: str = "FULL") -> None:
        self.path = path
        options = {**OPTIONS, "init_command": WAL.format(level)}
        settings = {"ENGINE": "annotate.sqlite", "NAME": path, "OPTIONS": options}
        self.connections = ConnectionHandler({"default": settings})
        self.execute("CREATE TABLE word (text)")

    @property
    def connection(self):
        return self.connections["default"]

    def execute(self, statement: str, *values: str) -> list[tuple]:
        with self.connection.cursor() as cursor:
            return cursor.execute(statement, values).fetchall()

    def write(self, word: str) -> None:
        """In a transaction, as transaction.atomic() makes one for the connections of the site."""
        self.connection.ensure_connection()
        self.connection._start_transaction_under_autocommit()
        self.execute("INSERT INTO word VALUES (%s)", word)
        self.connection._commit()

    def words_after_power_cut(self, folder: Path) -> list[str]:
        """What a copy of the files as they are now holds, for a process that never saw this one."""
        folder.mkdir()
        for file in self.path.parent.glob(f"{self.path.name}*"):
            if not file.name.endswith("-shm"):  # never on the disk: SQLite makes it again
                shutil.copy(file, folder / file.name)
        with sqlite3.connect(folder / self.path.name) as copy:
            return [word for (word,) in copy.execute("SELECT text FROM word")]


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path / "a.sqlite3")
    yield found
    found.connection.close()


@pytest.fixture
def synced(monkeypatch) -> list[int]:
    """The files that were brought to the disk, as descriptors."""
    files: list[int] = []
    real = base._sync

    def sync(file: int) -> None:
        real(file)
        files.append(file)

    monkeypatch.setattr(base, "_sync", sync)
    return files


def level(site: Site) -> int:
    return site.execute("PRAGMA synchronous")[0][0]


def test_when_it_waits_all_that_was_committed_is_in_the_file(site, tmp_path, monkeypatch):
    seen: list[list[str]] = []
    monkeypatch.setattr(
        base, "_sync", lambda file: seen.append(site.words_after_power_cut(tmp_path / f"{len(seen)}"))
    )
    site.write("first")
    site.write("second")
    assert seen == [["first"], ["first", "second"]]


def test_the_file_that_it_waits_for_is_the_log_of_this_database(site, monkeypatch):
    files: list[str] = []
    monkeypatch.setattr(base, "_sync", lambda file: files.append(str(Path(f"/dev/fd/{file}").resolve())))
    site.write("word")
    site.connection.close()  # the last connection takes the log with it
    site.write("word")
    assert files == [f"{site.path.resolve()}-wal"] * 2


def test_statements_outside_transactions_wait_within_sqlite(site, synced):
    assert level(site) == FULL
    site.write("word")
    assert level(site) == FULL
    site.connection._start_transaction_under_autocommit()
    assert level(site) == NORMAL
    site.connection._rollback()
    assert level(site) == FULL
    assert len(synced) == 1  # nothing to wait for after a ROLLBACK


def test_what_a_power_cut_may_undo_does_not_wait(site, synced):
    site.connection.outlasts_power_cuts = False
    site.write("word")
    assert synced == []
    site.connection.outlasts_power_cuts = True
    site.write("word")
    assert len(synced) == 1


def test_an_operator_who_asked_for_no_waiting_gets_none(tmp_path, synced):
    site = Site(tmp_path / "b.sqlite3", "NORMAL")
    site.write("word")
    assert (level(site), synced) == (NORMAL, [])
    site.connection.close()


def test_others_write_while_one_waits_for_the_disk(site, monkeypatch):
    waits, may_go_on = threading.Event(), threading.Event()

    def sync(file: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            waits.set()
            assert may_go_on.wait(20)

    monkeypatch.setattr(base, "_sync", sync)

    def write_slowly() -> None:
        site.write("slow")
        site.connection.close()

    slow = threading.Thread(target=write_slowly)
    slow.start()
    try:
        assert waits.wait(20)
        site.write("quick")  # would time out if the turn or SQLite's lock were held
    finally:
        may_go_on.set()
        slow.join()
    assert site.execute("SELECT text FROM word") == [("slow",), ("quick",)]


def test_a_disk_that_fails_is_an_error_of_the_transaction(site, monkeypatch):
    def fail(file: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(base, "_sync", fail)
        with pytest.raises(OperationalError, match="may not outlast a power cut"):
            site.write("word")
    assert level(site) == FULL
    site.write("another")  # the turn was given back


def test_a_commit_that_fails_gives_everything_back(site, synced):
    site.execute("PRAGMA foreign_keys=ON")
    site.execute("CREATE TABLE page (number INTEGER PRIMARY KEY)")
    site.execute("CREATE TABLE line (page REFERENCES page (number) DEFERRABLE INITIALLY DEFERRED)")
    site.connection._start_transaction_under_autocommit()
    site.execute("INSERT INTO line VALUES (1)")
    with pytest.raises(IntegrityError):
        site.connection._commit()
    site.connection._rollback()
    assert (level(site), synced) == (FULL, [])
    site.write("word")
    assert len(synced) == 1


def test_the_site_itself_waits_once_for_a_transaction(cast, synced):
    before = len(synced)
    with transaction.atomic(), transaction.atomic():
        cast.annotator.save()
    assert len(synced) - before == (1 if connection.vendor == "sqlite" else 0)
