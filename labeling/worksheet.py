"""Everything a person needs before them to do one assignment: for the work screen and for the API alike.

Completions go by their public ids here, in the order stored for this person; nothing tells where they come
from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotate.prepared import Prepared
from labeling import handout_reasons
from labeling.models import (
    Assignment,
    AssignmentStatus,
    Completion,
    Demonstration,
    Draft,
    FormDefinition,
    FormVersion,
    GuidelineVersion,
    Project,
    ProjectSettings,
    Review,
    Submission,
    TaskKind,
)
from labeling.noted_texts import notes_of
from labeling.services.answers import answers_to_fields
from labeling.services.blind import (
    RANKING_FIELDS,
    completions_in_order,
    notes_to_public,
    opaque_number,
    ranking_to_public,
)
from labeling.services.draft_shapes import readable_fields
from labeling.services.forms import current_version
from labeling.services.judgments import margin_choices
from labeling.services.slots import DRAFT
from labeling.services.written_prompts import language_of_batch, text_of

LENGTHS = ("response_min_characters", "response_max_characters")
PROMPT_LENGTHS = ("prompt_min_characters", "prompt_max_characters")
RANKING_RULES = ("require_scores", "ask_margins", "require_rationale", "allow_ties", "allow_neither")


@dataclass(frozen=True)
class Worksheet:
    """One assignment in a person's hands. `completions` is empty for a demonstration."""

    assignment: Assignment
    completions: list[Completion]
    draft: Draft | None
    guideline: GuidelineVersion | None  # in force now
    is_guideline_new: bool  # published since the task was handed out
    version: FormVersion  # the form of this lease
    submission: Submission | None  # of returned work: what was submitted before
    returned: Review | None  # the review that returned it
    fields: dict[str, Any]  # what the form starts from: the draft, else what was returned

    @property
    def settings(self) -> ProjectSettings:
        return self.assignment.project.settings

    @property
    def form(self) -> FormDefinition:
        return self.version.definition

    @property
    def why(self) -> str:
        return handout_reasons.explain(self.assignment)

    @property
    def tells_why(self) -> bool:
        """Whether the reason is news to the person; that a peer has judged the task is none of theirs."""
        return self.assignment.presentation.get("why") in ("returned", "own_draft", "late")

    @property
    def starting_draft(self) -> str | None:
        """The model's answer that this task starts from; which model wrote it is told to nobody here."""
        draft = self.assignment.task.starting_draft
        return draft.text if draft is not None else None

    @property
    def writes_prompt(self) -> bool:
        return self.assignment.batch.writes_prompt

    @property
    def prompt_language(self) -> str:
        """The language that the prompt is to be written in; "" where any will do."""
        return language_of_batch(self.assignment.batch)

    @property
    def margins(self) -> list[dict[str, str]]:
        return margin_choices(self.form)

    @property
    def rules(self) -> dict[str, Any]:
        """What bounds this kind of work: of the project's settings and of the form, in short."""
        flags = {
            name: [flag.to_json() for flag in getattr(self.form, name)]
            for name in ("prompt_flags", "completion_flags")
        }
        if self.assignment.kind == TaskKind.DEMONSTRATION:
            lengths = (*LENGTHS, *PROMPT_LENGTHS) if self.writes_prompt else LENGTHS
            bounds = {name: getattr(self.settings, name) for name in lengths}
            return bounds | {"prompt_flags": flags["prompt_flags"]}
        return {name: getattr(self.form, name) for name in RANKING_RULES} | flags


GUIDELINE = Prepared(
    lambda project, kind: GuidelineVersion.objects.filter(
        guideline__project=project, guideline__kind=kind
    ).order_by("-number")[:1],
    project=int,
    kind=str,
)


def open_worksheet(*, assignment: Assignment, user, project: Project) -> Worksheet:
    """What lies on the desk of the person who holds this assignment. At most eight queries."""
    assignment.project = project
    completions = []
    if assignment.kind == TaskKind.RANKING:
        completions = completions_in_order(assignment.presentation.get("order", []))
    draft = DRAFT.first(task=assignment.task_id, user=user.pk)
    submission = None
    if assignment.fence > 1 or assignment.status == AssignmentStatus.RETURNED:
        submission = Submission.objects.filter(assignment=assignment).first()
    returned = None
    if submission is not None:
        returned = submission.reviews.select_related("reviewer").order_by("-pk").first()
    guideline = GUIDELINE.first(project=project.pk, kind=str(assignment.kind))
    is_new = (
        guideline is not None
        and guideline.pk != assignment.guideline_version_id
        and not guideline.acknowledgements.filter(user=user).exists()
    )
    fields = (readable_fields(draft) if draft is not None else {}) or _fields_of(submission, completions)
    started_from = assignment.task.starting_draft
    if started_from is not None and not fields:
        fields = {"text": started_from.text}
    if assignment.batch.writes_prompt and not fields:
        fields = {"category": assignment.batch.source.get("category", "")}
    return Worksheet(
        assignment=assignment,
        completions=completions,
        draft=draft,
        guideline=guideline,
        is_guideline_new=is_new,
        version=assignment.form_version or current_version(project, assignment.batch.layout),
        submission=submission,
        returned=returned,
        fields=fields,
    )


def _fields_of(submission: Submission | None, completions: list[Completion]) -> dict[str, Any]:
    """The form's fields as they were submitted before."""
    if submission is None:
        return {}
    current = submission.current
    if isinstance(current, Demonstration):
        answers = answers_to_fields(current.answers, {})
        counted = current.pasted_characters
        pasted = {} if counted is None else {"pasted_characters": str(counted)}
        written = {}
        if current.prompt_id is not None:
            written = {"prompt": text_of(submission.prompt), "category": submission.prompt.category}
        return {"text": current.text, "prompt_flags": submission.prompt_flags, **written, **answers, **pasted}
    names = {str(each.public_id): each.pk for each in completions}
    values = {name: getattr(current, name) for name in (*RANKING_FIELDS, "answers")}
    own = notes_of(submission).filter(author=submission.annotator_id, completion__isnull=False)
    notes = [
        {"completion": each.completion_id, "start": each.start, "end": each.end, "comment": each.comment}
        for each in own
    ]
    return ranking_to_public(values, names, as_text=True) | {
        "prompt_flags": submission.prompt_flags,
        "notes": notes_to_public(notes, names),
    }


def as_json(sheet: Worksheet) -> dict[str, Any]:
    """The worksheet as the API answers it; also documents what an annotator may see."""
    assignment = sheet.assignment
    guideline = sheet.guideline
    returned = sheet.returned
    return {
        "id": assignment.pk,
        "kind": assignment.kind,
        "layout": assignment.batch.layout,
        "status": assignment.status,
        "task": opaque_number("task", assignment.task_id),
        "fence": assignment.fence,
        "lease_expires_at": assignment.lease_expires_at,
        "why": sheet.why,
        "prompt": {
            "id": opaque_number("prompt", assignment.task.prompt_id),
            "messages": assignment.task.prompt.messages,
        },
        "writes_prompt": sheet.writes_prompt,
        "prompt_language": sheet.prompt_language,
        "completions": [{"id": str(each.public_id), "text": each.text} for each in sheet.completions],
        "rules": sheet.rules,
        "form": {"id": sheet.version.pk, "number": sheet.version.number, **sheet.form.to_json()},
        "guideline": guideline
        and {"id": guideline.pk, "number": guideline.number, "is_new": sheet.is_guideline_new},
        "draft": {"revision": sheet.draft.revision if sheet.draft else 0, "fields": sheet.fields},
        "starting_draft": sheet.starting_draft,
        "returned": returned
        and {
            "reviewer": str(returned.reviewer),
            "reasons": returned.reasons,
            "note": returned.note,
            "revision": returned.revision,
        },
    }


def is_in_hand(assignment: Assignment, user) -> bool:
    """Whether this person may work on the slot now, or take it up again."""
    return assignment.annotator_id == user.pk and assignment.status in (
        AssignmentStatus.LEASED,
        AssignmentStatus.RETURNED,
    )
