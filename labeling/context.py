"""What every page's frame needs: the project at hand, the person's projects, counts beside the navigation.

All of it is lazy: a page that does not show a thing does not ask the database for it.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from . import queues
from .models import Membership, Notification, Project
from .permissions import Action, can

MOST_PROJECTS = 30  # in the switcher; the list of projects has them all


def navigation(request: HttpRequest) -> dict:
    """Context processor. `project` and `membership` are set by labeling.access.project_route."""
    user = getattr(request, "user", None)
    membership: Membership | None = getattr(request, "membership", None)
    context: dict[str, Any] = {"project": getattr(request, "project", None), "membership": membership}
    if user is not None and user.is_authenticated:
        context["unread_notifications"] = SimpleLazyObject(
            lambda: Notification.objects.filter(user=user).unread().count()
        )
        context["my_projects"] = SimpleLazyObject(
            lambda: list(Project.objects.visible_to(user).active()[:MOST_PROJECTS])
        )
        if membership is not None:
            context["nav_counts"] = SimpleLazyObject(lambda: _nav_counts(membership))
    return context


def _nav_counts(membership: Membership) -> dict[str, int]:
    """What waits, for the numbers beside the navigation's entries."""
    if not can(membership, Action.REVIEW):
        return {}
    return {"review": queues.review_queue(project=membership.project, reviewer=membership.user).count()}
