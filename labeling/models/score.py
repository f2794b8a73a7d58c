from __future__ import annotations

from django.db import models

from .prompt import Completion


class CompletionScore(models.Model):
    """What a reward model gave a completion. Written by whoever runs the model; people never see it while
    they judge.

    Only differences between scores of one scorer mean something: sigmoid(a - b) is how sure it is that a is
    better.
    """

    completion = models.ForeignKey(Completion, models.PROTECT, related_name="scores")
    # labeling does not know training's tables: the reward model's checkpoint is referred to by its UUID.
    scorer_key = models.UUIDField()
    scorer_name = models.CharField(max_length=120, blank=True)
    score = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["completion", "scorer_key"], name="completion_score_once")
        ]

    def __str__(self) -> str:
        return f"{self.score:g} by {self.scorer_name or self.scorer_key}"
