"""The broker that is a folder: nothing lost under load, first in first out, and bad files are survived."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from kombu import Connection

from annotate import transport

PRODUCERS, EACH, CONSUMERS = 3, 200, 2


def connect(root: Path) -> Connection:
    transport.register()
    options = transport.folder_options(root)
    options["polling_interval"] = 0.01
    return Connection("filesystem://localhost/", transport_options=options)


def produce(root: Path, number: int) -> None:
    with connect(root) as connection:
        queue = connection.SimpleQueue("work")
        for index in range(EACH):
            queue.put(f"{number}-{index}")


def consume(root: Path, found, done) -> None:
    """Until everything has arrived: producers may take their time to start."""
    with connect(root) as connection:
        queue = connection.SimpleQueue("work")
        while not done.is_set():
            try:
                message = queue.get(timeout=0.5)
            except queue.Empty:
                continue
            message.ack()
            found.put(message.payload)


@pytest.fixture
def channel(tmp_path):
    with connect(tmp_path / "broker") as connection:
        yield connection.channel()


def test_fast_producers_and_racing_consumers_lose_and_double_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    found, done = context.Queue(), context.Event()
    root = tmp_path / "broker"
    transport.folder_options(root)
    processes = [context.Process(target=produce, args=(root, number)) for number in range(PRODUCERS)]
    processes += [context.Process(target=consume, args=(root, found, done)) for _ in range(CONSUMERS)]
    for process in processes:
        process.start()
    received = [found.get(timeout=120) for _ in range(PRODUCERS * EACH)]
    done.set()
    for process in processes:
        process.join(60)
    assert sorted(received) == sorted(f"{n}-{i}" for n in range(PRODUCERS) for i in range(EACH))
    assert found.empty()


def test_messages_come_out_in_the_order_they_went_in(channel):
    for number in range(50):
        channel._put("work", {"body": number})
    assert [channel._get("work")["body"] for _ in range(50)] == list(range(50))


@pytest.mark.parametrize("content", [b"", b"{half", b"[]", b"\xff\xfe"])
def test_a_bad_file_is_set_aside_and_the_next_message_comes(channel, content):
    folder = Path(channel.data_folder_in)
    (folder / "00000000000000000001-0-bad.work.msg").write_bytes(content)
    channel._put("work", {"body": "good"})
    assert channel._get("work")["body"] == "good"
    assert len(list((folder.parent / "rejected").iterdir())) == 1


def test_a_file_still_being_written_is_not_taken(channel):
    folder = Path(channel.data_folder_in)
    (folder / ".00000000000000000001.work.msg").write_bytes(b"{")
    assert channel._size("other") == 0
    channel._put("work", {"body": 1})
    assert channel._get("work")["body"] == 1
    assert not (folder.parent / "rejected").exists() or not list((folder.parent / "rejected").iterdir())


def test_queues_do_not_take_each_others_messages(channel):
    channel._put("training", {"body": "run"})
    with pytest.raises(Exception) as caught:  # noqa: PT011 - kombu's Empty is queue.Empty
        channel._get("default")
    assert type(caught.value).__name__ == "Empty"
    assert channel._get("training")["body"] == "run"
