"""The hand-out walks its partial index: no sort, no scan of the backlog."""

from __future__ import annotations

from django.db import connection

from labeling import queues
from labeling.models import Assignment, Prompt
from labeling.services.batches import create_demonstration_batch
from tests.factories import make_demonstration_batch


def make_backlog(cast, count: int) -> None:
    Prompt.objects.bulk_create(
        Prompt(
            project=cast.project,
            messages=[{"role": "user", "content": str(number)}],
            digest=f"{number:064}",
            preview=str(number),
        )
        for number in range(count)
    )
    create_demonstration_batch(
        project=cast.project,
        name="Backlog",
        prompts=cast.project.prompts.all(),
        overlap=2,
        acting_user=cast.admin,
    )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def test_the_next_slot_is_found_by_the_partial_index_without_sorting(cast):
    make_backlog(cast, 3_000)
    rows = queues.available(user=cast.annotator, project=cast.project)
    plan = queues.in_queue_order(rows.filter(kind="demonstration", language=""))[:1].explain()
    assert "assignment_handout" in plan
    assert "TEMP B-TREE" not in plan and "Sort" not in plan


def test_expired_leases_are_found_by_their_index(cast):
    make_backlog(cast, 3_000)
    rows = Assignment.objects.expired().order_by("lease_expires_at")
    assert "assignment_leased" in rows.explain()


def test_the_plan_is_checked_against_a_table_that_needs_an_index(cast):
    """A control: an order the index does not have is sorted."""
    make_backlog(cast, 3_000)
    make_demonstration_batch(cast.project, tasks=1)
    plan = Assignment.objects.open().order_by("leased_at", "submitted_at")[:1].explain()
    assert "TEMP B-TREE" in plan or "Sort" in plan
