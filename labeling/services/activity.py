"""Audit rows and notifications. Called by the other services inside their own transaction (promise 11)."""

from __future__ import annotations

from typing import Any

from django.db import models, transaction
from django.utils.translation import override

from annotate.accounts.preferences import language_of, preferences_of
from annotate.prepared import PreparedInsert
from labeling.models import AuditEvent, MailStatus, Membership, MembershipStatus, Notification, Project, Role

from .webhook_queue import queue_deliveries

EVENT = PreparedInsert(AuditEvent)
SYSTEM = "system"  # in the place of a person, where a trail is narrowed: nobody asked for it


def record_event(
    *, action: str, actor, obj: models.Model, project: Project | None = None, **data: Any
) -> AuditEvent:
    """Append an audit row in the caller's transaction. `actor` is None for what the system did by itself.

    Raises TransactionManagementError outside a transaction: an audit row must commit with its change.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(
            f"record_event({action!r}) needs the caller's transaction"
        )
    event = EVENT.create(
        project=project,
        actor=actor,
        action=action,
        object_type=type(obj).__name__.lower(),
        object_id=str(obj.pk),
        data=data,
    )
    queue_deliveries(event)  # to webhooks, in the same commit
    return event


def notify(*, user, kind: str, text: str, path: str = "", project: Project | None = None) -> Notification:
    """Leave a line for one person, in the caller's transaction. services.mailing sends it by e-mail too, if
    and when the person wants that. text: `later("…", …)`, which is said in the language of this person.
    """
    with override(language_of(user)):
        text = str(text).strip()
    return Notification.objects.create(
        user=user, project=project, kind=kind, text=text[:300], path=path, mail_status=MailStatus.WAITING
    )


def run_followers(*, project: Project, launched_by) -> list:
    """Who is told of a run's end: whoever launched it, and the project's admins who follow runs."""
    admins = Membership.objects.filter(
        project=project, role=Role.ADMIN, status=MembershipStatus.ACTIVE, user__is_active=True
    ).select_related("user")
    told = [launched_by] if launched_by is not None else []
    return told + [
        each.user
        for each in admins
        if each.user != launched_by and preferences_of(each.user)["follow_runs"] == "yes"
    ]
