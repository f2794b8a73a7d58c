from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from .batch import Batch
from .project import Project


class Figure(models.Model):
    """Numbers of the quality report that lists sort by and other pages show: of a project, one of its
    batches, or one of its people. Written with the report, from it (services.figures)."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="figures")
    batch = models.ForeignKey(Batch, models.CASCADE, null=True, related_name="figures")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="figures")
    agreement = models.FloatField(null=True)
    agreement_low = models.FloatField(null=True)
    agreement_high = models.FloatField(null=True)
    agreement_pairs = models.PositiveIntegerField(default=0)
    # As labeling.acceptance counts them, of the work of people on tasks.
    accepted = models.PositiveIntegerField(default=0)  # as it was
    fixed = models.PositiveIntegerField(default=0)
    returned = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    unreviewed = models.PositiveIntegerField(default=0)  # counts without a review
    position = models.FloatField(null=True)  # share of decided pairs won by the completion shown earlier
    position_low = models.FloatField(null=True)
    position_high = models.FloatField(null=True)
    position_pairs = models.PositiveIntegerField(default=0)
    # Of the project: [day since 1970 by UTC, reviewed, accepted] of each day with reviews, oldest first.
    decisions_by_day = models.JSONField(default=list)
    computed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project"], condition=Q(batch=None, user=None), name="figure_once_per_project"
            ),
            models.UniqueConstraint(
                fields=["batch"], condition=Q(batch__isnull=False), name="figure_once_per_batch"
            ),
            models.UniqueConstraint(
                fields=["project", "user"], condition=Q(user__isnull=False), name="figure_once_per_person"
            ),
        ]

    def __str__(self) -> str:
        return f"figures of {self.user or self.batch or self.project}"
