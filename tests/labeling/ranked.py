"""Rankings in a known order, for tests of agreement."""

from __future__ import annotations

from .work import claim, submit


def rank(user, project, order, **fields):
    """Rank the next task; `order` is a weak order over places in the task's own order, best first."""
    assignment = claim(user, project, "ranking")
    ids = list(assignment.task.task_completions.values_list("completion_id", flat=True))
    tiers = [[ids[place] for place in tier] for tier in order]
    scores = {ids[place]: 7 - number for number, tier in enumerate(order) for place in tier}
    return submit(assignment, user, tiers=tiers, touched=ids, **{"scores": scores, **fields})
