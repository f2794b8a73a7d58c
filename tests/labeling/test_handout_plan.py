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
    settle()


def settle() -> None:
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


def plan_of(prepared, **values) -> str:
    """The plan of a prepared statement: on SQLite as it is run, with its constants in the text."""
    prepared.all(**values)
    statement = prepared._compiled[connection.vendor].statement
    with connection.cursor() as cursor:
        cursor.execute(
            f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{statement.sql}",
            statement._filled(prepared.holes.adapted(values, connection)),
        )
        return "\n".join(str(row) for row in cursor.fetchall())


def test_gold_is_found_by_its_index_and_not_among_all_tasks(cast):
    make_backlog(cast, 3_000)
    for purpose in ("gold", "calibration", "screening"):
        rows = queues.special_tasks(user=cast.annotator, project=cast.project, purpose=purpose)
        assert "task_special" in rows.filter(kind__in=["demonstration", "ranking"])[:1].explain()
    assert "task_special" in plan_of(queues.SPECIAL, project=cast.project.pk, purpose="gold")


def test_what_a_person_did_before_is_not_read_to_find_what_is_in_their_hands(cast):
    make_backlog(cast, 3_000)
    Assignment.objects.filter(slot=1).update(status="submitted", annotator=cast.annotator)
    settle()
    own = queues._own_work(("demonstration", "ranking"))
    plan = plan_of(own, user=cast.annotator.pk, project=cast.project.pk)
    names = [each.name for each in Assignment._meta.indexes if list(each.fields) == ["annotator", "status"]]
    if connection.vendor == "sqlite":
        assert f"{names[0]} (annotator_id=? AND status=?" in plan
    else:
        assert names[0] in plan
