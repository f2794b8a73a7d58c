"""From an audit row to the deliveries it causes, in the commit of the change itself. Called by
activity.record_event.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.utils import timezone

from annotate.prepared import Prepared
from labeling.models import AuditEvent, Project, Webhook, WebhookDelivery
from labeling.models.webhook import EVENT_OF_ACTION

HOOKS = Prepared(lambda project: Webhook.objects.filter(project=project).active(), project=int)


def queue_deliveries(event: AuditEvent) -> None:
    """A delivery for each active webhook of the project that asked for this event. One query where there is
    none; nothing at all for actions that are no event.
    """
    name = EVENT_OF_ACTION.get(event.action)
    if name is None or event.project_id is None:
        return
    hooks = [each for each in HOOKS.all(project=event.project_id) if name in each.events]
    if not hooks:
        return
    facts = {
        "action": event.action,
        "actor": event.actor.pseudonym if event.actor is not None else None,
        "object": {"type": event.object_type, "id": event.object_id},
        "data": event.facts,
    }
    WebhookDelivery.objects.bulk_create([new_delivery(hook, name, event.project, facts) for hook in hooks])


def new_delivery(
    webhook: Webhook, name: str, project: Project | None, facts: dict[str, Any]
) -> WebhookDelivery:
    """Unsaved. People appear under their pseudonyms only, as in datasets."""
    now = timezone.now()
    delivery = WebhookDelivery(webhook=webhook, uuid=uuid.uuid4(), event=name, next_try_at=now)
    body = {
        "id": str(delivery.uuid),
        "event": name,
        "created_at": now.isoformat(timespec="milliseconds"),
        "project": project.slug if project is not None else None,
        **facts,
    }
    delivery.body = json.dumps(body, ensure_ascii=False, default=str)
    return delivery
