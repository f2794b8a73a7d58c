from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotate.words import _

from .assignment import Assignment
from .batch import Task, TaskKind
from .form import FormVersion
from .guideline import GuidelineVersion
from .imports import ImportRecord
from .project import Project
from .prompt import Completion, Prompt


class SubmissionStatus(models.TextChoices):
    """submitted → accepted | awaiting_review; awaiting_review → accepted | returned | rejected; returned
    → (resubmit).

    An accepted submission may be reopened by a lead (→ awaiting_review). One that nobody reviewed may be
    decided on as it is (accepted → accepted | returned | rejected): the model's opinion leads there. A
    returned one that nobody mends may be decided on too (→ accepted | rejected), and a lead may take it back
    from its author (→ awaiting_review).
    The last decision may be taken back at once by whoever made it (→ what it was before), and a fix, return
    or rejection may be overturned on appeal (→ accepted); see ReviewDecision and AppealStatus.
    """

    AWAITING_REVIEW = "awaiting_review", _("Awaiting review")
    ACCEPTED = "accepted", _("Accepted")  # may go into datasets
    RETURNED = "returned", _("Returned")  # its author is asked to mend it
    REJECTED = "rejected", _("Rejected")  # terminal unless appealed: the slot was given to somebody else


class ReviewReason(models.TextChoices):
    """Why a submission waits for a reviewer."""

    SAMPLED = "sampled", _("Sampled at the batch's rate")
    FLAGGED = "flagged", _("Carries a flag")
    NEW_PERSON = "new_person", _("First judgments of a new person")
    RESUBMITTED = "resubmitted", _("Came back after a return")
    LATE = "late", _("Came after the lease had expired")
    REOPENED = "reopened", _("Reopened by a lead")
    LOW_AGREEMENT = "low_agreement", _("Disagrees with others on its task")
    MODEL_DISAGREES = "model_disagrees", _("A reward model confidently disagrees")
    APPEALED = "appealed", _("Decided on appeal")  # of the Review that an overturned appeal writes
    GOLD_MISSED = "gold_missed", _("Missed a task with a known answer")
    GOLD_UNSCORED = "gold_unscored", _("Gold, not yet scored")  # a lead's score decides on it
    NOT_MENDED = "not_mended", _("Returned, and its author does not mend it")  # labeling.unmended


class SubmissionQuerySet(models.QuerySet):
    def accepted(self) -> SubmissionQuerySet:
        return self.filter(status=SubmissionStatus.ACCEPTED)

    def awaiting_review(self) -> SubmissionQuerySet:
        return self.filter(status=SubmissionStatus.AWAITING_REVIEW)

    def reviewable_by(self, user) -> SubmissionQuerySet:
        """Nobody reviews themselves."""
        return self.awaiting_review().exclude(annotator=user)


class Submission(models.Model):
    """One person's judgment of one task (or one imported judgment), with its revisions.

    The judgment's content is the Demonstration or Ranking with `is_current`.
    Imported judgments have an import_record and neither task nor annotator.
    """

    project = models.ForeignKey(Project, models.PROTECT, related_name="submissions")
    kind = models.CharField(max_length=16, choices=TaskKind.choices)
    prompt = models.ForeignKey(Prompt, models.PROTECT, related_name="submissions")
    task = models.ForeignKey(Task, models.PROTECT, null=True, related_name="submissions")
    assignment = models.OneToOneField(Assignment, models.PROTECT, null=True, related_name="submission")
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="submissions"
    )
    import_record = models.ForeignKey(ImportRecord, models.PROTECT, null=True, related_name="submissions")
    # The same imported judgment is stored once; NULLs (submitted ones) never clash.
    import_digest = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001
    status = models.CharField(
        max_length=16, choices=SubmissionStatus.choices, default=SubmissionStatus.AWAITING_REVIEW
    )
    review_reason = models.CharField(max_length=16, choices=ReviewReason.choices, blank=True)
    # What the review says by which it is what it is (a ReviewDecision); empty while it waits, and where it
    # counts without one. Written with the review, so that acceptance is counted from an index alone.
    verdict = models.CharField(max_length=10, blank=True, default="")
    prompt_flags = models.JSONField(default=list, blank=True)  # keys of the form's prompt_flags
    active_seconds = models.PositiveIntegerField(default=0)  # over all revisions by the annotator
    revision_count = models.PositiveSmallIntegerField(default=1)
    # Share of pairs on which a ranking agrees with the others of its task; None where there is no other.
    agreement = models.FloatField(null=True, blank=True)
    # How sure a reward model is of the opposite of one of its pairs, 0.5 to 1; None without scores.
    model_conflict = models.FloatField(null=True, blank=True)
    newest_receipt: SubmissionReceipt  # of what was just submitted: set by services.submissions
    # Confident enough to be shown to a reviewer, and nobody has looked at it yet. Changes no status.
    conflict_open = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    objects = SubmissionQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["task", "annotator"],
                condition=Q(task__isnull=False),
                name="submission_once_per_person",
            ),
            models.UniqueConstraint(fields=["project", "import_digest"], name="submission_import_once"),
            models.CheckConstraint(
                condition=Q(import_record__isnull=False)
                | (Q(task__isnull=False) & Q(annotator__isnull=False)),
                name="submission_has_origin",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "kind", "status"]),
            models.Index(fields=["annotator", "-created_at"]),
            # The review room: each way of sorting what waits walks one of these.
            models.Index(
                fields=["project", "review_reason", "id"],
                condition=Q(status=SubmissionStatus.AWAITING_REVIEW),
                name="submission_waiting_reason",
            ),
            models.Index(
                fields=["project", "id"],
                condition=Q(status=SubmissionStatus.AWAITING_REVIEW),
                name="submission_waiting_age",
            ),
            # Holds all that counting by reason asks for, the status too, so that it reads no rows; and what
            # the search and the filter by kind look at.
            models.Index(
                fields=["project", "status", "review_reason", "annotator", "id", "prompt", "kind"],
                condition=Q(status=SubmissionStatus.AWAITING_REVIEW),
                name="submission_waiting_count",
            ),
            models.Index(
                fields=["project", "annotator", "id"],
                condition=Q(status=SubmissionStatus.AWAITING_REVIEW),
                name="submission_waiting_person",
            ),
            models.Index(
                fields=["project", "task", "id"],
                condition=Q(status=SubmissionStatus.AWAITING_REVIEW),
                name="submission_waiting_task",
            ),
            models.Index(
                fields=["project", "agreement", "id"],
                condition=Q(status=SubmissionStatus.AWAITING_REVIEW),
                name="submission_waiting_agreement",
            ),
            models.Index(
                fields=["project", "id"], condition=Q(conflict_open=True), name="submission_conflict_open"
            ),
            # Counts per person, state and review of a whole project, without reading the rows themselves.
            models.Index(
                fields=["project", "annotator", "status", "kind", "verdict"], name="submission_counts"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"

    @property
    def current(self) -> Demonstration | Ranking:
        """The judgment that stands (a query unless prefetched)."""
        if self.kind == TaskKind.DEMONSTRATION:
            return self.demonstrations.get(is_current=True)
        return self.rankings.get(is_current=True)


class JudgmentOrigin(models.TextChoices):
    ORIGINAL = "original", _("As submitted")
    RESUBMISSION = "resubmission", _("Mended by its author")
    FIX = "fix", _("Fixed by a reviewer")
    IMPORT = "import", _("Imported")
    RESTORED = "restored", _("Restored: the fix was taken back")


class Judgment(models.Model):
    """What demonstrations and rankings share: one revision of a submission. Rows are never changed but
    for is_current.
    """

    revision = models.PositiveSmallIntegerField(default=1)
    is_current = models.BooleanField(default=True)
    origin = models.CharField(max_length=14, choices=JudgmentOrigin.choices, default=JudgmentOrigin.ORIGINAL)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    guideline_version = models.ForeignKey(
        GuidelineVersion, models.PROTECT, null=True, related_name="%(class)ss"
    )
    form_version = models.ForeignKey(FormVersion, models.PROTECT, null=True, related_name="%(class)ss")
    # To the form's own questions: {"task": {key: value}, "completions": {"completion id": {key: value}}},
    # without what is empty. Values: true/false, an option's key, a list of keys, a whole number, text.
    answers = models.JSONField(default=dict, blank=True)
    active_seconds = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ["revision"]
        constraints = [
            models.UniqueConstraint(fields=["submission", "revision"], name="%(class)s_revision_once"),
            models.UniqueConstraint(
                fields=["submission"], condition=Q(is_current=True), name="%(class)s_one_current"
            ),
        ]


class Demonstration(Judgment):
    """An answer written by a person."""

    submission = models.ForeignKey(Submission, models.PROTECT, related_name="demonstrations")
    text = models.TextField()
    # Characters that came in by paste or drop, as the page counted them; None where nobody counted.
    pasted_characters = models.PositiveIntegerField(null=True, blank=True)
    # What the project's checks warned of and its author submitted anyway:
    # [{"check", "kind", "start", "end", "message"}], code points of `text`.
    warnings = models.JSONField(default=list, blank=True)
    # The model's answer that its author started from; None where they began with an empty page.
    started_from = models.ForeignKey(Completion, models.PROTECT, null=True, related_name="edited_as")

    # The prompt that was written together with this answer; None where the task had one.
    prompt = models.ForeignKey(Prompt, models.PROTECT, null=True, related_name="written_by")

    def __str__(self) -> str:
        return self.text[:80]


class Ranking(Judgment):
    """One person's weak order over a task's completions.

    `tiers` is best first; completions in one tier are tied: [[id], [id, id], ...]. `unrankable` holds
    the rest.
    `margins[i]` says how much better tier i is than tier i+1: "significantly", "clearly", "slightly",
    "negligibly".
    """

    submission = models.ForeignKey(Submission, models.PROTECT, related_name="rankings")
    tiers = models.JSONField()
    unrankable = models.JSONField(default=list, blank=True)
    # Why: {"completion id": {"reason": a key of judgments.UNRANKABLE_REASONS, "note": "…"}}
    unrankable_reasons = models.JSONField(default=dict, blank=True)
    margins = models.JSONField(default=list, blank=True)
    scores = models.JSONField(default=dict, blank=True)  # {"completion id": a step of the form's scale}
    flags = models.JSONField(default=dict, blank=True)  # {"completion id": [flag keys]}
    presented_order = models.JSONField(default=list, blank=True)  # completion ids, first shown first
    shuffle_seed = models.BigIntegerField(null=True, blank=True)
    touched = models.JSONField(default=list, blank=True)  # completion ids the person moved
    rationale = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"ranking of {sum(map(len, self.tiers))} completions"


class SubmissionReceipt(models.Model):
    """Makes a submit repeatable: the same key and body is answered alike, another body is refused."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    idempotency_key = models.CharField(max_length=80)
    body_sha256 = models.CharField(max_length=64)
    submission = models.ForeignKey(Submission, models.PROTECT, related_name="receipts")
    revision = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "idempotency_key"], name="receipt_key_once")]

    def __str__(self) -> str:
        return f"receipt {self.idempotency_key}"
