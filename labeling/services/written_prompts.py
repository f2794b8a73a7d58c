"""Prompts that annotators write together with their answers.

Tasks of such a batch all stand on one blank prompt of the project (Prompt.BLANK), since nobody knows yet what
will be asked. What somebody writes becomes a prompt of its own, to which the submission belongs, so that
datasets, splits and lineage see a demonstration like any other. It is in use while a submission that wrote
it is accepted; until then, and after a rejection, it is archived.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Q
from django.utils import timezone

from annotate.errors import Invalid
from annotate.names import check_name
from annotate.words import _
from labeling.formats import prompt_digest
from labeling.models import (
    Batch,
    Demonstration,
    Project,
    ProjectSettings,
    Prompt,
    Submission,
    SubmissionStatus,
    TaskKind,
)

from .answer_index import index_prompts, is_indexed
from .judgments import LONGEST_ANSWER, clean_line, clean_text
from .prompts import preview_of

LONGEST_CATEGORY = 80
WRITTEN = "written_with_an_answer"  # in a prompt's metadata


def blank_prompt(project: Project) -> Prompt:
    """What tasks stand on whose prompt is still to be written. Archived: it is in no list and no dataset."""
    prompt, _ = Prompt.objects.get_or_create(
        project=project,
        digest=Prompt.BLANK,
        defaults={
            "messages": [],
            "preview": "The annotator writes the prompt",
            "archived_at": timezone.now(),
        },
    )
    return prompt


def messages_of(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def text_of(prompt: Prompt | None) -> str:
    """The words somebody wrote; "" for the blank one."""
    return prompt.messages[-1]["content"] if prompt is not None and prompt.messages else ""


def check_prompt_text(text: Any, settings: ProjectSettings) -> str:
    """As it will be stored. Lengths are refused here where the project refuses them; else
    services.answer_checks warns of them. Raises Invalid (field "prompt").
    """
    if not isinstance(text, str):
        raise Invalid("Must be text.", field="prompt")
    text = clean_text(text, "prompt")
    if not text.strip():
        raise Invalid("The prompt is empty.", field="prompt", hint="Write what a person could ask.")
    least, most = settings.prompt_min_characters, settings.prompt_max_characters
    if len(text) > LONGEST_ANSWER:
        raise Invalid(_("At most %(most)s characters.") % {"most": f"{LONGEST_ANSWER:,}"}, field="prompt")
    if settings.check_length == "refuse" and len(text) < least:
        said = _("At least %(bound)s characters; this prompt has %(size)s.")
        raise _wrong_length(said % {"bound": f"{least:,}", "size": f"{len(text):,}"}, 0, len(text))
    if settings.check_length == "refuse" and len(text) > most:
        said = _("At most %(bound)s characters; this prompt has %(size)s.")
        raise _wrong_length(said % {"bound": f"{most:,}", "size": f"{len(text):,}"}, most, len(text))
    return text


def check_category(category: Any) -> str:
    return check_name(clean_line(category or "", "category", LONGEST_CATEGORY), "category")


def _wrong_length(message: str, start: int, end: int) -> Invalid:
    where = {"field": "prompt", "message": message, "start": start, "end": end, "check": "length"}
    return Invalid(message, field="prompt", details=[where])


def language_of_batch(batch: Batch) -> str:
    """The language in which its prompts are to be written; "" where any will do."""
    return batch.source.get("language", "") if batch.writes_prompt else ""


def store_prompt(*, project: Project, text: str, category: str, language: str = "", author) -> Prompt:
    """The project's prompt of these words, made if it is new; in the caller's transaction.

    Words that the project has already keep the category and language they have there.
    """
    messages = messages_of(text)
    prompt, is_new = Prompt.objects.get_or_create(
        project=project,
        digest=prompt_digest(messages),
        defaults={
            "messages": messages,
            "preview": preview_of(messages),
            "category": category,
            "language": language,
            "metadata": {WRITTEN: True},
            "created_by": author,
            "archived_at": timezone.now(),
        },
    )
    if is_new and is_indexed(project):
        index_prompts(project, [prompt])
    return prompt


def settle_prompts(submission: Submission) -> None:
    """Bring the prompts that this submission wrote, in whatever revision, into use or out of it."""
    if submission.kind != TaskKind.DEMONSTRATION:
        return
    for prompt in Prompt.objects.filter(written_by__submission=submission).distinct():
        if not prompt.metadata.get(WRITTEN):
            continue  # it came from elsewhere: a lead decides on it
        is_used = (
            Submission.objects.filter(prompt=prompt, status=SubmissionStatus.ACCEPTED).exists()
            or prompt.tasks.exists()
            or prompt.completions.exists()
        )
        if is_used == (prompt.archived_at is not None):
            Prompt.objects.filter(pk=prompt.pk).update(archived_at=None if is_used else timezone.now())


def written_in(fields: Mapping[str, Any], batch: Batch) -> dict[str, Any]:
    """Prompt and category of a form's fields or a draft, as submit_demonstration takes them."""
    if not batch.writes_prompt:
        return {}
    return {"prompt": fields.get("prompt", ""), "category": fields.get("category", "")}


def written_anew(
    submission: Submission, before: Demonstration, prompt: str | None, category: str | None
) -> dict[str, Any]:
    """Prompt and category after a reviewer's fix; {} where the task had its prompt. Raises Invalid."""
    if before.prompt_id is None:
        if prompt is not None:
            raise Invalid("This task has its prompt.", field="prompt")
        return {}
    return {
        "prompt": text_of(submission.prompt) if prompt is None else prompt,
        "category": submission.prompt.category if category is None else category,
    }


def batch_prompt_ids(batch: Batch) -> list[int]:
    """The prompts of a batch's tasks in their order, each once; of a batch whose people write them, those of
    the work that was accepted.
    """
    if batch.writes_prompt:
        ids = Submission.objects.filter(task__batch=batch).accepted().order_by("pk").values_list("prompt_id")
    else:
        ids = batch.tasks.order_by("pk").values_list("prompt_id")
    return list(dict.fromkeys(pk for (pk,) in ids))


def answered_by_their_author() -> Q:
    """Prompts that were written with an answer which still counts: nobody is asked for another."""
    written = Demonstration.objects.filter(
        prompt__isnull=False,
        is_current=True,
        submission__status__in=[
            SubmissionStatus.ACCEPTED,
            SubmissionStatus.AWAITING_REVIEW,
            SubmissionStatus.RETURNED,
        ],
    )
    return Q(pk__in=written.values("prompt"))
