"""How much one person may be handed in a day: the project's bound, or their own."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext, ngettext

from annotate.errors import Conflict, Invalid
from annotate.words import _
from labeling import queues
from labeling.models import Membership, Project

from .activity import record_event

MOST_TASKS, MOST_HOURS = 10_000, 24


@dataclass(frozen=True)
class Caps:
    """Bounds of a day; 0 is no bound."""

    tasks: int
    hours: float

    def reason_to_stop(self, *, count: int, seconds: int) -> str:
        """Why nothing more is handed out today, or ""."""
        if self.tasks and count >= self.tasks:
            said = ngettext(
                "You have done %(count)s of %(most)s task of the day.",
                "You have done %(count)s of %(most)s tasks of the day.",
                self.tasks,
            )
            return said % {"count": count, "most": self.tasks}
        if self.hours and seconds >= self.hours * 3600:
            hours = f"{self.hours:g}"
            if hours == "1":
                return gettext("You have worked the one hour of the day.")
            return _("You have worked the %(hours)s hours of the day.") % {"hours": hours}
        return ""


def caps_of(*, project: Project, membership: Membership | None) -> Caps:
    """What holds for a member: their own bounds where set, else the project's."""
    settings = project.settings
    tasks = membership.max_tasks_per_day if membership is not None else None
    hours = membership.max_hours_per_day if membership is not None else None
    return Caps(
        tasks=settings.max_tasks_per_day if tasks is None else tasks,
        hours=settings.max_hours_per_day if hours is None else hours,
    )


def reason_to_stop(*, project: Project, membership: Membership | None, user) -> str:
    """Why this person is handed nothing more today, or "". A query only where there is a bound."""
    caps = caps_of(project=project, membership=membership)
    if not caps.tasks and not caps.hours:
        return ""
    return caps.reason_to_stop(**queues.day_of_work(project=project, user=user))


def require_room(*, project: Project, membership: Membership | None, user) -> None:
    """Raises Conflict `day_is_full` once the bounds of the day are reached."""
    reason = reason_to_stop(project=project, membership=membership, user=user)
    if reason:
        raise Conflict(
            reason,
            code="day_is_full",
            hint="What is in hand or returned to you can still be done. New tasks come tomorrow.",
        )


@transaction.atomic
def set_caps(
    *,
    membership: Membership,
    max_tasks_per_day: int | None,
    max_hours_per_day: float | None,
    acting_user,
) -> Membership:
    """Give a member bounds of their own; None: those of the project. Raises Invalid."""
    if max_tasks_per_day is not None and not 0 <= max_tasks_per_day <= MOST_TASKS:
        raise Invalid(_("Between 0 and %(most)s.") % {"most": f"{MOST_TASKS:,}"}, field="max_tasks_per_day")
    if max_hours_per_day is not None and not 0 <= max_hours_per_day <= MOST_HOURS:
        raise Invalid(_("Between 0 and %(most)s.") % {"most": MOST_HOURS}, field="max_hours_per_day")
    locked = Membership.objects.select_for_update(no_key=True, of=("self",)).get(pk=membership.pk)
    old = {"tasks": locked.max_tasks_per_day, "hours": locked.max_hours_per_day}
    new = {"tasks": max_tasks_per_day, "hours": max_hours_per_day}
    membership.max_tasks_per_day, membership.max_hours_per_day = max_tasks_per_day, max_hours_per_day
    if old != new:
        membership.save(update_fields=["max_tasks_per_day", "max_hours_per_day"])
        record_event(
            action="membership.caps_changed",
            actor=acting_user,
            obj=membership,
            project=membership.project,
            old=old,
            new=new,
        )
    return membership
