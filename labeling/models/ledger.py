from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotate.words import _

from .batch import Batch, TaskKind
from .project import Project
from .submission import Submission

REVIEW_WORK = "review"


def work_choices() -> list[tuple[str, str]]:
    """What time can be spent on: each kind of task, and review. Fields carry no choices, so that a new kind
    of task asks for no migration here."""
    return [*TaskKind.choices, (REVIEW_WORK, _("Review"))]


def work_label(work: str) -> str:
    return dict(work_choices()).get(work, work)


class Activity(models.TextChoices):
    """What a ledger entry was written for."""

    SUBMISSION = "submission", _("Submitted")  # a piece; a mended one brings its time, not a second piece
    SKIP = "skip", _("Skipped")
    RELEASE = "release", _("Given back")
    EXPIRY = "expiry", _("Ran out of time")
    LATE = "late", _("Came too late")
    REVIEW = "review", _("Reviewed")
    UNDONE = "undone", _("Decision taken back")  # counters the piece of a review, with the reason
    APPEAL = "appeal", _("Appeal decided")
    SETTLEMENT = "settlement", _("Order settled")  # of a ranking task
    SCORE = "score", _("Answer scored")  # to a gold or screening task
    LATE_REVIEW = "late_review", _("Late work decided on")
    CORRECTION = "correction", _("Corrected")  # by a lead, signed, with a reason
    OPENING = "opening", _("Carried over")  # from before there was a ledger


class ImmutableRow(TypeError):
    """Somebody tried to change or delete what is only ever added to."""


class LedgerQuerySet(models.QuerySet):
    def update(self, **kwargs):
        raise ImmutableRow("Ledger entries are never changed: write a correction.")

    def delete(self):
        raise ImmutableRow("Ledger entries are never deleted: write a correction.")


class LedgerEntry(models.Model):
    """Time and pieces of one person's work, written in the same commit as the work. Never changed.

    `source` names what it was written for, once ("submission:17:1"). `day` is the day on which the work
    ended where the person lives, by their time zone at that moment (`timezone`).
    """

    project = models.ForeignKey(Project, models.PROTECT, related_name="ledger_entries")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="ledger_entries")
    batch = models.ForeignKey(Batch, models.PROTECT, null=True, related_name="+")
    submission = models.ForeignKey(Submission, models.PROTECT, null=True, related_name="ledger_entries")
    work = models.CharField(max_length=24)  # a TaskKind, or "review"
    activity = models.CharField(max_length=12, choices=Activity.choices)
    source = models.CharField(max_length=120, unique=True)
    day = models.DateField()
    timezone = models.CharField(max_length=64)
    seconds = models.IntegerField()  # what counts; below zero in corrections only
    claimed_seconds = models.IntegerField()  # what the browser or program said
    pieces = models.SmallIntegerField(default=0)
    # Between which moments the seconds lie; empty where nobody knows (corrections, carried over).
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=500, blank=True)  # of a correction, or of what was taken back
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = LedgerQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "ledger entries"
        constraints = [
            models.CheckConstraint(
                condition=Q(activity__in=["correction", "undone"]) | (Q(seconds__gte=0) & Q(pieces__gte=0)),
                name="ledger_only_corrections_below_zero",
            ),
            models.CheckConstraint(
                condition=~Q(activity__in=["correction", "undone"])
                | (Q(created_by__isnull=False) & ~Q(reason="")),
                name="ledger_correction_has_author_and_reason",
            ),
            models.CheckConstraint(
                condition=Q(started_at=None) | Q(ended_at__gte=models.F("started_at")),
                name="ledger_ends_after_it_starts",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "ended_at"], name="ledger_moments"),
            models.Index(fields=["project", "user", "day"], name="ledger_person_days"),
        ]

    def __str__(self) -> str:
        return f"{self.seconds} s of {self.work}, {self.source}"

    def save(self, *args, **kwargs):
        if self.pk is not None:
            raise ImmutableRow("Ledger entries are never changed: write a correction.")
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        raise ImmutableRow("Ledger entries are never deleted: write a correction.")

    @property
    def work_label(self) -> str:
        return work_label(self.work)

    @property
    def absolute_seconds(self) -> int:
        return abs(self.seconds)

    @property
    def signed_pieces(self) -> str:
        return f"{self.pieces:+d}"


class LedgerDay(models.Model):
    """Sums of the entries of a person, day, kind of work and batch; kept in the same commit as each entry."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="ledger_days")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="ledger_days")
    batch = models.ForeignKey(Batch, models.PROTECT, null=True, related_name="+")
    day = models.DateField()
    work = models.CharField(max_length=24)
    seconds = models.IntegerField(default=0)
    pieces = models.IntegerField(default=0)
    skips = models.IntegerField(default=0)

    class Meta:
        ordering = ["-day", "work"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user", "day", "work", "batch"],
                condition=Q(batch__isnull=False),
                name="ledger_day_once",
            ),
            models.UniqueConstraint(
                fields=["project", "user", "day", "work"],
                condition=Q(batch__isnull=True),
                name="ledger_day_once_without_batch",
            ),
        ]
        indexes = [
            # All that sums over people read lies in the index itself.
            models.Index(
                fields=["project", "day", "work", "batch", "user", "seconds", "pieces"], name="ledger_days"
            ),
            models.Index(fields=["user", "day"], name="ledger_day_of_person"),
            # All that a person's sums read lies in it, too.
            models.Index(
                fields=["project", "user", "day", "work", "seconds", "pieces"], name="ledger_days_of_person"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.seconds} s of {self.work}"


class RateUnit(models.TextChoices):
    HOUR = "hour", _("an hour")
    PIECE = "piece", _("a piece")


class Rate(models.Model):
    """What a kind of work is paid from a day on, for everybody or for one person. Added to, never changed.

    A person's own rate goes before the project's; one without an amount ends it.
    """

    project = models.ForeignKey(Project, models.PROTECT, related_name="rates")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="rates")
    work = models.CharField(max_length=24)
    unit = models.CharField(max_length=8, choices=RateUnit.choices)
    amount = models.DecimalField(max_digits=12, decimal_places=4, null=True)
    currency = models.CharField(max_length=3)
    valid_from = models.DateField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["work", "-valid_from", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "work", "valid_from"],
                condition=Q(user=None),
                name="rate_once_a_day",
            ),
            models.UniqueConstraint(
                fields=["project", "work", "user", "valid_from"],
                condition=Q(user__isnull=False),
                name="rate_once_a_day_and_person",
            ),
            models.CheckConstraint(
                condition=Q(amount__gte=0) | (Q(amount=None) & Q(user__isnull=False)),
                name="rate_amount_not_below_zero",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} {self.get_unit_display()}, {self.work}, from {self.valid_from}"

    @property
    def work_label(self) -> str:
        return work_label(self.work)
