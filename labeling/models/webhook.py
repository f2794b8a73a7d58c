from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotate.words import _

from .project import Project

# Event -> (what it is, in words; the audit actions that are it). A webhook asks for events by name.
WEBHOOK_EVENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "submission.submitted": (_("Work was submitted"), ("submission.submitted",)),
    "submission.reviewed": (_("Work was reviewed"), ("submission.reviewed",)),
    "submission.reopened": (
        _("A decision was reopened or undone"),
        ("submission.reopened", "submission.decision_undone"),
    ),
    "appeal.opened": (_("A decision was appealed"), ("appeal.opened",)),
    "appeal.decided": (_("An appeal was decided"), ("appeal.decided",)),
    "task.adjudicated": (_("The order of a task was settled"), ("task.adjudicated",)),
    "task.parked": (_("A task waits for a lead's decision"), ("task.parked",)),
    "comment.added": (_("A comment was written"), ("comment.added",)),
    "guideline.published": (_("A guideline was published"), ("guideline.published",)),
    "form.published": (_("A form was published"), ("form.published",)),
    "batch.created": (_("A batch was made"), ("batch.created",)),
    "batch.resumed": (_("A paused batch goes on"), ("batch.open",)),
    "batch.finished": (_("All tasks of a batch are done"), ("batch.finished",)),
    "qualification.decided": (
        _("A screening was passed or failed"),
        ("qualification.passed", "qualification.failed"),
    ),
    "dataset.frozen": (_("A dataset version was frozen"), ("dataset.frozen",)),
    "dataset.freeze_failed": (_("A freeze failed"), ("dataset.freeze_failed",)),
    "run.created": (_("A training run was launched"), ("run.created",)),
    "run.ended": (_("A training run ended"), ("run.succeeded", "run.failed", "run.cancelled")),
    "round.done": (_("A round is done"), ("round.done",)),
}
EVENT_OF_ACTION = {action: event for event, (_words, actions) in WEBHOOK_EVENTS.items() for action in actions}
TEST_EVENT = "webhook.test"


class WebhookQuerySet(models.QuerySet):
    def active(self) -> WebhookQuerySet:
        return self.filter(disabled_at=None)


class Webhook(models.Model):
    """An address that is told of a project's events."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=500)
    secret_sealed = models.TextField()  # readable with SECRET_KEY only (annotate.sealing)
    events = models.JSONField(default=list)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    disabled_at = models.DateTimeField(null=True, blank=True)  # None: active
    disabled_reason = models.CharField(max_length=200, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)  # of the failures since the last success
    failures = models.PositiveIntegerField(default=0)  # in a row
    rests_until = models.DateTimeField(null=True, blank=True)  # nothing is sent before, after a failure
    leased_until = models.DateTimeField(null=True, blank=True)  # somebody is sending to it

    objects = WebhookQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.url

    @property
    def is_active(self) -> bool:
        return self.disabled_at is None


class DeliveryStatus(models.TextChoices):
    """waiting → delivered or failed; sent again by hand it waits again."""

    WAITING = "waiting", _("Waiting")
    DELIVERED = "delivered", _("Delivered")  # answered with 2xx
    FAILED = "failed", _("Failed")  # given up after a day of attempts, or because the webhook was disabled


class WebhookDelivery(models.Model):
    """One event for one webhook, with what became of it. Made in the commit of the event itself."""

    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries")
    uuid = models.UUIDField(
        default=uuid.uuid4, unique=True, editable=False
    )  # the receiver's key to what came twice
    event = models.CharField(max_length=40)
    body = models.TextField()  # JSON, byte for byte as it is sent and signed
    status = models.CharField(max_length=10, choices=DeliveryStatus.choices, default=DeliveryStatus.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    last_tried_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    response_status = models.PositiveSmallIntegerField(null=True, blank=True)
    response_body = models.TextField(blank=True)  # its beginning
    error = models.CharField(max_length=300, blank=True)
    milliseconds = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "webhook deliveries"
        indexes = [
            models.Index(fields=["webhook", "-id"], name="deliveries_of_a_webhook"),
            models.Index(
                fields=["webhook", "next_try_at"], condition=Q(status="waiting"), name="deliveries_waiting"
            ),
            models.Index(fields=["finished_at"], name="deliveries_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.uuid}"
