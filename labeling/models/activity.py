from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotate.words import _

from .event_words import EVENT_WORDS
from .project import Project


def action_in_words(action: str) -> str:
    """ "guideline.published" is "Guideline published"."""
    words = EVENT_WORDS.get(action)
    return str(words) if words else action.replace(".", " ").replace("_", " ").capitalize()


class AuditSeal(models.Model):
    """A digest over some audit rows and over the seal before it, so that a changed or missing row shows.

    Made by services.audit_seals a minute after the rows; checked by `manage.py verify`.
    """

    number = models.PositiveIntegerField(unique=True)  # 1, 2, 3 …: a seal taken away leaves a gap
    event_count = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)  # of the previous seal's digest and the rows, in order of id
    signature = models.CharField(max_length=64)  # HMAC of it with a key that is not in the database
    # Where an erased person's address was taken out of rows (services.audit_blanking): as `sha256` and
    # `signature`, of the rows as they are now. `sha256` stays: the next seal is over it.
    blanked_sha256 = models.CharField(max_length=64, blank=True)
    blanked_signature = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return f"seal {self.number}"


class AuditEvent(models.Model):
    """Who did what to which object. Written in the same commit as the change; never changed or deleted."""

    project = models.ForeignKey(Project, models.PROTECT, null=True, related_name="audit_events")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    action = models.CharField(max_length=60)  # "submission.reviewed"
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=40)
    data = models.JSONField(default=dict, blank=True)  # {"old": {...}, "new": {...}} or facts of the action
    created_at = models.DateTimeField(auto_now_add=True)
    seal = models.ForeignKey(AuditSeal, models.PROTECT, null=True, editable=False, related_name="events")

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["project", "-id"]),
            # Which actions there are, and the list of one of them.
            models.Index(fields=["project", "action", "-id"], name="audit_event_action"),
            models.Index(fields=["object_type", "object_id"]),
            models.Index(fields=["id"], condition=Q(seal=None), name="audit_event_unsealed"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}"

    @property
    def phrase(self) -> str:
        return action_in_words(self.action)

    @property
    def facts(self) -> dict[str, Any]:
        """The data for a reader: without the digests, which are for `manage.py verify`."""
        return {name: value for name, value in self.data.items() if name != "digests"}

    @property
    def changes(self) -> list[tuple[str, Any, Any]]:
        """(field, old value, new value) of each field that the action changed; [] where it tells of none."""
        old, new = self.data.get("old"), self.data.get("new")
        if not isinstance(old, dict) or not isinstance(new, dict):
            return []
        names = dict.fromkeys((*old, *new))
        return [(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]

    @property
    def other_facts(self) -> dict[str, Any]:
        """The facts beside the changes."""
        shown = ("old", "new") if self.changes else ()
        return {name: value for name, value in self.facts.items() if name not in shown}


# Kind of notification, or what it begins with -> the preference that says when it comes by e-mail.
MAIL_GROUPS = {
    "submission.": "mail_decisions",
    "task.adjudicated": "mail_decisions",
    "appeal.": "mail_decisions",
    "comment.": "mail_replies",
    "guideline.": "mail_guidelines",
    "form.": "mail_guidelines",
    "batch.waiting": "mail_work",
    "run.": "mail_runs",
    "round.": "mail_runs",
    "dataset.": "mail_runs",
    "import.": "mail_runs",
}


def mail_group(kind: str) -> str:
    return next((group for start, group in MAIL_GROUPS.items() if kind.startswith(start)), "mail_other")


class MailStatus(models.TextChoices):
    """waiting → claimed by a sender → sent; back to waiting when it failed or its sender died.
    none: nothing to mail (read before, not wanted, or older than mails are).
    """

    NONE = "none", _("None")
    WAITING = "waiting", _("Waiting")
    CLAIMED = "claimed", _("Claimed")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")  # given up after days of attempts


class NotificationQuerySet(models.QuerySet):
    def unread(self) -> NotificationQuerySet:
        return self.filter(read_at=None)


class Notification(models.Model):
    """A line for one person, with the page where they can act on it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notifications")
    project = models.ForeignKey(Project, models.CASCADE, null=True, related_name="+")
    kind = models.CharField(max_length=40)  # "submission.returned", "guideline.published", "run.ended"
    text = models.CharField(max_length=300)
    path = models.CharField(max_length=300, blank=True)  # site-relative link
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)
    mail_status = models.CharField(max_length=8, choices=MailStatus.choices, default=MailStatus.NONE)
    mail_claim = models.UUIDField(null=True, blank=True)  # of the mail it is in
    mail_claimed_at = models.DateTimeField(null=True, blank=True)
    mail_after = models.DateTimeField(null=True, blank=True)  # not before, after a failure
    mail_tries = models.PositiveSmallIntegerField(default=0)
    mailed_at = models.DateTimeField(null=True, blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["user", "read_at"]),
            models.Index(
                fields=["user", "id"], condition=Q(mail_status="waiting"), name="notifications_to_mail"
            ),
            models.Index(
                fields=["mail_claimed_at"], condition=Q(mail_status="claimed"), name="notifications_in_mail"
            ),
        ]

    def __str__(self) -> str:
        return self.text
