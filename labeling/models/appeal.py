from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotate.words import _

from .project import Project
from .review import Review
from .submission import Submission


class AppealStatus(models.TextChoices):
    """open → upheld | overturned (by a reviewer) | withdrawn (by its author, or because they mended it).

    What an outcome does to the submission whose decision was appealed:

    | appealed | while open              | upheld           | overturned                                  |
    |----------|-------------------------|------------------|---------------------------------------------|
    | fixed    | the fix counts          | the fix counts   | accepted, its author's text as new revision |
    | returned | returned, not handed out| handed out again | accepted as it is                           |
    | rejected | rejected                | rejected         | accepted, its slot counts again             |

    An overturned decision no longer stands (`reopened_at`) and a Review "accepted" for the reason "appealed"
    follows it. All outcomes are terminal: a submission is appealed once, whatever becomes of it later.
    """

    OPEN = "open", _("Waits for a reviewer")
    UPHELD = "upheld", _("Upheld")  # the decision stands
    OVERTURNED = "overturned", _("Overturned")  # the author was right
    WITHDRAWN = "withdrawn", _("Withdrawn")


class AppealQuerySet(models.QuerySet):
    def open(self) -> AppealQuerySet:
        return self.filter(status=AppealStatus.OPEN)


class Appeal(models.Model):
    """An author's one objection to a decision on their work."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="appeals")
    # One-to-one: nobody appeals twice, and two tabs at once make one appeal.
    submission = models.OneToOneField(Submission, models.PROTECT, related_name="appeal")
    review = models.OneToOneField(Review, models.PROTECT, related_name="appeal")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="appeals")
    text = models.TextField()
    status = models.CharField(max_length=12, choices=AppealStatus.choices, default=AppealStatus.OPEN)
    note = models.TextField(blank=True)  # of whoever decided on it
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    # The reviewer of the decision itself decided, because the project has no other.
    is_by_same_reviewer = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    objects = AppealQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="open", decided_at=None, decided_by=None)
                | Q(status="withdrawn", decided_at__isnull=False)
                | Q(status__in=["upheld", "overturned"], decided_at__isnull=False, decided_by__isnull=False),
                name="appeal_decision_fits_status",
            )
        ]
        indexes = [
            models.Index(fields=["project", "id"], condition=Q(status="open"), name="appeal_open"),
        ]

    def __str__(self) -> str:
        return f"appeal against “{self.review}”"

    @property
    def is_open(self) -> bool:
        return self.status == AppealStatus.OPEN
