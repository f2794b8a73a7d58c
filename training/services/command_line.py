"""What the commands of this room share."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from annotate.errors import DomainError, Invalid, NotFound
from annotate.words import _
from labeling.models import Membership, MembershipStatus, Project, Role


def find_project(slug: str) -> Project:
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        raise NotFound(_("There is no project “%(name)s”.") % {"name": slug}, field="project")
    return project


def acting_user(project: Project, username: str | None, users):
    """The named person if they are an admin of the project, else its first admin.

    Raises NotFound or Invalid.
    """
    admins = Membership.objects.filter(project=project, role=Role.ADMIN, status=MembershipStatus.ACTIVE)
    if username:
        user = users.objects.filter(username=username).first()
        if user is None:
            raise NotFound(_("There is no person “%(name)s”.") % {"name": username}, field="user")
        if not user.is_superuser and not admins.filter(user=user).exists():
            raise Invalid(_("%(name)s is no admin of this project.") % {"name": username}, field="user")
        return user
    first = admins.order_by("id").select_related("user").first()
    if first is None:
        raise NotFound("The project has no admin.", field="user")
    return first.user


def parse_settings(pairs: Iterable[str]) -> dict[str, Any]:
    """["learning_rate=1e-4", "method=lora"] → {"learning_rate": 0.0001, "method": "lora"}. Raises Invalid."""
    values: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name.strip():
            raise Invalid(_("“%(pair)s” is not KEY=VALUE.") % {"pair": pair}, field="set")
        try:
            values[name.strip()] = json.loads(text)
        except ValueError:
            values[name.strip()] = text
    return values


def say_error(error: DomainError) -> str:
    """An error with its details and hint, for a terminal."""
    lines = [error.message, *(f"  {detail['message']}" for detail in error.details if len(error.details) > 1)]
    if error.hint:
        lines.append(f"  {error.hint}")
    return "\n".join(lines)
