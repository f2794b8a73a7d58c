"""Who asked for work, or looked for it, when there was none is told when there is some again."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from annotate.words import later
from labeling.models import AuditEvent, Batch, Membership, MembershipStatus, Project, TaskKind
from labeling.waiting import anything_waits

from .activity import notify

MOST_AT_ONCE = 100  # people looked at in one sweep
# What may give somebody work who found none, besides a new batch.
GIVES_WORK = [
    "batch.open",
    "batch.overlap_changed",
    "batch.policy_changed",
    "task.overlap_changed",
    "task.reopened",
    "task.released",
    "task.prompt_rewritten",
    "task.unassigned",
]
SPARED = timedelta(minutes=1)  # a page that asks again and again writes no more often


def note_out_of_work(*, user, project: Project) -> None:
    """Remember that this person went away empty-handed."""
    now = timezone.now()
    stale = Q(out_of_work_at=None) | Q(out_of_work_at__lt=now - SPARED)
    Membership.objects.filter(stale, project=project, user=user).update(out_of_work_at=now)


def note_empty_page(*, membership: Membership) -> None:
    """The page of work had nothing for them, and no button to ask with: they wait like those who asked.

    Written once until they work again or are told, as the page asks again by itself.
    """
    asked, worked = membership.out_of_work_at, membership.last_active_at
    if asked is None or (worked is not None and worked >= asked):
        note_out_of_work(user=membership.user, project=membership.project)


def tell_of_work() -> int:
    """Tell those for whom there is something since: a new batch, one that goes on or asks more people, a task
    that was opened again. How many were told.
    """
    since = {"project": OuterRef("project"), "created_at__gt": OuterRef("out_of_work_at")}
    newer = Batch.objects.open().filter(**since)
    # By the index on what an event is about: those of batches and tasks are few among a project's events.
    again = AuditEvent.objects.filter(**since, object_type__in=["batch", "task"], action__in=GIVES_WORK)
    waiting = Membership.objects.filter(
        Q(last_active_at=None) | Q(last_active_at__lt=F("out_of_work_at")),
        status=MembershipStatus.ACTIVE,
        project__archived_at=None,
    ).exclude(out_of_work_at=None)
    found = (
        waiting.filter(Exists(newer) | Exists(again))
        .select_related("project", "user")
        .order_by("out_of_work_at")
    )
    return sum(_tell(membership) for membership in found[:MOST_AT_ONCE])


@transaction.atomic
def _tell(membership: Membership) -> bool:
    project, user = membership.project, membership.user
    is_there = anything_waits(user=user, project=project, membership=membership, kinds=TaskKind.values)
    # Nothing for this person in it: looked at again with the next batch.
    after = None if is_there else timezone.now()
    won = Membership.objects.filter(pk=membership.pk, out_of_work_at=membership.out_of_work_at)
    if not won.update(out_of_work_at=after) or not is_there:
        return False
    notify(
        user=user,
        project=project,
        kind="batch.waiting",
        text=later("%(project)s: there is work for you again.", project=project.name),
        path=reverse("labeling:work", args=[project.slug]),
    )
    return True
