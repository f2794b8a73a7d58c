from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from .batch import TaskKind
from .project import Project


class Guideline(models.Model):
    """The instructions of one task kind: a draft that leads edit, and the versions published from it."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="guidelines")
    kind = models.CharField(max_length=16, choices=TaskKind.choices)
    draft_markdown = models.TextField(blank=True)
    draft_revision = models.PositiveIntegerField(default=0)  # optimistic lock of the draft editor
    draft_updated_at = models.DateTimeField(null=True, blank=True)
    draft_updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "kind"], name="guideline_once_per_kind")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} guideline of {self.project}"

    @property
    def current(self) -> GuidelineVersion | None:
        """The newest published version (a query), or None before the first is published."""
        return self.versions.order_by("-number").first()


class GuidelineVersion(models.Model):
    """Immutable once published: saving it again raises ValueError."""

    guideline = models.ForeignKey(Guideline, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    markdown = models.TextField()
    change_summary = models.CharField(max_length=300, blank=True)
    sha256 = models.CharField(max_length=64)
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    published_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["guideline", "number"], name="guideline_version_number_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="guideline_version_from_one"),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"

    def save(self, *args, **kwargs) -> None:
        if self.pk is not None:
            raise ValueError("A published guideline version never changes; publish a new one.")
        super().save(*args, **kwargs)


class GuidelineAcknowledgement(models.Model):
    """A person said that they have read this version; needed before they are handed work under it."""

    version = models.ForeignKey(GuidelineVersion, models.PROTECT, related_name="acknowledgements")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="acknowledgements")
    acknowledged_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "user"], name="acknowledged_once")]

    def __str__(self) -> str:
        return f"{self.user} read {self.version}"
