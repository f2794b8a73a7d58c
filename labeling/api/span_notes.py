"""REST: notes on stretches of a submission's texts."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.response import Response

from annotate.api.bodies import takes_nothing, valid_input
from annotate.errors import Invalid, NotFound
from labeling import queues
from labeling.models import SpanNote, Submission
from labeling.noted_texts import notes_of
from labeling.permissions import Action, can
from labeling.services import span_notes
from labeling.services.span_notes import LONGEST_COMMENT

from .base import PROJECT, ProjectViewMixin


class SpanNoteOutput(serializers.ModelSerializer):
    completion = serializers.UUIDField(
        source="completion.public_id", default=None, help_text="null: the answer itself."
    )
    author = serializers.CharField(source="author.pseudonym", help_text="Pseudonym.")

    class Meta:
        model = SpanNote
        fields = [
            "id", "submission", "completion", "revision", "start", "end", "quote", "comment", "author",
            "created_at",
        ]  # fmt: skip


class SpanNoteInput(serializers.Serializer):
    """A stretch in Unicode code points of the raw text: `end` is one beyond the last."""

    completion = serializers.UUIDField(required=False, allow_null=True, help_text="Needed for rankings.")
    start = serializers.IntegerField(min_value=0)
    end = serializers.IntegerField(min_value=1)
    comment = serializers.CharField(max_length=LONGEST_COMMENT)


class SpanNoteChange(serializers.Serializer):
    comment = serializers.CharField(max_length=LONGEST_COMMENT)


class SpanNotes(ProjectViewMixin, viewsets.GenericViewSet):
    """Comments on stretches: seen by the submission's author and by leads, changed by who wrote them."""

    serializer_class = SpanNoteOutput
    queryset = SpanNote.objects.none()
    policy = dict.fromkeys(["of_submission", "add", "change", "remove"], Action.VIEW_OWN_WORK)
    own_parameters = {"of_submission": ()}

    @extend_schema(responses=SpanNoteOutput(many=True))
    def of_submission(self, request, slug, pk):
        """The notes that stand on a submission: one's own work, or anybody's for leads."""
        return Response(SpanNoteOutput(notes_of(self._submission(pk)), many=True).data)

    @extend_schema(
        request=SpanNoteInput,
        responses={201: SpanNoteOutput},
        examples=[
            OpenApiExample(
                "On an answer", value={"start": 0, "end": 5, "comment": "Which Paris?"}, request_only=True
            )
        ],
    )
    def add(self, request, slug, pk):
        """Comment on a stretch of the answer, or of one of the completions that were ranked."""
        submission = self._submission(pk)
        data = valid_input(SpanNoteInput, request)
        completion = self._completion(submission, data.pop("completion", None))
        note = span_notes.add_note(submission=submission, author=request.user, completion=completion, **data)
        return Response(SpanNoteOutput(note).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        request=SpanNoteChange,
        responses=SpanNoteOutput,
        examples=[OpenApiExample("Other words", value={"comment": "Say which one."}, request_only=True)],
    )
    def change(self, request, slug, pk):
        """Other words for one's own note."""
        note = self._own(pk)
        data = valid_input(SpanNoteChange, request)
        return Response(
            SpanNoteOutput(span_notes.change_note(note=note, acting_user=request.user, **data)).data
        )

    @takes_nothing(responses={204: None})
    def remove(self, request, slug, pk):
        """Take back one's own note."""
        span_notes.remove_note(note=self._own(pk), acting_user=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _submission(self, pk: int) -> Submission:
        rows = self.project.submissions.filter(pk=pk)
        if not can(self.membership, Action.REVIEW):
            rows = rows.filter(annotator=self.request.user)
        submission = rows.first()
        if submission is None:
            raise NotFound("There is no such submission.")
        return submission

    def _completion(self, submission: Submission, public_id) -> int | None:
        if public_id is None:
            return None
        for completion in queues.completions_of(submission):
            if completion.public_id == public_id:
                return completion.pk
        raise Invalid("Is not part of this submission.", field="completion")

    def _own(self, pk: int) -> SpanNote:
        note = SpanNote.objects.filter(project=self.project, author=self.request.user, pk=pk).first()
        if note is None:
            raise NotFound("There is no such note of yours.")
        return note


urlpatterns = [
    path(
        f"{PROJECT}submissions/<int:pk>/notes/",
        SpanNotes.as_view({"get": "of_submission", "post": "add"}),
        name="api_span_notes",
    ),
    path(
        f"{PROJECT}span-notes/<int:pk>/",
        SpanNotes.as_view({"patch": "change", "delete": "remove"}),
        name="api_span_note",
    ),
]
