from __future__ import annotations

import secrets
from datetime import UTC, datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from annotate.words import _

from .batch import Batch, BatchStatus, Task, TaskKind, TaskPurpose
from .project import Project

NO_DEADLINE = datetime(9000, 1, 1, tzinfo=UTC)


def unguessable_id() -> int:
    """Slots are numbered at random: a number that annotators see must not tell when its slot was made, since
    those of gold tasks are made as people come. Below 2^53, so that JavaScript can read it."""
    return secrets.randbelow(2**53 - 1) + 1


class AssignmentStatus(models.TextChoices):
    """The life of one slot.

    open → leased → submitted → (reviewer returns it) returned → leased → submitted
    leased → open when the lease expires or the person skips (→ returned if it was returned work)
    returned → submitted when a lead takes the work back or decides on it, since nobody mends it
    submitted → void when its submission is rejected; any but submitted → void when the task is closed.
    """

    OPEN = "open", _("Open")  # nobody's
    LEASED = "leased", _("In work")  # one person's until lease_expires_at
    SUBMITTED = "submitted", _("Submitted")  # holds a submission
    RETURNED = "returned", _("Returned")  # waits for its author, who comes back to it first
    VOID = "void", _("Void")  # terminal: no longer counts toward the overlap


class AssignmentQuerySet(models.QuerySet):
    def open(self) -> AssignmentQuerySet:
        """Slots that may be handed out to whoever comes now: nobody's, in an open batch before its deadline.

        The first line of conditions is that of the hand-out's index. `is_held` mirrors pause and deadline, so
        that a long paused batch costs nothing; the rest is exact between two sweeps.
        """
        waiting = self.filter(
            status=AssignmentStatus.OPEN, is_held=False, purpose=TaskPurpose.WORK, reserved_for=None
        )
        return waiting.filter(batch__status=BatchStatus.OPEN, due_at__gt=Now())

    def expired(self) -> AssignmentQuerySet:
        """Leased slots whose deadline has passed by the database's clock."""
        return self.filter(status=AssignmentStatus.LEASED, lease_expires_at__lt=Now())

    def live(self) -> AssignmentQuerySet:
        """Slots that count toward the overlap."""
        return self.exclude(status=AssignmentStatus.VOID)


class Assignment(models.Model):
    """One numbered slot of a task. What the hand-out asks for is repeated here for its index: project, batch,
    kind, purpose, language, priority, deadline, and whether it is held back.
    """

    id = models.BigIntegerField(primary_key=True, default=unguessable_id, editable=False)
    task = models.ForeignKey(Task, models.PROTECT, related_name="assignments")
    slot = models.PositiveSmallIntegerField()
    project = models.ForeignKey(Project, models.PROTECT, related_name="assignments")
    batch = models.ForeignKey(Batch, models.PROTECT, related_name="assignments")
    kind = models.CharField(max_length=16, choices=TaskKind.choices)
    purpose = models.CharField(max_length=12, choices=TaskPurpose.choices, default=TaskPurpose.WORK)
    language = models.CharField(max_length=16, blank=True)  # the prompt's; "" where it is not known
    priority = models.SmallIntegerField(default=0)
    due_at = models.DateTimeField(default=NO_DEADLINE)  # the batch's deadline
    is_held = models.BooleanField(default=False)  # its batch is paused or past its deadline, or it is parked
    # A lead has given it to this person: handed out to them next, and to nobody else.
    reserved_for = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="reserved_assignments"
    )
    # 0 when another slot of the task is taken already ("nearest completion first"), else 1.
    handout_rank = models.PositiveSmallIntegerField(default=1)
    status = models.CharField(max_length=10, choices=AssignmentStatus.choices, default=AssignmentStatus.OPEN)
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="assignments"
    )
    # Grows with each lease; a submit or draft that carries an older number is refused.
    fence = models.PositiveIntegerField(default=0)
    leased_at = models.DateTimeField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)  # database clock
    submitted_at = models.DateTimeField(null=True, blank=True)
    # What the person under this lease was shown: for rankings {"order": [completion ids], "seed": int}.
    presentation = models.JSONField(default=dict, blank=True)
    guideline_version = models.ForeignKey(
        "labeling.GuidelineVersion", models.PROTECT, null=True, related_name="+"
    )
    # What the person under this lease is asked; published versions change nothing of work in hand.
    form_version = models.ForeignKey("labeling.FormVersion", models.PROTECT, null=True, related_name="+")

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["task", "slot"], name="assignment_slot_once"),
            models.UniqueConstraint(
                fields=["task", "annotator"],
                condition=Q(annotator__isnull=False),
                name="assignment_task_once_per_person",
            ),
            models.CheckConstraint(
                condition=Q(status="open", annotator=None)
                | (Q(status__in=["leased", "submitted", "returned"]) & Q(annotator__isnull=False))
                | Q(status="void"),
                name="assignment_annotator_fits_status",
            ),
            models.CheckConstraint(
                condition=~Q(status="leased") | Q(lease_expires_at__isnull=False),
                name="assignment_lease_has_deadline",
            ),
        ]
        indexes = [
            models.Index(
                fields=[
                    "project",
                    "kind",
                    "language",
                    "-priority",
                    "due_at",
                    "handout_rank",
                    "task",
                    "slot",
                ],  # fmt: skip
                condition=Q(status="open", is_held=False, purpose="work", reserved_for=None),
                name="assignment_handout",
            ),
            models.Index(fields=["lease_expires_at"], condition=Q(status="leased"), name="assignment_leased"),
            models.Index(
                fields=["reserved_for"],
                condition=Q(status="open", reserved_for__isnull=False),
                name="assignment_reserved",
            ),
            models.Index(fields=["annotator", "status"]),
            models.Index(fields=["batch", "status"]),
        ]

    def __str__(self) -> str:
        return f"slot {self.slot} of {self.task}"


class Draft(models.Model):
    """What a person has typed so far; survives their lease. `revision` detects a stale tab."""

    task = models.ForeignKey(Task, models.CASCADE, related_name="drafts")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="drafts")
    body = models.JSONField(default=dict)
    revision = models.PositiveIntegerField(default=1)
    active_seconds = models.PositiveIntegerField(default=0)
    # A complete submission that came after its slot went to somebody else: kept for the lead.
    is_late = models.BooleanField(default=False)
    # That of the person's last lease: what they send after it ran out is held against it.
    form_version = models.ForeignKey("labeling.FormVersion", models.PROTECT, null=True, related_name="+")
    # Time on these words that is in the ledger already, and from when on further time may count.
    booked_seconds = models.PositiveIntegerField(default=0)
    counted_from = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "user"], name="draft_once_per_person")]
        indexes = [
            models.Index(fields=["updated_at", "id"], condition=Q(is_late=True), name="draft_late"),
        ]

    def __str__(self) -> str:
        return f"draft {self.revision} of {self.task}"


class SkipReason(models.TextChoices):
    UNCLEAR = "unclear", _("The prompt is unclear")
    UNSAFE = "unsafe", _("Unsafe or upsetting")
    PERSONAL_DATA = "personal_data", _("Contains personal data")
    NOT_MY_FIELD = "not_my_field", _("Outside my knowledge")
    BROKEN = "broken", _("Something is broken")
    OTHER = "other", _("Another reason")
    WITHDRAWN = "withdrawn", _("Taken back by a lead")  # nobody chooses it: see services.task_control

    @classmethod
    def for_leads(cls) -> list[str]:
        """These wait for a lead's look; the others only say that somebody else should try."""
        return [cls.UNCLEAR, cls.UNSAFE, cls.PERSONAL_DATA, cls.BROKEN]

    @classmethod
    def offered(cls) -> list[tuple[str, str]]:
        """What a person chooses from."""
        return [choice for choice in cls.choices if choice[0] != cls.WITHDRAWN]


class Skip(models.Model):
    """A person passed on a task; they are not handed it again."""

    task = models.ForeignKey(Task, models.CASCADE, related_name="skips")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="skips")
    reason = models.CharField(max_length=16, choices=SkipReason.choices)
    note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "user"], name="skip_once_per_person")]

    def __str__(self) -> str:
        return f"{self.get_reason_display()}: {self.task}"
