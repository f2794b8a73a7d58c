from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from .batch import Layout
from .form_definition import FormDefinition, definition_read
from .project import Project


class Form(models.Model):
    """What one layout asks beside the judgment: a draft that leads edit, the versions published from it."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="forms")
    layout = models.CharField(max_length=16, choices=Layout.choices)
    draft_json = models.JSONField(null=True, blank=True)  # None: there is no draft
    draft_revision = models.PositiveIntegerField(default=0)  # optimistic lock of the draft editor
    draft_updated_at = models.DateTimeField(null=True, blank=True)
    draft_updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "layout"], name="form_once_per_layout")]

    def __str__(self) -> str:
        return f"{self.get_layout_display()} form of {self.project}"

    @property
    def current(self) -> FormVersion:
        """The newest published version (a query); there is one from the start."""
        return self.versions.latest("number")


class FormVersion(models.Model):
    """Immutable once published: saving it again raises ValueError."""

    form = models.ForeignKey(Form, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    definition_json = models.JSONField()
    change_summary = models.CharField(max_length=300, blank=True)
    sha256 = models.CharField(max_length=64)  # of the definition as canonical JSON
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    published_at = models.DateTimeField(auto_now_add=True)
    layout = models.CharField(max_length=16, choices=Layout.choices)  # the form's, to read it without a join

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["form", "number"], name="form_version_number_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="form_version_from_one"),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise ValueError("A published form version never changes; publish a new one.")
        super().save(*args, **kwargs)

    @cached_property
    def definition(self) -> FormDefinition:
        return definition_read(self.layout, json.dumps(self.definition_json))
