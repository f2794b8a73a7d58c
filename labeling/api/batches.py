"""REST: batches."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.response import Response

from annotate.api.bodies import takes_nothing, valid_input
from labeling import reports
from labeling.models import Batch, Layout, TaskKind, TaskPurpose
from labeling.permissions import Action
from labeling.services import batches

from .base import LIST_CREATE, ONE, PROJECT, ProjectRows


class BatchSerializer(serializers.ModelSerializer):
    slot_count = serializers.IntegerField(read_only=True)
    submitted_count = serializers.IntegerField(read_only=True)
    in_work_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = Batch
        fields = [
            "id",
            "name",
            "kind",
            "layout",
            "purpose",
            "status",
            "overlap",
            "priority",
            "review_rate",
            "starts_from_draft",
            "writes_prompt",
            "deadline_at",
            "created_at",
            "closed_at",
            "slot_count",
            "submitted_count",
            "in_work_count",
        ]


class BatchInput(serializers.Serializer):
    name = serializers.CharField(max_length=120)
    kind = serializers.ChoiceField(choices=TaskKind.choices)
    limit = serializers.IntegerField(min_value=1, max_value=100_000, default=100, help_text="Tasks at most.")
    category = serializers.CharField(required=False, allow_blank=True, default="", max_length=80)
    language = serializers.CharField(
        max_length=16, required=False, allow_blank=True, default="", help_text="Of prompts, as in `de`."
    )
    layout = serializers.ChoiceField(
        choices=Layout.choices,
        default=Layout.RANKING,
        help_text="Of rankings: pairwise shows two completions and asks which is better, and by how much.",
    )
    completions_per_task = serializers.IntegerField(min_value=2, max_value=9, required=False)
    overlap = serializers.IntegerField(min_value=1, max_value=20, required=False)
    review_rate = serializers.FloatField(min_value=0, max_value=1, required=False)
    priority = serializers.IntegerField(min_value=-100, max_value=100, default=0)
    starts_from_draft = serializers.BooleanField(
        default=False,
        help_text="Demonstrations: who writes edits the newest model's answer, where there is one.",
    )
    writes_prompt = serializers.BooleanField(
        default=False,
        help_text="Demonstrations: `limit` tasks without a prompt; who answers writes it too.",
    )
    deadline_at = serializers.DateTimeField(required=False, allow_null=True)
    purpose = serializers.ChoiceField(
        choices=TaskPurpose.choices,
        default="work",
        help_text="work, calibration (the same tasks to everybody) or screening (those not qualified yet).",
    )


class Batches(ProjectRows):
    serializer_class = BatchSerializer
    policy = dict.fromkeys(["list", "retrieve", "create", "pause", "resume", "close"], Action.MANAGE_BATCHES)
    filterset_fields = ["kind", "layout", "status"]
    search_fields = ["name"]
    ordering_fields = ["created_at", "priority", "name"]
    queryset = Batch.objects.none()

    def get_queryset(self):
        return reports.with_progress(self.project.batches.all()).order_by("-id")

    @extend_schema(
        request=BatchInput,
        responses={201: BatchSerializer},
        examples=[
            OpenApiExample(
                "Rank what nobody has ranked yet",
                value={
                    "name": "Round 1 rankings",
                    "kind": "ranking",
                    "completions_per_task": 4,
                    "overlap": 2,
                },
                request_only=True,
            )
        ],
    )
    def create(self, request, slug):
        """A batch of prompts without a demonstration task, or of completions that nobody ranks yet."""
        data = valid_input(BatchInput, request)
        batch = batches.create_batch_from_waiting(project=self.project, acting_user=request.user, **data)
        return self._answer(batch, status.HTTP_201_CREATED)

    def _answer(self, batch: Batch, code: int = 200) -> Response:
        return Response(BatchSerializer(self.get_queryset().get(pk=batch.pk)).data, status=code)

    @takes_nothing(responses=BatchSerializer)
    def pause(self, request, slug, pk):
        return self._answer(batches.pause_batch(batch=self.get_object(), acting_user=request.user))

    @takes_nothing(responses=BatchSerializer)
    def resume(self, request, slug, pk):
        return self._answer(batches.resume_batch(batch=self.get_object(), acting_user=request.user))

    @takes_nothing(responses=BatchSerializer)
    def close(self, request, slug, pk):
        """Hand out nothing more from this batch. What was submitted stays."""
        return self._answer(batches.close_batch(batch=self.get_object(), acting_user=request.user))


urlpatterns = [
    path(f"{PROJECT}batches/", Batches.as_view(LIST_CREATE), name="api_batches"),
    path(f"{PROJECT}batches/<int:pk>/", Batches.as_view(ONE), name="api_batch"),
    *(
        path(f"{PROJECT}batches/<int:pk>/{verb}/", Batches.as_view({"post": verb}), name=f"api_batch_{verb}")
        for verb in ("pause", "resume", "close")
    ),
]
