from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from .batch import Task
from .project import Project


class Adjudication(models.Model):
    """The order of a ranking task as a lead settled it, with a record of why.

    Rows are never changed but for `superseded_at`: a later one takes its place and both stay on record. The
    people's own rankings stay as they are.
    """

    project = models.ForeignKey(Project, models.PROTECT, related_name="adjudications")
    task = models.ForeignKey(Task, models.PROTECT, related_name="adjudications")
    tiers = models.JSONField()  # as Ranking.tiers: best first, ties together, ids of completions
    unrankable = models.JSONField(default=list, blank=True)
    method = models.CharField(max_length=40)  # what the proposal was computed with
    # As services.adjudications.Proposal: the order, what it rests on, and what the other rules said.
    proposal = models.JSONField(default=dict, blank=True)
    is_changed = models.BooleanField(default=False)  # by the lead, from the proposal
    note = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="adjudications")
    at = models.DateTimeField(auto_now_add=True)
    superseded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            # Two leads at once: the second finds a consensus newer than the one they looked at.
            models.UniqueConstraint(
                fields=["task"], condition=Q(superseded_at=None), name="adjudication_one_stands"
            )
        ]
        indexes = [models.Index(fields=["project", "-id"])]

    def __str__(self) -> str:
        return f"consensus of {self.task}"
