"""Shapes of the hand-out's requests and answers: input and output apart, nothing but form."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from labeling import handout_reasons
from labeling.models import (
    Assignment,
    AssignmentStatus,
    Layout,
    SkipReason,
    SubmissionReceipt,
    Task,
    TaskKind,
)
from labeling.services.blind import opaque_number
from labeling.services.judgments import LONGEST_ANSWER, LONGEST_RATIONALE, UNRANKABLE_REASONS
from labeling.services.pairwise import NEITHER, STRENGTHS

from .base import LONGEST_KEY

RANKING_EXAMPLE = {
    "fence": 1,
    "tiers": [
        ["0f8fad5b-d9cb-469f-a165-70867728950e"],
        ["7c9e6679-7425-40de-944b-e07fc1f90ae7", "d290f1ee-6c54-4b01-90e6-d701748f0851"],
    ],
    "scores": {
        "0f8fad5b-d9cb-469f-a165-70867728950e": 6,
        "7c9e6679-7425-40de-944b-e07fc1f90ae7": 4,
        "d290f1ee-6c54-4b01-90e6-d701748f0851": 4,
    },
    "unrankable": ["6ba7b810-9dad-41d1-80b4-00c04fd430c8"],
    "unrankable_reasons": {"6ba7b810-9dad-41d1-80b4-00c04fd430c8": {"reason": "wrong_language", "note": ""}},
    "touched": [
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        "d290f1ee-6c54-4b01-90e6-d701748f0851",
    ],
    "idempotency_key": "8a6e0804-2bd0-4672-b79d-d97027f9071a",
}
PAIRWISE_EXAMPLE = {
    "fence": 1,
    "strength": "a_slightly_better",
    "idempotency_key": "0a2f1c4e-55a1-4f0b-9d61-2f6f6a6d7a10",
}
KEY_HEADER = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="New for each submission; the same key and body again is answered alike and stored once.",
)


class NextInput(serializers.Serializer):
    kind = serializers.ChoiceField(choices=TaskKind.choices, required=False, allow_null=True)


class ShownMessage(serializers.Serializer):
    role = serializers.CharField()
    content = serializers.CharField()


class ShownPrompt(serializers.Serializer):
    id = serializers.IntegerField()
    messages = ShownMessage(many=True)


class ShownCompletion(serializers.Serializer):
    id = serializers.UUIDField(help_text="Use this id in tiers, scores and flags.")
    text = serializers.CharField()


class ShownGuideline(serializers.Serializer):
    id = serializers.IntegerField()
    number = serializers.IntegerField()
    is_new = serializers.BooleanField(help_text="Published since the task was handed out, and not read yet.")


class ShownDraft(serializers.Serializer):
    revision = serializers.IntegerField()
    fields = serializers.DictField()


class ShownReturn(serializers.Serializer):
    reviewer = serializers.CharField()
    reasons = serializers.ListField(child=serializers.CharField())
    note = serializers.CharField()
    revision = serializers.IntegerField()


class AssignmentOutput(serializers.Serializer):
    """One task in your hands, with all that you may know of it before you submit."""

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=TaskKind.choices)
    layout = serializers.ChoiceField(choices=Layout.choices)
    status = serializers.ChoiceField(choices=AssignmentStatus.choices)
    task = serializers.IntegerField()
    fence = serializers.IntegerField(help_text="Send it back with the submission.")
    lease_expires_at = serializers.DateTimeField(allow_null=True)
    why = serializers.CharField(help_text="Why this one.")
    prompt = ShownPrompt(help_text="Without messages where the task `writes_prompt`.")
    writes_prompt = serializers.BooleanField(help_text="Write the prompt too: `prompt` of the submission.")
    prompt_language = serializers.CharField(
        help_text="In which it is to be written; empty where any will do."
    )
    completions = ShownCompletion(many=True, help_text="In the order to show them; empty for demonstrations.")
    rules = serializers.DictField(help_text="What bounds this kind of work, in short.")
    form = serializers.DictField(
        help_text="The form version of this lease: id, number and what it asks. Answers go by its keys."
    )
    guideline = ShownGuideline(allow_null=True)
    draft = ShownDraft()
    starting_draft = serializers.CharField(
        allow_null=True, help_text="The model's answer this task starts from: edit it, or write your own."
    )
    returned = ShownReturn(allow_null=True)


class AssignmentRow(serializers.ModelSerializer):
    task = serializers.SerializerMethodField(help_text="A number of its own: not the one that leads use.")
    why = serializers.SerializerMethodField()

    class Meta:
        model = Assignment
        fields = ["id", "kind", "status", "task", "fence", "leased_at", "lease_expires_at", "why"]

    def get_task(self, assignment: Assignment) -> int:
        return opaque_number("task", assignment.task_id)

    def get_why(self, assignment: Assignment) -> str:
        return handout_reasons.explain(assignment)


class SubmitInput(serializers.Serializer):
    """A demonstration has `text`; a ranking has `tiers` and what belongs to it; a pairwise task may have a
    `strength` instead of tiers and margins. `answers` are those to the form's own questions.
    """

    fence = serializers.IntegerField(min_value=0)
    idempotency_key = serializers.CharField(max_length=80, required=False)
    text = serializers.CharField(
        required=False, allow_blank=True, trim_whitespace=False, max_length=LONGEST_ANSWER
    )
    prompt = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        max_length=LONGEST_ANSWER,
        help_text="Demonstration: what you ask, where the task `writes_prompt`.",
    )
    category = serializers.CharField(
        required=False, allow_blank=True, max_length=80, help_text="Of the prompt you write, if you like."
    )
    pasted_characters = serializers.IntegerField(
        min_value=0,
        required=False,
        help_text="Demonstration: characters that came in by paste or drop, where your editor counts them.",
    )
    tiers = serializers.ListField(
        child=serializers.ListField(child=serializers.UUIDField()),
        required=False,
        help_text="Best first; completions in one tier are tied.",
    )
    unrankable = serializers.ListField(child=serializers.UUIDField(), required=False)
    unrankable_reasons = serializers.DictField(
        child=serializers.DictField(),
        required=False,
        help_text="Why, for each of `unrankable`: an object of `reason` ("
        + ", ".join(key for key, _ in UNRANKABLE_REASONS)
        + ") and `note` (needed for `other`).",
    )
    margins = serializers.ListField(child=serializers.CharField(max_length=LONGEST_KEY), required=False)
    scores = serializers.DictField(child=serializers.IntegerField(), required=False)
    flags = serializers.DictField(child=serializers.ListField(), required=False)
    touched = serializers.ListField(
        child=serializers.UUIDField(), required=False, help_text="Completions the person placed themselves."
    )
    rationale = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_RATIONALE)
    notes = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        help_text="Comments on stretches of completions: completion, start, end (code points of the raw "
        "text), comment.",
    )
    confirmed_warnings = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_KEY),
        required=False,
        help_text="Checks whose warnings you have seen: without, an answer that is warned of is not stored "
        "(422 `unconfirmed_warnings`, with the stretches).",
    )
    strength = serializers.ChoiceField(
        choices=[(each.value, each.label) for each in (*STRENGTHS, NEITHER)],
        required=False,
        help_text="Pairwise tasks: which is better, A being the completion shown first.",
    )
    answers = serializers.DictField(
        required=False, help_text='{"task": {key: value}, "completions": {id: {key: value}}}'
    )
    prompt_flags = serializers.ListField(child=serializers.CharField(max_length=LONGEST_KEY), required=False)
    active_seconds = serializers.IntegerField(min_value=0, required=False, default=0)


class ReceiptOutput(serializers.ModelSerializer):
    """What was stored. The same for each repetition under one key."""

    id = serializers.IntegerField(source="submission_id")
    assignment = serializers.IntegerField(source="submission.assignment_id")
    task = serializers.SerializerMethodField()
    kind = serializers.CharField(source="submission.kind")
    submitted_at = serializers.DateTimeField(source="created_at")

    class Meta:
        model = SubmissionReceipt
        fields = ["id", "assignment", "task", "kind", "revision", "idempotency_key", "submitted_at"]

    def get_task(self, receipt: SubmissionReceipt) -> int | None:
        task_id = receipt.submission.task_id
        return None if task_id is None else opaque_number("task", task_id)


class DraftInput(serializers.Serializer):
    revision = serializers.IntegerField(min_value=0, help_text="The revision these words were written on.")
    fields = serializers.DictField(help_text="The form's fields, by name.")
    active_seconds = serializers.IntegerField(min_value=0, required=False, default=0)


class DraftOutput(serializers.Serializer):
    revision = serializers.IntegerField()
    fields = serializers.DictField()
    saved_at = serializers.DateTimeField()


class SkipInput(serializers.Serializer):
    reason = serializers.ChoiceField(choices=SkipReason.offered())
    note = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")
    active_seconds = serializers.IntegerField(min_value=0, required=False, default=0)


class FenceInput(serializers.Serializer):
    fence = serializers.IntegerField(min_value=0)


class TaskOutput(serializers.ModelSerializer):
    submission_count = serializers.IntegerField()
    skip_count = serializers.IntegerField()

    class Meta:
        model = Task
        fields = [
            "id", "batch", "kind", "purpose", "prompt", "status", "overlap", "priority", "parked_at",
            "submission_count", "skip_count", "created_at", "done_at",
        ]  # fmt: skip
