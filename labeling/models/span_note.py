from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from .project import Project
from .prompt import Completion
from .submission import Submission


class SpanNote(models.Model):
    """A comment on a stretch of a text: of the answer of a demonstration, or of a completion that was ranked.

    The stretch is `text[start:end]` in Unicode code points of the raw text (not of what Markdown makes of
    it); `quote` is what stood there, so that the note can be read even where the text is not at hand.
    """

    project = models.ForeignKey(Project, models.PROTECT, related_name="span_notes")
    submission = models.ForeignKey(Submission, models.PROTECT, related_name="span_notes")
    # None: the answer of the demonstration itself, in the revision named.
    completion = models.ForeignKey(Completion, models.PROTECT, null=True, related_name="span_notes")
    revision = models.PositiveSmallIntegerField()
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    quote = models.TextField()
    comment = models.TextField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="span_notes")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["start", "end", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(end__gt=F("start")), name="span_note_is_a_stretch"),
        ]
        indexes = [models.Index(fields=["submission", "revision"])]

    def __str__(self) -> str:
        return f"“{self.quote[:40]}”: {self.comment[:40]}"
