"""What ANALYZE stores in SQLite would make every hand-out read the whole backlog: `migrate` forgets it."""

from __future__ import annotations

from django.core.management import call_command
from django.db import connection

from labeling import queues
from tests.labeling.test_handout_plan import make_backlog


def hand_out_plan(cast) -> str:
    rows = queues.available(user=cast.annotator, project=cast.project)
    return queues.in_queue_order(rows.filter(kind="demonstration", language=""))[:1].explain()


def test_after_migrate_the_hand_out_walks_its_index_whatever_analyze_said(cast):
    make_backlog(cast, 3_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    if connection.vendor == "sqlite":  # the control: without the mend this is how it stays
        assert "TEMP B-TREE" in hand_out_plan(cast)
    call_command("migrate", verbosity=0)
    assert "assignment_handout" in hand_out_plan(cast)
    assert "TEMP B-TREE" not in hand_out_plan(cast)
