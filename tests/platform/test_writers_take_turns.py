"""SQLite's writers queue: first come, first served in a process; nobody is left out between them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from django.db import OperationalError, connection, transaction

from annotate.sqlite.base import Turns, turns_of

HOLD = """
import sys, time
from annotate.sqlite.base import Turns
turns = Turns(sys.argv[1])
assert turns.take(20)
print("mine", flush=True)
sys.stdin.readline()
turns.give_back()
print("gave", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def turns(tmp_path) -> Turns:
    return Turns(str(tmp_path / "a.sqlite3"))


def test_threads_go_in_the_order_in_which_they_came(turns):
    assert turns.take(1)
    order: list[int] = []

    def write(number: int) -> None:
        assert turns.take(20)
        order.append(number)
        turns.give_back()

    threads = []
    for number in range(20):
        threads.append(threading.Thread(target=write, args=(number,)))
        threads[-1].start()
        while len(turns.waiting) < number + 2:  # it stands in the queue before the next one comes
            time.sleep(0.001)
    turns.give_back()
    for thread in threads:
        thread.join()
    assert order == list(range(20))


def test_who_waits_too_long_leaves_the_queue_and_the_next_one_goes(turns):
    assert turns.take(1)
    assert not turns.take(0.05)
    turns.give_back()
    assert turns.take(1)
    turns.give_back()
    assert not turns.waiting


def test_another_process_waits_and_then_has_its_turn(turns):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, turns.path.removesuffix("-turn")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "mine\n"
        assert not turns.take(0.05)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "gave\n"
        assert turns.take(20)
    finally:
        process.kill()
        process.wait()


AGAIN_AND_AGAIN = """
import sys, time
from annotate.sqlite.base import Turns
turns = Turns(sys.argv[1])
print("ready", flush=True)
until = time.monotonic() + 60
while time.monotonic() < until:
    assert turns.take(20)
    time.sleep(0.02)
    turns.give_back()
"""


def test_a_process_that_writes_all_the_time_leaves_room_for_the_others(turns):
    """It gives its turn back and wants the next at once; whoever waits comes in between."""
    busy = subprocess.Popen(
        [sys.executable, "-c", AGAIN_AND_AGAIN, turns.path.removesuffix("-turn")],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert busy.stdout.readline() == "ready\n"
        for _ in range(20):
            assert turns.take(10)
            turns.give_back()
    finally:
        busy.kill()
        busy.wait()


def test_a_killed_process_holds_nobody_up(turns):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, turns.path.removesuffix("-turn")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "mine\n"
    process.kill()
    process.wait()
    assert turns.take(5)


@pytest.fixture
def queue(transactional_db):
    """The queue of the test's own database, or None on PostgreSQL, which needs none."""
    return turns_of(str(connection.settings_dict["NAME"])) if connection.vendor == "sqlite" else None


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_transaction_holds_its_turn_until_it_ends(queue, ending):
    if queue is None:
        return
    try:
        with transaction.atomic():
            assert len(queue.waiting) == 1
            if ending == "rollback":
                raise ValueError
    except ValueError:
        assert ending == "rollback"
    assert not queue.waiting


def test_a_connection_closed_in_the_middle_gives_its_turn_back(queue):
    if queue is None:
        return
    connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    assert len(queue.waiting) == 1
    connection.close()
    assert not queue.waiting


def test_a_turn_that_does_not_come_is_a_locked_database(queue, monkeypatch):
    if queue is None:
        return
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.05)
    assert queue.take(1)
    try:
        with pytest.raises(OperationalError, match="locked"), transaction.atomic():
            raise AssertionError("it began all the same")
    finally:
        queue.give_back()
