from __future__ import annotations

import json

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotate.words import _

from .project_settings import ProjectSettings, settings_read


class Role(models.TextChoices):
    """What a person may do in one project; each role may do all that the one before it may."""

    ANNOTATOR = "annotator", _("Annotator")  # does the work handed out to them and sees their own
    LEAD = "lead", _("Lead")  # owns quality: guidelines, batches, review, people
    ADMIN = "admin", _("Admin")  # imports, freezes datasets, launches runs, changes settings

    @property
    def level(self) -> int:
        return list(Role).index(self)


class ProjectQuerySet(models.QuerySet):
    def visible_to(self, user) -> ProjectQuerySet:
        """Projects in which the person is an active or paused member; all of them for a superuser."""
        if user.is_superuser:
            return self
        return self.filter(
            memberships__user=user,
            memberships__status__in=[MembershipStatus.ACTIVE, MembershipStatus.PAUSED],
        )

    def active(self) -> ProjectQuerySet:
        return self.filter(archived_at=None)


LONGEST_DESCRIPTION = 5_000  # characters


class Project(models.Model):
    """One purpose, with its people, guidelines, prompts and tasks."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    settings_json = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def settings(self) -> ProjectSettings:
        """Checked once for each value of `settings_json`, which is replaced and never changed in place."""
        known = self.__dict__.get("_settings")
        if known is None or known[0] is not self.settings_json:
            known = self.__dict__["_settings"] = (
                self.settings_json,
                settings_read(json.dumps(self.settings_json)),
            )
        return known[1]


class MembershipStatus(models.TextChoices):
    ACTIVE = "active", _("Active")  # works
    PAUSED = "paused", _("Paused")  # keeps access to their own history, is handed no work
    REMOVED = "removed", _("Removed")  # sees nothing; what they did stays


class Membership(models.Model):
    """A person's role in a project. Never deleted: judgments refer to who made them."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role.choices, default=Role.ANNOTATOR)
    status = models.CharField(
        max_length=10, choices=MembershipStatus.choices, default=MembershipStatus.ACTIVE
    )
    joined_at = models.DateTimeField(auto_now_add=True)
    last_active_at = models.DateTimeField(null=True, blank=True)
    # Their own bounds of a day; empty: the project's. 0 is no bound.
    max_tasks_per_day = models.PositiveIntegerField(null=True, blank=True)
    max_hours_per_day = models.FloatField(null=True, blank=True)
    out_of_work_at = models.DateTimeField(null=True, blank=True)  # asked for work, and there was none
    # Slots kept for them that pausing or removing them has just freed: set by services.people.
    freed_count: int

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once_per_project")
        ]
        indexes = [models.Index(fields=["user", "status"])]

    def __str__(self) -> str:
        return f"{self.user} · {self.get_role_display()} of {self.project}"

    def is_at_least(self, role: Role | str) -> bool:
        return Role(self.role).level >= Role(role).level


class InvitationQuerySet(models.QuerySet):
    def open(self) -> InvitationQuerySet:
        return self.filter(accepted_at=None, revoked_at=None, expires_at__gt=timezone.now())


class Invitation(models.Model):
    """Brings one person into a project, once, before a deadline. Only the token's SHA-256 is stored."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=12, choices=Role.choices, default=Role.ANNOTATOR)
    token_sha256 = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(accepted_at=None) | Q(revoked_at=None), name="invitation_accepted_or_revoked"
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.project}"

    @property
    def is_open(self) -> bool:
        return self.accepted_at is None and self.revoked_at is None and self.expires_at > timezone.now()
