"""Deliveries of webhooks are sent here, by the worker's sweep; no request of a person ever waits for one.

1. A sweep claims one webhook at a time by a conditional UPDATE of its lease, so that two sweeps never send to
   the same one.
2. It sends what is due, oldest first, outside any transaction, and writes down each answer as it comes.
3. A failure is tried again later and later, up to a day; meanwhile the webhook rests, and others go on.

A process that is killed between an answer and its row sends that one delivery again: at least once, and the
receiver knows it by its id.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from annotate import outbound, sealing
from annotate.words import later
from labeling.models import (
    DeliveryStatus,
    Membership,
    MembershipStatus,
    Role,
    Webhook,
    WebhookDelivery,
)

from .activity import notify, record_event
from .webhooks import disable, secret_of

log = structlog.get_logger(__name__)
LEASE = timedelta(seconds=60)
SECONDS_PER_WEBHOOK = 10.0
SECONDS_PER_SWEEP = 15.0
LONGEST_REST = timedelta(minutes=5)
HOURS = 3600
RETRY_AFTER = (
    10,
    60,
    300,
    900,
    HOURS,
    3 * HOURS,
    6 * HOURS,
    6 * HOURS,
    6 * HOURS,
)  # seconds; 22 hours in all
DISABLE_AFTER = timedelta(days=3)  # without a single success
KEEP_LOG = timedelta(days=30)
STORED_ANSWER = 1_000  # characters of it


def send_due() -> int:
    """Send what is due, for some seconds at most; how many deliveries were tried."""
    _forget_old()
    tried, until = 0, time.monotonic() + SECONDS_PER_SWEEP
    seen: set[int] = set()
    while time.monotonic() < until:
        webhook = _claim(seen)
        if webhook is None:
            break
        seen.add(webhook.pk)
        try:
            tried += _send_to(webhook)
        finally:
            Webhook.objects.filter(pk=webhook.pk, leased_until=webhook.leased_until).update(leased_until=None)
    return tried


def _claim(seen: set[int]) -> Webhook | None:
    """One webhook that has something due and that nobody sends to."""
    now = timezone.now()
    due = WebhookDelivery.objects.filter(
        webhook=OuterRef("pk"), status=DeliveryStatus.WAITING, next_try_at__lte=now
    )
    free = Webhook.objects.active().filter(
        Q(leased_until=None) | Q(leased_until__lt=now), Q(rests_until=None) | Q(rests_until__lte=now)
    )
    for webhook in free.filter(Exists(due)).exclude(pk__in=seen).order_by("failures", "pk")[:20]:
        lease = now + LEASE
        if free.filter(pk=webhook.pk).update(leased_until=lease):
            return Webhook.objects.select_related("project").get(pk=webhook.pk)
    return None


def _send_to(webhook: Webhook) -> int:
    tried, until = 0, time.monotonic() + SECONDS_PER_WEBHOOK
    while time.monotonic() < until:
        due = webhook.deliveries.filter(status=DeliveryStatus.WAITING, next_try_at__lte=timezone.now())
        delivery = due.order_by("id").first()
        if delivery is None:
            break
        tried += 1
        if not _send(webhook, delivery):
            break
    return tried


def _send(webhook: Webhook, delivery: WebhookDelivery) -> bool:
    """Try one delivery and write down how it went; whether it arrived."""
    began, body = time.monotonic(), delivery.body.encode()
    status, answer, error = None, "", ""
    try:
        got = outbound.post(webhook.url, body, _headers(webhook, delivery, body))
        status, answer = got.status, got.body.decode("utf-8", "replace").replace("\0", "")[:STORED_ANSWER]
        if not 200 <= status < 300:
            error = (
                gettext("Redirects are not followed.")
                if 300 <= status < 400
                else gettext("It answered %(status)s.") % {"status": status}
            )
    except (outbound.Refused, outbound.Unreachable, sealing.Unreadable) as refusal:
        error = str(refusal)[:300]
    delivery.attempts += 1
    delivery.last_tried_at = timezone.now()
    delivery.response_status, delivery.response_body, delivery.error = status, answer, error
    delivery.milliseconds = int((time.monotonic() - began) * 1000)
    if error:
        _failed(webhook, delivery)
    else:
        _arrived(webhook, delivery)
    return not error


def _headers(webhook: Webhook, delivery: WebhookDelivery, body: bytes) -> dict[str, str]:
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "annotate-webhooks",
        "Accept": "*/*",
        "Connection": "close",
        "X-Annotate-Event": delivery.event,
        "X-Annotate-Delivery": str(delivery.uuid),
        "X-Annotate-Signature": signature(secret_of(webhook), int(time.time()), body),
    }


def signature(secret: str, at: int, body: bytes) -> str:
    """t=…,v1=HMAC-SHA256(secret, "t.body"): with the time in it, an old delivery cannot be replayed."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


@transaction.atomic
def _arrived(webhook: Webhook, delivery: WebhookDelivery) -> None:
    delivery.status, delivery.finished_at = DeliveryStatus.DELIVERED, delivery.last_tried_at
    _write(delivery)
    Webhook.objects.filter(pk=webhook.pk).update(failures=0, failing_since=None, rests_until=None)


@transaction.atomic
def _failed(webhook: Webhook, delivery: WebhookDelivery) -> None:
    """Later again, or never; and the webhook rests, or is disabled."""
    now = timezone.now()
    stored = Webhook.objects.select_for_update(of=("self",)).select_related("project").get(pk=webhook.pk)
    if delivery.attempts > len(RETRY_AFTER):
        delivery.status, delivery.finished_at = DeliveryStatus.FAILED, now
    else:
        delivery.next_try_at = now + timedelta(seconds=RETRY_AFTER[delivery.attempts - 1])
    _write(delivery)
    pause = timedelta(seconds=RETRY_AFTER[min(stored.failures, len(RETRY_AFTER) - 1)])
    stored.failures = F("failures") + 1
    stored.failing_since = stored.failing_since or now
    stored.rests_until = now + min(pause, LONGEST_REST)
    if stored.is_active and now - stored.failing_since >= DISABLE_AFTER:
        _give_up(stored, delivery.error, now)
    stored.save(update_fields=["failures", "failing_since", "rests_until", "disabled_at", "disabled_reason"])


def _write(delivery: WebhookDelivery) -> None:
    """Only while it waits: what was given up or deleted meanwhile stays so."""
    WebhookDelivery.objects.filter(pk=delivery.pk, status=DeliveryStatus.WAITING).update(
        status=delivery.status,
        attempts=delivery.attempts,
        next_try_at=delivery.next_try_at,
        last_tried_at=delivery.last_tried_at,
        finished_at=delivery.finished_at,
        response_status=delivery.response_status,
        response_body=delivery.response_body,
        error=delivery.error,
        milliseconds=delivery.milliseconds,
    )


def _give_up(webhook: Webhook, error: str, now: datetime) -> None:
    """Disable what has not answered properly for days, and tell the project's admins."""
    disable(webhook, reason=f"Nothing arrived since {webhook.failing_since:%Y-%m-%d %H:%M} UTC. {error}")
    record_event(
        action="webhook.disabled",
        actor=None,
        obj=webhook,
        project=webhook.project,
        url=webhook.url,
        error=error,
    )
    path = reverse("labeling:webhook", args=[webhook.project.slug, webhook.pk])
    admins = Membership.objects.filter(
        project=webhook.project, role=Role.ADMIN, status=MembershipStatus.ACTIVE
    )
    for membership in admins.select_related("user"):
        notify(
            user=membership.user,
            project=webhook.project,
            kind="webhook.disabled",
            text=later(
                "%(project)s: the webhook to %(url)s was disabled. %(error)s",
                project=webhook.project.name,
                url=webhook.url[:100],
                error=error,
            ),
            path=path,
        )


def _forget_old() -> None:
    WebhookDelivery.objects.filter(finished_at__lt=timezone.now() - KEEP_LOG).delete()
