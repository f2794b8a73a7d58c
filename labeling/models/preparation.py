from __future__ import annotations

from django.conf import settings
from django.db import models

from annotate.words import _

from .dataset import DatasetVersion
from .imports import ImportRecord


class PreparationStatus(models.TextChoices):
    """waiting → running → ready | failed; any of the last two → waiting again when somebody asks anew.

    A preparation that was only told which fixes to carry out stays CHOSEN: nobody asked for a report.
    """

    CHOSEN = "chosen", _("No report")
    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Running")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")


class Preparation(models.Model):
    """What a look through an uploaded file or a frozen version found, and what was decided about it."""

    import_record = models.OneToOneField(
        ImportRecord, models.CASCADE, null=True, blank=True, related_name="preparation"
    )
    version = models.OneToOneField(
        DatasetVersion, models.CASCADE, null=True, blank=True, related_name="preparation"
    )
    status = models.CharField(
        max_length=10, choices=PreparationStatus.choices, default=PreparationStatus.CHOSEN
    )
    # Grows with each run; a run that lost its turn to a later one stores nothing.
    attempt = models.PositiveSmallIntegerField(default=0)
    # {"context": tokens, "evaluation": [import ids], "kind", "format", "columns" as chosen on the preview}
    options = models.JSONField(default=dict, blank=True)
    report = models.JSONField(default=dict, blank=True)  # as labeling.preparation.Report.to_json
    ignored = models.JSONField(default=list, blank=True)  # keys of findings
    # Names of fixes, of an import; those of a version stand in its dataset's recipe.
    fixes = models.JSONField(default=list, blank=True)
    counts = models.JSONField(default=dict, blank=True)  # {fix: rows} that the import carried out
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    computed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(import_record__isnull=False) ^ models.Q(version__isnull=False),
                name="preparation_of_one_thing",
            )
        ]

    def __str__(self) -> str:
        return f"preparation of {self.import_record or self.version}"
