"""REST: what the project's checks say of an answer before it is submitted."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from annotate.api.bodies import valid_input
from annotate.errors import Invalid
from labeling.live_check import check_while_typing
from labeling.models import TaskKind
from labeling.permissions import Action
from labeling.services.answer_checks import CHECKS
from labeling.services.judgments import LONGEST_ANSWER

from .work import SLOT, Assignments


class AnswerInput(serializers.Serializer):
    text = serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=LONGEST_ANSWER)
    of = serializers.ChoiceField(
        choices=["answer", "prompt"],
        default="answer",
        help_text="prompt: the text is the prompt that you write, where the task `writes_prompt`.",
    )
    prompt = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        trim_whitespace=False,
        max_length=LONGEST_ANSWER,
        help_text="What you ask so far, for the check of an answer that repeats it.",
    )


class RemarkOutput(serializers.Serializer):
    check = serializers.ChoiceField(choices=list(CHECKS.items()), help_text="Name it to confirm a warning.")
    of = serializers.ChoiceField(choices=["text", "prompt"], help_text="The field it is about.")
    title = serializers.CharField(help_text="The check's name for people.")
    action = serializers.ChoiceField(
        choices=["warn", "refuse"], help_text="warn: the submission asks once; refuse: it is not taken."
    )
    kind = serializers.CharField(help_text="Finer than the check: email, phone, card …")
    message = serializers.CharField()
    start = serializers.IntegerField(help_text="First code point of the stretch in the text.")
    end = serializers.IntegerField(help_text="One beyond the last code point.")
    quote = serializers.CharField(help_text="How the stretch begins.")


class TokensOutput(serializers.Serializer):
    count = serializers.IntegerField()
    is_estimate = serializers.BooleanField(
        help_text="false: counted by the tokenizer of the project's model."
    )


class AnswerCheckOutput(serializers.Serializer):
    remarks = RemarkOutput(many=True)
    left_out = serializers.IntegerField(help_text="Remarks beyond those listed.")
    characters = serializers.IntegerField()
    tokens = TokensOutput()


class AnswerChecks(Assignments):
    policy = {"check": Action.WORK}

    @extend_schema(
        request=AnswerInput,
        responses=AnswerCheckOutput,
        examples=[
            OpenApiExample("An address", value={"text": "Write to ann@example.org."}, request_only=True)
        ],
    )
    def check(self, request, slug, pk):
        """What would be warned of or refused if this answer were submitted, and its length. Stores
        nothing.
        """
        assignment = self._assignment(pk, own=False)
        if assignment.kind != TaskKind.DEMONSTRATION:
            raise Invalid("This task asks for a ranking.", field="text")
        data = valid_input(AnswerInput, request)
        return Response(check_while_typing(assignment=assignment, user=request.user, **data).as_json())


urlpatterns = [
    path(f"{SLOT}checks/", AnswerChecks.as_view({"post": "check"}), name="api_answer_checks"),
]
