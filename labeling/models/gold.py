from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from .batch import Task
from .submission import Submission


class GoldAnswer(models.Model):
    """What a lead knows about a task: the answer that submissions of gold and screening tasks are held
    against. A ranking has an order and flags; a demonstration the least score a lead must give it, if any,
    and a reference that the lead scores it against.
    """

    task = models.OneToOneField(Task, models.PROTECT, related_name="gold_answer")
    tiers = models.JSONField(default=list, blank=True)  # completion ids, best first, as in Ranking
    unrankable = models.JSONField(default=list, blank=True)
    flags = models.JSONField(default=dict, blank=True)  # {"completion id": [flag keys]}
    checks_flags = models.BooleanField(default=False)  # whether flags count toward passing
    minimum_score = models.PositiveSmallIntegerField(null=True, blank=True)
    reference = models.TextField(blank=True)  # of a demonstration: what a good answer looks like
    note = models.TextField(blank=True)  # why this is the answer
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True, blank=True)  # handed out no more; results stay

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(minimum_score=None) | Q(minimum_score__gte=1, minimum_score__lte=7),
                name="gold_score_1_to_7",
            )
        ]

    def __str__(self) -> str:
        return f"known answer of {self.task}"


class GoldResult(models.Model):
    """How one submission did against a known answer, or against one's own earlier answer (a repeat).

    `passed` is None while a lead's score is awaited, and where nothing is asked for.
    """

    submission = models.OneToOneField(Submission, models.PROTECT, related_name="gold_result")
    # Shares between 0 and 1; None where they do not apply.
    agreement = models.FloatField(null=True, blank=True)  # pairs in the right order, a tie of one counts half
    pairs = models.PositiveSmallIntegerField(default=0)
    flag_agreement = models.FloatField(null=True, blank=True)
    score = models.PositiveSmallIntegerField(null=True, blank=True)  # 1 to 7, given by a lead
    scored_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    scored_at = models.DateTimeField(null=True, blank=True)
    passed = models.BooleanField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"result of {self.submission}"
