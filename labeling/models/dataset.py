from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from annotate.words import _

from .project import Project


class DatasetKind(models.TextChoices):
    SFT = "sft", _("SFT demonstrations")
    COMPARISON = "comparison", _("Comparisons")
    PROMPTS = "prompts", _("Prompts")
    COMPLETIONS = "completions", _("Completions without an order")


UNJUDGED = (DatasetKind.PROMPTS, DatasetKind.COMPLETIONS)  # rows that are nobody's judgment


class Dataset(models.Model):
    """A recipe (which accepted work, how split) from which immutable versions are frozen."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="datasets")
    kind = models.CharField(max_length=12, choices=DatasetKind.choices)
    name = models.CharField(max_length=120)
    recipe = models.JSONField(default=dict, blank=True)  # as its newest revision has it
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="dataset_name_once")]

    def __str__(self) -> str:
        return self.name


class RecipeRevision(models.Model):
    """A recipe as it was at one time. It never changes: another recipe is another revision."""

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    recipe = models.JSONField()
    note = models.CharField(max_length=300, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="recipe_revision_number_once")
        ]

    def __str__(self) -> str:
        return f"{self.dataset.name} recipe {self.number}"

    def save(self, *args, **kwargs) -> None:
        if not self._state.adding:
            raise TypeError("A revision of a recipe never changes.")
        super().save(*args, **kwargs)


class DatasetVersionStatus(models.TextChoices):
    """freezing → ready | unchanged | failed."""

    FREEZING = "freezing", _("Freezing")
    READY = "ready", _("Ready")  # terminal: files are in place, the hash is known, nothing changes any more
    UNCHANGED = "unchanged", _("Nothing new")  # terminal: no files; `same_as` has the very same bytes
    FAILED = "failed", _("Failed")  # terminal: no files; `error` says why


class DatasetVersionQuerySet(models.QuerySet):
    def made(self) -> DatasetVersionQuerySet:
        """Without those that would have been the twin of another."""
        return self.filter(same_as=None)


class DatasetVersion(models.Model):
    """An immutable snapshot: canonical JSONL per split, a manifest with hashes, and lineage row by row."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    status = models.CharField(
        max_length=10, choices=DatasetVersionStatus.choices, default=DatasetVersionStatus.FREEZING
    )
    recipe = models.JSONField()  # as resolved when frozen: filter, split fractions, salt
    # Whose recipe that is; of a version made of another one, that one's, less what was left out.
    recipe_revision = models.ForeignKey(RecipeRevision, models.PROTECT, null=True, related_name="versions")
    # Grows with each build; a build that lost its turn to a later one changes nothing.
    attempt = models.PositiveSmallIntegerField(default=0)
    row_counts = models.JSONField(default=dict, blank=True)  # {"train": n, "validation": n, "test": n}
    sha256 = models.CharField(max_length=64, blank=True)  # of the manifest's canonical bytes
    manifest = models.JSONField(default=dict, blank=True)
    size_bytes = models.BigIntegerField(default=0)
    note = models.CharField(max_length=300, blank=True)
    # Where it was made by leaving something of an older version out.
    parent = models.ForeignKey("self", models.PROTECT, null=True, related_name="children")
    # The ready version that it would have been the twin of, unless one was wished for.
    same_as = models.ForeignKey("self", models.PROTECT, null=True, related_name="+")
    is_forced = models.BooleanField(default=False)
    # What makes asking for it repeatable (services.freeze_requests); "" where nobody sent a key.
    idempotency_key = models.CharField(max_length=80, blank=True)
    request_sha256 = models.CharField(max_length=64, blank=True)
    # What the data card says beyond the manifest, as it was when frozen (services.dataset_facts). Apart from
    # it, so that rows and manifest are the same bytes as before there were cards.
    facts = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    frozen_at = models.DateTimeField(null=True, blank=True)

    objects = DatasetVersionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="dataset_version_number_once"),
            models.UniqueConstraint(
                fields=["dataset", "created_by", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="dataset_version_key_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.dataset.name} v{self.number}"

    @property
    def row_count(self) -> int:
        return sum(self.row_counts.values())


class DatasetExportStatus(models.TextChoices):
    """waiting → ready | failed."""

    WAITING = "waiting", _("Being prepared")  # asked for; `attempt` says whether somebody is at it
    READY = "ready", _("Ready")  # terminal: the file lies there until it was not asked for in a while
    FAILED = "failed", _("Failed")  # terminal: `error` says why


class DatasetExport(models.Model):
    """A version in an export format as one file that was prepared: it has a hash and can be fetched in parts.

    Each (version, format, split, options) once. The file may be deleted: it is made of what never changes.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    version = models.ForeignKey(DatasetVersion, models.CASCADE, related_name="exports")
    key = models.CharField(max_length=64)  # SHA-256 of format, split and options
    format = models.CharField(max_length=40)
    split = models.CharField(max_length=12, blank=True)  # "": all
    options = models.JSONField(default=dict, blank=True)
    status = models.CharField(
        max_length=10, choices=DatasetExportStatus.choices, default=DatasetExportStatus.WAITING
    )
    attempt = models.PositiveSmallIntegerField(default=0)  # as of a version
    sha256 = models.CharField(max_length=64, blank=True)
    size_bytes = models.BigIntegerField(default=0)
    summary = models.JSONField(default=dict, blank=True)  # {"read", "written", "left_out": {reason: n}}
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(auto_now_add=True)  # asked for or fetched last

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["version", "key"], name="dataset_export_once")]

    def __str__(self) -> str:
        return f"{self.version} as {self.format}"
