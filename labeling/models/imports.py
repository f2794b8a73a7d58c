from __future__ import annotations

from django.conf import settings
from django.db import models

from annotate.words import _

from .project import Project


class ImportKind(models.TextChoices):
    PROMPTS = "prompts", _("Prompts")  # to be answered
    DEMONSTRATIONS = "demonstrations", _("Demonstrations")  # prompts with the answer of a person
    COMPARISONS = "comparisons", _("Comparisons")  # prompts with completions that were ranked elsewhere
    COMPLETIONS = "completions", _("Completions")  # to be ranked here, with their prompts; or ranked already


class ImportStatus(models.TextChoices):
    """uploaded → waiting → running → succeeded | failed; running → waiting when its process died; failed
    → waiting again. A dry run ends where it began: running → uploaded, with a report.

    A failed import has stored nothing.
    """

    UPLOADED = "uploaded", _("To be confirmed")  # the file lies on disk, its owner looks at the preview
    WAITING = "waiting", _("Waiting")  # confirmed, its job has not begun
    RUNNING = "running", _("Running")  # rows are being read; progress counts them
    SUCCEEDED = "succeeded", _("Succeeded")  # terminal: every row of the file is stored
    FAILED = "failed", _("Failed")  # terminal: nothing was stored, `error` says why


class ImportRecord(models.Model):
    """One file brought in: provenance of every row that came with it."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="imports")
    kind = models.CharField(max_length=16, choices=ImportKind.choices)
    format = models.CharField(max_length=30, blank=True)
    filename = models.CharField(max_length=255)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    column_mapping = models.JSONField(default=dict, blank=True)
    licence = models.CharField(max_length=120, blank=True)
    status = models.CharField(max_length=10, choices=ImportStatus.choices, default=ImportStatus.WAITING)
    # Grows with each run; a run that lost its turn to a later one stores nothing.
    attempt = models.PositiveSmallIntegerField(default=0)
    rows_read = models.PositiveIntegerField(default=0)
    rows_added = models.PositiveIntegerField(default=0)
    rows_already_there = models.PositiveIntegerField(default=0)
    # Off: one faulty row refuses the file.
    # On: rows whose fault ends with them are left out, counted and listed.
    leave_out_faulty_rows = models.BooleanField(default=False)
    rows_left_out = models.PositiveIntegerField(default=0)
    faults = models.JSONField(default=list, blank=True)  # the first of them: [{"row", "field", "message"}]
    error = models.JSONField(null=True, blank=True)  # {"message","file","row","field","hint"}
    # On: the run that waits or goes on reads and checks every row and stores none.
    is_dry_run = models.BooleanField(default=False)
    # What the last dry run found: {"kind", "format", "rows", "added", "already_there", "left_out", "at"}.
    report = models.JSONField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["project", "-created_at"])]

    def __str__(self) -> str:
        return f"{self.filename} ({self.get_kind_display()})"


class ImportUpload(models.Model):
    """A file on its way in, piece by piece: how much of it is here can be asked, and the rest sent later.

    It becomes an ImportRecord with its last piece; what is not finished within a day is removed.
    """

    project = models.ForeignKey(Project, models.PROTECT, related_name="uploads")
    kind = models.CharField(max_length=16, choices=ImportKind.choices)
    filename = models.CharField(max_length=255)
    licence = models.CharField(max_length=120, blank=True)
    size_bytes = models.BigIntegerField()
    # Pieces that are on disk for certain; what the file holds beyond that was not acknowledged.
    offset = models.BigIntegerField(default=0)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    touched_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.filename} ({self.offset:,} of {self.size_bytes:,} bytes)"
