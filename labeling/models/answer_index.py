from __future__ import annotations

from django.db import models

from .project import Project
from .prompt import Prompt
from .submission import Submission


class AnswerIndex(models.Model):
    """That a project's answers can be searched for near duplicates. Exists while the check is on.

    Answers given from then on are indexed as they are stored; those from before by a background job, which
    says here when it is through.
    """

    project = models.OneToOneField(Project, models.CASCADE, related_name="answer_index")
    created_at = models.DateTimeField(auto_now_add=True)
    complete_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"index of the answers of {self.project_id}"


class AnswerBand(models.Model):
    """One band of an answer's MinHash (labeling.checks.near_duplicates): answers that share a key may be
    alike. A derived row: it can be made again from the answer at any time.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="+", db_index=False)
    submission = models.ForeignKey(Submission, models.CASCADE, related_name="answer_bands")
    key = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["project", "key"], name="answer_band_lookup")]

    def __str__(self) -> str:
        return f"band {self.key} of submission {self.submission_id}"


class PromptBand(models.Model):
    """The same of the last message of a prompt, against which prompts that people write are held."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="+", db_index=False)
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="bands")
    key = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["project", "key"], name="prompt_band_lookup")]

    def __str__(self) -> str:
        return f"band {self.key} of prompt {self.prompt_id}"
