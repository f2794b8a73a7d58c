from __future__ import annotations

from django.db import models

from .batch import Task
from .project import Project


class QualityReport(models.Model):
    """What is known of a project's quality, computed in the background from its judgments: a cache.

    One worker computes at a time: it claims the row with a conditional UPDATE that raises `fence`, and stores
    what it found only while the fence is still its own.
    """

    project = models.OneToOneField(Project, models.CASCADE, related_name="quality_report")
    body = models.JSONField(default=dict, blank=True)  # by section; {} before the first
    layout = models.PositiveSmallIntegerField(default=0)  # of the body; an older one is computed anew
    as_of = models.DateTimeField(null=True, blank=True)  # judgments up to then are in it
    cursor = models.BigIntegerField(default=0)  # audit events after this one may be news
    seconds = models.FloatField(default=0)  # what it took to compute
    next_at = models.DateTimeField(null=True, blank=True)  # not computed again before, unless asked for
    requested_at = models.DateTimeField(null=True, blank=True)  # a lead asked for it
    claimed_at = models.DateTimeField(null=True, blank=True)  # somebody is computing since
    fence = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)  # why the last attempt failed

    def __str__(self) -> str:
        return f"quality of {self.project}"


class TaskAgreement(models.Model):
    """How much the people who ranked one task agree. Kept by the quality report, for lists and filters."""

    task = models.OneToOneField(Task, models.CASCADE, primary_key=True, related_name="agreement")
    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    people = models.PositiveSmallIntegerField()
    comparisons = models.PositiveIntegerField()
    value = models.FloatField(null=True)  # pairwise agreement, ties half; None where no pair was ranked twice
    # Flags that anybody set on its prompt or completions, each between bars: "|unsafe|repetitive|".
    flags = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["project", "value"], name="task_agreement_lowest")]

    def __str__(self) -> str:
        return f"agreement on {self.task}"
