"""A doorbell rings after the commit, and an unreachable broker is neither an error nor a wait."""

from __future__ import annotations

import socket
import time

import pytest
from django.db import transaction

from annotate import doorbell
from annotate.celery import app


@pytest.fixture(autouse=True)
def _listen_again(monkeypatch):
    monkeypatch.setattr(doorbell, "_silent_until", 0.0)


@pytest.fixture
def sent(monkeypatch) -> list:
    calls: list = []
    monkeypatch.setattr(app, "send_task", lambda name, args, retry: calls.append((name, args)))
    return calls


@pytest.mark.django_db(transaction=True)
def test_it_rings_after_the_commit(sent):
    with transaction.atomic():
        doorbell.ring_on_commit("training.tasks.sweep", 7)
        assert sent == []
    assert sent == [("training.tasks.sweep", (7,))]


@pytest.mark.django_db(transaction=True)
def test_it_does_not_ring_for_what_was_rolled_back(sent):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        doorbell.ring_on_commit("training.tasks.sweep")
        _ = 1 / 0
    assert sent == []


def test_a_dead_broker_is_told_by_false_quickly_and_not_tried_again_at_once(monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        dead = f"redis://127.0.0.1:{probe.getsockname()[1]}/0"
    from celery import Celery

    lonely = Celery("lonely", broker=dead)
    lonely.conf.broker_transport_options = {"socket_connect_timeout": 1, "max_retries": 0}
    attempts = []

    def send(name, args, retry):
        attempts.append(name)
        lonely.send_task(name, args=args, retry=retry)

    monkeypatch.setattr(app, "send_task", send)
    started = time.monotonic()
    assert [doorbell.ring("training.tasks.sweep") for _ in range(5)] == [False] * 5
    assert time.monotonic() - started < 10
    assert len(attempts) == 1
