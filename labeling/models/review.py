from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotate.words import _

from .submission import ReviewReason, Submission, SubmissionStatus


class ReviewDecision(models.TextChoices):
    """What a reviewer decides. A decision stands until `reopened_at` is set, by one of

    - a lead who reopens accepted or returned work (→ awaiting_review),
    - a newer decision on returned work that nobody mends; that one taken back, the return stands again,
    - its own reviewer, who takes it back at once (→ status_before; only while nothing was built on it),
    - an appeal against a fix, return or rejection that is overturned (→ accepted as its author had it).

    The row stays in each case, and what follows is a row of its own.
    """

    ACCEPTED = "accepted", _("Accepted")
    RETURNED = "returned", _("Returned")  # with reasons, to its author
    FIXED = "fixed", _("Fixed")  # accepted with the reviewer's revision
    REJECTED = "rejected", _("Rejected")


class Review(models.Model):
    """A decision on one revision of a submission. Never changed, but for `reopened_at`."""

    submission = models.ForeignKey(Submission, models.PROTECT, related_name="reviews")
    revision = models.PositiveSmallIntegerField()  # the revision that was looked at
    decision = models.CharField(max_length=10, choices=ReviewDecision.choices)
    queue_reason = models.CharField(max_length=16, choices=ReviewReason.choices, blank=True)
    reasons = models.JSONField(default=list, blank=True)  # keys of ProjectSettings.return_reasons
    note = models.TextField(blank=True)
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="reviews")
    active_seconds = models.PositiveIntegerField(default=0)
    # What the submission was when this was decided: where taking it back leads to.
    status_before = models.CharField(
        max_length=16, choices=SubmissionStatus.choices, default=SubmissionStatus.AWAITING_REVIEW
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # When it was reopened, taken back or overturned: from then on the decision no longer stands.
    reopened_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["created_at"], name="review_created")]
        constraints = [
            # Two leads deciding at once: the second finds the revision decided.
            models.UniqueConstraint(
                fields=["submission", "revision"],
                condition=Q(reopened_at=None),
                name="review_once_per_revision",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_decision_display()}: {self.submission}"
