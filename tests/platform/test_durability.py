"""Only what a power cut may undo does without the wait for the disk, and only for its own transaction."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from annotate.durability import undone_by_a_power_cut
from labeling.models import Assignment
from labeling.services import assignments, submissions
from tests.factories import make_demonstration_batch

pytestmark = pytest.mark.django_db(transaction=True)
WAITS = {"sqlite": "2", "postgresql": "on"}
DOES_NOT = {"sqlite": "1", "postgresql": "off"}


def waiting() -> str:
    what = "PRAGMA synchronous" if connection.vendor == "sqlite" else "SHOW synchronous_commit"
    with connection.cursor() as cursor:
        cursor.execute(what)
        return str(cursor.fetchone()[0])


def test_it_does_not_wait_and_afterwards_the_connection_does():
    with undone_by_a_power_cut():
        assert waiting() == DOES_NOT[connection.vendor]
    assert waiting() == WAITS[connection.vendor]


def test_after_an_error_the_connection_waits_again():
    with pytest.raises(RuntimeError), undone_by_a_power_cut():
        raise RuntimeError
    assert waiting() == WAITS[connection.vendor]


def test_inside_another_transaction_it_is_as_durable_as_that_one():
    with transaction.atomic(), undone_by_a_power_cut():
        assert waiting() == WAITS[connection.vendor]


def test_a_submission_waits_and_a_hand_out_does_not(cast, monkeypatch):
    make_demonstration_batch(cast.project, tasks=1)
    seen: dict[str, str] = {}
    for module, name in ((assignments, "record_event"), (submissions, "record_event")):
        original = getattr(module, name)

        def noting(*, action, original=original, **fields):
            seen[action] = waiting()
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
    assert seen == {
        "assignment.claimed": DOES_NOT[connection.vendor],
        "submission.submitted": WAITS[connection.vendor],
    }
