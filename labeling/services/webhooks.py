"""Webhooks: made, changed, disabled, deleted, tried out. Deliveries are sent by webhook_sending."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from annotate import outbound, sealing
from annotate.errors import Conflict, Invalid, NotFound
from annotate.words import _
from labeling.models import DeliveryStatus, Project, Webhook, WebhookDelivery
from labeling.models.webhook import TEST_EVENT, WEBHOOK_EVENTS

from .activity import record_event
from .webhook_queue import new_delivery

MOST_WEBHOOKS = 20
SALT = "labeling.webhook"


def create_webhook(*, project: Project, url: str, events: Sequence[str], acting_user) -> tuple[Webhook, str]:
    """A webhook and its secret, which is shown this once. Raises Invalid for an address that may not be asked
    and for unknown events, and Conflict for the twin of another: everything would come twice, half of it
    signed with a secret that nobody has seen.
    """
    url, events = check_url(url), check_events(events)  # asks the resolver: not inside a transaction
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        if project.webhooks.count() >= MOST_WEBHOOKS:
            raise Conflict(
                _("A project has at most %(most)s webhooks.") % {"most": MOST_WEBHOOKS},
                hint="Delete one first.",
            )
        twins = project.webhooks.filter(url=url, disabled_at=None)
        if events in list(twins.values_list("events", flat=True)):
            raise Conflict(
                _("%(url)s is told of these events already.") % {"url": url},
                field="url",
                hint=_("A new secret for it is made on its page."),
            )
        secret = _new_secret()
        webhook = Webhook.objects.create(
            project=project,
            url=url,
            events=events,
            secret_sealed=sealing.seal(secret, salt=SALT),
            created_by=acting_user,
        )
        record_event(
            action="webhook.created", actor=acting_user, obj=webhook, project=project, url=url, events=events
        )
    return webhook, secret


def change_webhook(
    *,
    webhook: Webhook,
    acting_user,
    url: str | None = None,
    events: Sequence[str] | None = None,
    is_active: bool | None = None,
) -> Webhook:
    """Change what is named. Taken into use again, it starts afresh; disabled, what waits is given up."""
    url = None if url is None or url == webhook.url else check_url(url)
    events = None if events is None else check_events(events)
    with transaction.atomic():
        stored = _locked(webhook)
        old = _facts(stored)
        stored.url = stored.url if url is None else url
        stored.events = stored.events if events is None else list(events)
        if is_active and not stored.is_active:
            stored.disabled_at, stored.disabled_reason = None, ""
            stored.failing_since, stored.failures, stored.rests_until = None, 0, None
        elif is_active is False and stored.is_active:
            disable(stored, reason="An admin disabled it.")
        stored.save()
        if _facts(stored) != old:
            record_event(
                action="webhook.changed",
                actor=acting_user,
                obj=stored,
                project=stored.project,
                old=old,
                new=_facts(stored),
            )
    return stored


def _facts(webhook: Webhook) -> dict:
    return {"url": webhook.url, "events": webhook.events, "is_active": webhook.is_active}


def disable(webhook: Webhook, *, reason: str) -> None:
    """In the caller's transaction, which saves the webhook: nothing more is sent."""
    webhook.disabled_at, webhook.disabled_reason = timezone.now(), reason[:200]
    webhook.deliveries.filter(status=DeliveryStatus.WAITING).update(
        status=DeliveryStatus.FAILED, finished_at=timezone.now(), error="The webhook was disabled."
    )


@transaction.atomic
def renew_secret(*, webhook: Webhook, acting_user) -> str:
    """A new secret, shown this once; the next delivery is signed with it, also one that waits already."""
    stored, secret = _locked(webhook), _new_secret()
    stored.secret_sealed = sealing.seal(secret, salt=SALT)
    stored.save(update_fields=["secret_sealed"])
    record_event(action="webhook.secret_renewed", actor=acting_user, obj=stored, project=stored.project)
    return secret


@transaction.atomic
def delete_webhook(*, webhook: Webhook, acting_user) -> None:
    """The webhook and its log are gone; the audit trail keeps that it was there."""
    stored = _locked(webhook)
    record_event(
        action="webhook.deleted", actor=acting_user, obj=stored, project=stored.project, url=stored.url
    )
    stored.delete()


@transaction.atomic
def send_test(*, webhook: Webhook, acting_user) -> WebhookDelivery:
    """Queue a delivery that says only that it is a test. Raises Conflict for a disabled webhook."""
    stored = _locked(webhook)
    _refuse_disabled(stored)
    facts = {
        "action": TEST_EVENT,
        "actor": acting_user.pseudonym,
        "object": {"type": "webhook", "id": str(stored.pk)},
        "data": {"message": "A test from the webhook's page."},
    }
    delivery = new_delivery(stored, TEST_EVENT, stored.project, facts)
    delivery.save()
    _wake(stored)
    return delivery


@transaction.atomic
def resend_delivery(*, delivery: WebhookDelivery, acting_user) -> WebhookDelivery:
    """Send the same body under the same id again, soon. Raises Conflict while it waits anyway."""
    webhook = _locked(delivery.webhook)
    _refuse_disabled(webhook)
    now = timezone.now()
    again = WebhookDelivery.objects.filter(pk=delivery.pk).exclude(status=DeliveryStatus.WAITING)
    if not again.update(
        status=DeliveryStatus.WAITING, attempts=0, next_try_at=now, finished_at=None, error=""
    ):
        raise Conflict("It is waiting to be sent already.")
    _wake(webhook)
    record_event(
        action="webhook.resent",
        actor=acting_user,
        obj=webhook,
        project=webhook.project,
        delivery=str(delivery.uuid),
    )
    return WebhookDelivery.objects.select_related("webhook").get(pk=delivery.pk)


def secret_of(webhook: Webhook) -> str:
    """Raises annotate.sealing.Unreadable where SECRET_KEY was lost."""
    return sealing.unseal(webhook.secret_sealed, salt=SALT)


def find_webhook(*, project: Project, pk: int) -> Webhook:
    webhook = project.webhooks.select_related("created_by").filter(pk=pk).first()
    if webhook is None:
        raise NotFound("There is no such webhook.")
    return webhook


def find_delivery(*, project: Project, pk: int) -> WebhookDelivery:
    rows = WebhookDelivery.objects.select_related("webhook__project")
    delivery = rows.filter(webhook__project=project, pk=pk).first()
    if delivery is None:
        raise NotFound("There is no such delivery.")
    return delivery


def check_url(url: str) -> str:
    """The address as it is stored. Raises Invalid unless something may be sent there."""
    url = url.strip()
    try:
        outbound.resolve(url)
    except (outbound.Refused, outbound.Unreachable) as error:
        raise Invalid(str(error), field="url") from error
    return url


def check_events(events: Sequence[str]) -> list[str]:
    """In the order of the list of events, each once."""
    if not isinstance(events, list | tuple) or any(event not in WEBHOOK_EVENTS for event in events):
        raise Invalid(_("Events are among %(known)s.") % {"known": ", ".join(WEBHOOK_EVENTS)}, field="events")
    if not events:
        raise Invalid("Choose at least one event.", field="events")
    return [event for event in WEBHOOK_EVENTS if event in events]


def _new_secret() -> str:
    return "whsec_" + secrets.token_urlsafe(32)


def _locked(webhook: Webhook) -> Webhook:
    rows = Webhook.objects.select_for_update(of=("self",)).select_related("project")
    stored = rows.filter(pk=webhook.pk).first()
    if stored is None:
        raise NotFound("There is no such webhook.")
    return stored


def _refuse_disabled(webhook: Webhook) -> None:
    if not webhook.is_active:
        raise Conflict("This webhook is disabled.", hint="Take it into use again first.")


def _wake(webhook: Webhook) -> None:
    """Somebody looks at it now: it need not rest after its last failure."""
    Webhook.objects.filter(pk=webhook.pk).update(rests_until=None)
