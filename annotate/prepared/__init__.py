"""Database statements that are the same each time but for their values: built and compiled once, then only
run. Only for hot paths; anywhere else the queryset itself is clearer (docs/decisions/0022).

    SLOT = Prepared(lambda pk: Assignment.objects.select_related("task", "batch").filter(pk=pk), pk=int)
    slot = SLOT.first(pk=17)

    SEEN = PreparedUpdate(lambda pk, now: (Membership.objects.filter(pk=pk), {"last_active_at": now}),
                          pk=int, now=datetime)
    SEEN.run(pk=3, now=timezone.now())

    PROMPTS = PreparedLoad(Prompt, "messages", "digest", …)      # many rows at once
    keys = PROMPTS.load([(json_text(messages), digest, …), …], project_id=3)
"""

from .loads import PreparedLoad, json_text, random_uuids, room_for_pages
from .queries import Prepared, PreparedIn
from .writes import PreparedDelete, PreparedInsert, PreparedUpdate

__all__ = [
    "Prepared",
    "PreparedDelete",
    "PreparedIn",
    "PreparedInsert",
    "PreparedLoad",
    "PreparedUpdate",
    "json_text",
    "random_uuids",
    "room_for_pages",
]
