from __future__ import annotations

from django.conf import settings
from django.db import models

from .dataset import DatasetExportStatus, DatasetVersion


class DatasetSizes(models.Model):
    """How large a version is in tokens of one tokenizer. Measured once: neither of the two changes."""

    version = models.ForeignKey(DatasetVersion, models.CASCADE, related_name="sizes")
    tokenizer_sha256 = models.CharField(max_length=64)  # of ModelTokenizer.digest
    model = models.CharField(max_length=300)  # whose tokenizer it is, as first chosen
    model_name = models.CharField(max_length=200)
    status = models.CharField(
        max_length=10, choices=DatasetExportStatus.choices, default=DatasetExportStatus.WAITING
    )
    attempt = models.PositiveSmallIntegerField(default=0)  # as of a version
    result = models.JSONField(default=dict, blank=True)  # {"context", "splits": {split: training.rlhf.sizes}}
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["version", "tokenizer_sha256"], name="dataset_sizes_once")
        ]

    def __str__(self) -> str:
        return f"{self.version} in tokens of {self.model_name}"
