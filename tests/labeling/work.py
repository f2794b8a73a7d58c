"""Short ways to do a day's work in tests, all of them through the services."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db.models.functions import Now
from django.utils import timezone

from labeling.models import Assignment, Draft, Submission, TaskKind
from labeling.services.assignments import claim_next
from labeling.services.slots import shown_order
from labeling.services.submissions import submit_demonstration, submit_ranking


def claim(user, project, kind: str | None = None) -> Assignment:
    assignment = claim_next(user=user, project=project, kind=kind)
    assert assignment is not None, "nothing was handed out"
    return assignment


def submit(assignment: Assignment, user, **fields) -> Submission:
    """Submit lawful work for a claimed assignment; fields override what is sent."""
    common = {
        "assignment": assignment,
        "user": user,
        "fence": assignment.fence,
        "idempotency_key": str(uuid.uuid4()),
    }
    if assignment.kind == TaskKind.DEMONSTRATION:
        return submit_demonstration(**{**common, "text": "Paris is the capital of France.", **fields})
    return submit_ranking(**{**common, **ranking_of(assignment, user), **fields})


def ranking_of(assignment: Assignment, user) -> dict:
    """A lawful ranking: the order shown, best first, with scores."""
    order, _ = shown_order(task=assignment.task, user=user)
    return {
        "tiers": [[pk] for pk in order],
        "scores": {pk: max(1, 7 - place) for place, pk in enumerate(order)},
        "touched": order,
    }


def do_next(user, project, kind: str | None = None, **fields) -> Submission:
    return submit(claim(user, project, kind), user, **fields)


def worked(assignment: Assignment, seconds: int) -> Assignment:
    """Let the work have begun so long ago, so that as much active time is believed."""
    began = timezone.now() - timedelta(seconds=seconds)
    Assignment.objects.filter(pk=assignment.pk).update(leased_at=began)
    Draft.objects.filter(task=assignment.task_id, user=assignment.annotator_id).update(counted_from=began)
    return assignment


def arrived(submission: Submission, seconds_ago: int) -> Submission:
    """Let the current revision have come in so long ago, so that as much time of a reviewer is believed."""
    type(submission.current).objects.filter(submission=submission, is_current=True).update(
        created_at=timezone.now() - timedelta(seconds=seconds_ago)
    )
    return submission


def expire(assignment: Assignment) -> None:
    """Let the lease have run out a minute ago, by the database's clock."""

    Assignment.objects.filter(pk=assignment.pk).update(lease_expires_at=Now() - timedelta(minutes=1))


def without_transaction_control(queries) -> list[str]:
    """The statements of a CaptureQueriesContext that are work, not BEGIN, COMMIT and savepoints."""
    control = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")
    return [query["sql"] for query in queries if not query["sql"].startswith(control)]
