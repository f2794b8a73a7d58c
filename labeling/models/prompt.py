from __future__ import annotations

import hashlib
import uuid

from django.conf import settings
from django.db import models

from annotate.words import _

from .imports import ImportRecord
from .project import Project


class PromptQuerySet(models.QuerySet):
    def active(self) -> PromptQuerySet:
        return self.filter(archived_at=None)

    def written(self) -> PromptQuerySet:
        """Without the blank one, on which tasks stand whose prompt is still to be written."""
        return self.exclude(digest=Prompt.BLANK)

    def search(self, text: str) -> PromptQuerySet:
        return self.filter(preview__icontains=text) if text else self


class Prompt(models.Model):
    """What people and models answer: a list of chat messages that does not end with the assistant.

    `digest` is `labeling.formats.prompt_digest(messages)`; the same prompt is stored once per project. One
    prompt a project may be blank (services.written_prompts): no messages, and BLANK for a digest.
    """

    BLANK = "to be written by the annotator"

    project = models.ForeignKey(Project, models.PROTECT, related_name="prompts")
    messages = models.JSONField()  # [{"role": "system"|"user"|"assistant", "content": str}, ...]
    digest = models.CharField(max_length=64)
    preview = models.CharField(max_length=300)  # start of the last user turn, for lists and search
    category = models.CharField(max_length=80, blank=True)
    language = models.CharField(max_length=16, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    import_record = models.ForeignKey(ImportRecord, models.PROTECT, null=True, related_name="prompts")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    objects = PromptQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["project", "digest"], name="prompt_once_per_project")]
        indexes = [models.Index(fields=["project", "category"])]

    def __str__(self) -> str:
        return self.preview


def text_digest(text: str) -> str:
    """SHA-256 of a text, as `Completion.content_sha256`."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class CompletionOrigin(models.TextChoices):
    MODEL = "model", _("Sampled from one of our checkpoints")
    IMPORTED = "imported", _("Imported from a file")
    PERSON = "person", _("Written by a person")


class Completion(models.Model):
    """An answer to be ranked. Annotators never see where it came from before they submit."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="completions")
    prompt = models.ForeignKey(Prompt, models.PROTECT, related_name="completions")
    text = models.TextField(blank=True)
    # Of the text, set when it is written; `verify` holds the text against it.
    content_sha256 = models.CharField(max_length=64, blank=True)
    origin = models.CharField(max_length=10, choices=CompletionOrigin.choices)
    generator = models.CharField(max_length=120, blank=True)  # name of the model, as people know it
    # labeling does not know training's tables: checkpoint and run are referred to by their UUID.
    checkpoint_key = models.UUIDField(null=True, blank=True, db_index=True)
    run_key = models.UUIDField(null=True, blank=True, db_index=True)
    sampling = models.JSONField(default=dict, blank=True)  # temperature, top_p, seed, finish_reason, ...
    # Handing the same sample back twice stores it once; NULLs (imported, written by people) never clash.
    source_key = models.CharField(max_length=120, null=True, blank=True)  # noqa: DJ001
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    import_record = models.ForeignKey(ImportRecord, models.PROTECT, null=True, related_name="completions")
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)  # shown on blind screens
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "source_key"], name="completion_source_once")
        ]

    def __str__(self) -> str:
        return self.text[:80]

    def save(self, *args, **kwargs) -> None:
        if self._state.adding:
            self.content_sha256 = text_digest(self.text)
        super().save(*args, **kwargs)
