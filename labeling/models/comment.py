from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from .batch import Task
from .project import Project
from .submission import Submission


class CommentThread(models.Model):
    """What an annotator and the leads say to each other about one person's work on one task, from the moment
    it is in their hands; or about an imported judgment. Open until somebody says that it is settled; a new
    comment opens it again.
    """

    project = models.ForeignKey(Project, models.PROTECT, related_name="comment_threads")
    task = models.ForeignKey(Task, models.PROTECT, null=True, related_name="comment_threads")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    # Of imported judgments, and where the thread began after submitting; talk.submission_of finds it always.
    submission = models.OneToOneField(
        Submission, models.PROTECT, null=True, blank=True, related_name="comment_thread"
    )
    is_open = models.BooleanField(default=True)
    started_at = models.DateTimeField(auto_now_add=True)
    last_comment_at = models.DateTimeField()
    last_author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    resolved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-last_comment_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["task", "person"], condition=Q(task__isnull=False), name="comment_thread_once"
            ),
            models.CheckConstraint(
                condition=Q(submission__isnull=False) | (Q(task__isnull=False) & Q(person__isnull=False)),
                name="comment_thread_has_subject",
            ),
        ]
        indexes = [
            models.Index(
                fields=["project", "last_comment_at"], condition=Q(is_open=True), name="comment_threads_open"
            )
        ]

    def __str__(self) -> str:
        return f"comments on task {self.task_id}" if self.task_id else f"comments on {self.submission_id}"


class Comment(models.Model):
    """Never changed or deleted: others have acted on it."""

    thread = models.ForeignKey(CommentThread, models.CASCADE, related_name="comments")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    text = models.TextField()  # Markdown, sanitised when shown
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"comment {self.pk} by {self.author}"
