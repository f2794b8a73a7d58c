"""Only what a power cut may undo does without the wait for the disk, and only for its own transaction."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from annotate.durability import undone_by_a_power_cut
from labeling.models import Assignment
from labeling.services import assignments, submissions
from tests.factories import make_demonstration_batch

pytestmark = pytest.mark.django_db(transaction=True)


def waits() -> bool:
    """Whether the transaction that is open will wait for the disk; without one, whether the next one will."""
    if connection.vendor == "sqlite":  # how: tests/platform/test_writers_wait_for_the_disk.py
        return connection.waits_for_disk and connection.outlasts_power_cuts
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        return cursor.fetchone()[0] == "on"


def test_it_does_not_wait_and_afterwards_the_connection_does():
    with undone_by_a_power_cut():
        assert not waits()
    assert waits()


def test_after_an_error_the_connection_waits_again():
    with pytest.raises(RuntimeError), undone_by_a_power_cut():
        raise RuntimeError
    assert waits()


def test_inside_another_transaction_it_is_as_durable_as_that_one():
    with transaction.atomic(), undone_by_a_power_cut():
        assert waits()


def test_a_submission_waits_and_a_hand_out_does_not(cast, monkeypatch):
    make_demonstration_batch(cast.project, tasks=1)
    seen: dict[str, bool] = {}
    for module, name in ((assignments, "record_event"), (submissions, "record_event")):
        original = getattr(module, name)

        def noting(*, action, original=original, **fields):
            seen[action] = waits()
            return original(action=action, **fields)

        monkeypatch.setattr(module, name, noting)
    slot = assignments.claim_next(user=cast.annotator, project=cast.project)
    assert isinstance(slot, Assignment)
    submissions.submit_demonstration(
        assignment=slot,
        user=cast.annotator,
        fence=slot.fence,
        idempotency_key="key-of-this-work",
        text="Words.",
    )
    assert seen == {"assignment.claimed": False, "submission.submitted": True}
