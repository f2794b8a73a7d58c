from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotate.words import _

from .batch import Batch, TaskKind
from .project import Membership, Project


class ScreeningStatus(models.TextChoices):
    """open → closed. A project and kind has one open set: the one that people must pass now."""

    OPEN = "open", _("Open")
    CLOSED = "closed", _("Closed")


class ScreeningSet(models.Model):
    """A batch of screening tasks with the cut-offs that qualify for a task kind.

    The defaults are InstructGPT's soft cut-offs (2203.02155, appendix B.1): 75 %, 75 %, 6 of 7.
    """

    project = models.ForeignKey(Project, models.PROTECT, related_name="screening_sets")
    kind = models.CharField(max_length=16, choices=TaskKind.choices)
    batch = models.OneToOneField(Batch, models.PROTECT, related_name="screening_set")
    status = models.CharField(max_length=8, choices=ScreeningStatus.choices, default=ScreeningStatus.OPEN)
    minimum_ranking_agreement = models.FloatField(default=0.75)
    minimum_flag_agreement = models.FloatField(default=0.75)
    minimum_demonstration_score = models.FloatField(default=6)
    tasks_per_attempt = models.PositiveSmallIntegerField(default=5)  # a retry takes others of the batch
    retry_days = models.PositiveSmallIntegerField(default=7)  # after a failed attempt; 0: by a lead only
    passes_automatically = models.BooleanField(default=True)  # else a lead decides every time
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "kind"], condition=Q(status="open"), name="screening_one_open_per_kind"
            ),
            models.CheckConstraint(
                condition=Q(minimum_ranking_agreement__gte=0, minimum_ranking_agreement__lte=1)
                & Q(minimum_flag_agreement__gte=0, minimum_flag_agreement__lte=1)
                & Q(minimum_demonstration_score__gte=1, minimum_demonstration_score__lte=7),
                name="screening_cutoffs_in_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} screening of {self.project}"


class QualificationStatus(models.TextChoices):
    """in_work → passed | failed | undecided; undecided → passed | failed (a lead); failed → in_work again."""

    IN_WORK = "in_work", _("Screening under way")
    UNDECIDED = "undecided", _("Waits for a lead")
    PASSED = "passed", _("Qualified")
    FAILED = "failed", _("Not passed")


class Qualification(models.Model):
    """Where one person stands with one screening set. No row: they have not begun."""

    membership = models.ForeignKey(Membership, models.PROTECT, related_name="qualifications")
    screening_set = models.ForeignKey(ScreeningSet, models.PROTECT, related_name="qualifications")
    status = models.CharField(
        max_length=10, choices=QualificationStatus.choices, default=QualificationStatus.IN_WORK
    )
    attempt = models.PositiveSmallIntegerField(default=1)
    attempt_began_at = models.DateTimeField(auto_now_add=True)  # earlier results no longer count
    ranking_agreement = models.FloatField(null=True, blank=True)
    flag_agreement = models.FloatField(null=True, blank=True)
    demonstration_score = models.FloatField(null=True, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["membership", "screening_set"], name="qualification_once_per_set")
        ]

    def __str__(self) -> str:
        return f"{self.get_status_display()}: {self.membership}"


class MemberLanguage(models.Model):
    """A language a person says they work in; it counts once a lead has confirmed it."""

    membership = models.ForeignKey(Membership, models.CASCADE, related_name="languages")
    code = models.CharField(max_length=16)  # as in Prompt.language
    declared_at = models.DateTimeField(auto_now_add=True)
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["code"]
        constraints = [models.UniqueConstraint(fields=["membership", "code"], name="member_language_once")]

    def __str__(self) -> str:
        return self.code
