"""REST: checkpoints and rounds."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import django_filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.response import Response

from annotate.api.bodies import takes_nothing, valid_input
from annotate.errors import NotFound
from annotate.streaming import stream_file
from labeling.api.base import AnyAccept, ProjectRows
from labeling.permissions import Action
from training.api import serializers as shapes
from training.api.orders import ORDER_KEY, code_of, order_of
from training.models import Checkpoint, Round, TrainingRun
from training.services import rounds as round_service
from training.services.checkpoints import open_archive, set_pinned
from training.services.exporting import export_checkpoint
from training.services.lineage import descendants
from training.services.orders import Order, place
from training.services.scoring import score_completions


class CheckpointFilter(django_filters.FilterSet):
    stage = django_filters.CharFilter(field_name="run__stage")
    run_number = django_filters.NumberFilter(field_name="run__number")
    is_present = django_filters.BooleanFilter(field_name="removed_at", lookup_expr="isnull")

    class Meta:
        model = Checkpoint
        fields = ["kind", "run", "is_best", "is_final", "is_pinned"]


@extend_schema(tags=["checkpoints"])
class Checkpoints(ProjectRows):
    """Saved weights."""

    serializer_class = shapes.CheckpointSerializer
    policy = {
        "list": Action.VIEW_RUNS,
        "retrieve": Action.VIEW_RUNS,
        "descendants": Action.VIEW_RUNS,
        "download": Action.DOWNLOAD_CHECKPOINTS,
        "pin": Action.LAUNCH_RUNS,
        "unpin": Action.LAUNCH_RUNS,
        "score": Action.LAUNCH_RUNS,
        "export": Action.LAUNCH_RUNS,
    }
    filterset_class = CheckpointFilter
    search_fields = ["run__name"]
    ordering_fields = ["created_at", "step", "size_bytes"]
    queryset = Checkpoint.objects.none()
    lookup_value_regex = "[0-9a-f-]{36}"

    def get_queryset(self):
        return self.project.checkpoints.select_related("run__project").order_by("-created_at", "-step")

    @extend_schema(
        summary="Download the folder as a tar archive",
        parameters=[
            OpenApiParameter("with", str, description="“optimizer” adds what training needs to go on.")
        ],
        responses={(200, "application/x-tar"): OpenApiTypes.BINARY},
    )
    @action(detail=True, methods=["get"], content_negotiation_class=AnyAccept)
    def download(self, request, slug, pk):
        """Streamed, after every digest was compared."""
        filename, pieces = open_archive(
            checkpoint=self.get_object(),
            acting_user=request.user,
            with_optimizer=request.query_params.get("with") == "optimizer",
        )
        return stream_file(request._request, pieces, filename=filename, media_type="application/x-tar")

    @extend_schema(summary="What was made with a checkpoint", responses=shapes.DescendantsSerializer)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def descendants(self, request, slug, pk):
        """Runs that read it (the newest 200), completions sampled from it, and completions it has scored."""
        return Response(shapes.DescendantsSerializer(descendants(self.get_object())).data)

    @takes_nothing(summary="Keep a checkpoint", responses=shapes.CheckpointSerializer)
    @action(detail=True, methods=["post"])
    def pin(self, request, slug, pk):
        return self._pinned(request, True)

    @takes_nothing(summary="Let retention remove it", responses=shapes.CheckpointSerializer)
    @action(detail=True, methods=["post"])
    def unpin(self, request, slug, pk):
        return self._pinned(request, False)

    @takes_nothing(
        summary="Score what people rank with a reward model",
        parameters=[ORDER_KEY],
        responses={200: shapes.RunSerializer, 201: shapes.RunSerializer},
    )
    @action(detail=True, methods=["post"])
    def score(self, request, slug, pk):
        """Queue a run that scores every completion of a ranking task which this reward model has not scored.

        Rankings it contradicts with confidence come before reviewers as “model disagrees”; none is changed.
        409 `nothing_to_score` and `scoring_under_way` where there is nothing to do.
        """
        given = {"project": self.project, "checkpoint": self.get_object(), "acting_user": request.user}
        return self._ordered(request, {}, lambda order: score_completions(**given, order=order))

    @extend_schema(
        summary="Export a checkpoint for other tools",
        parameters=[ORDER_KEY],
        request=shapes.ExportSerializer,
        responses={200: shapes.RunSerializer, 201: shapes.RunSerializer},
        examples=[
            OpenApiExample(
                "For llama.cpp", value={"format": "gguf", "license": "apache-2.0"}, request_only=True
            )
        ],
    )
    @action(detail=True, methods=["post"])
    def export(self, request, slug, pk):
        """Queue a run that writes safetensors, ONNX or GGUF, reads it again and compares it.

        What a format cannot hold is refused at once. Download the result at `runs/ID/export/`.
        """
        values = valid_input(shapes.ExportSerializer, request)
        given = {"project": self.project, "checkpoint": self.get_object(), "acting_user": request.user}
        return self._ordered(
            request, values, lambda order: export_checkpoint(**given, values=values, order=order)
        )

    def _ordered(self, request, data: dict[str, Any], create: Callable[[Order], TrainingRun]) -> Response:
        run, is_new = place(order_of(self, request, data), create, itemgetter(0))
        return Response(shapes.RunSerializer(run).data, status=code_of(is_new))

    def _pinned(self, request, is_pinned: bool) -> Response:
        found = set_pinned(checkpoint=self.get_object(), is_pinned=is_pinned, acting_user=request.user)
        return Response(self.get_serializer(found).data)


@extend_schema(tags=["rounds"])
class Rounds(ProjectRows):
    """Turns of the loop; named by their number."""

    serializer_class = shapes.RoundSerializer
    policy = {
        "list": Action.VIEW_RUNS,
        "retrieve": Action.VIEW_RUNS,
        "create": Action.MANAGE_ROUNDS,
        "advance": Action.MANAGE_ROUNDS,
        "cancel": Action.MANAGE_ROUNDS,
        "start_step": Action.MANAGE_ROUNDS,
    }
    filterset_fields = ["status"]
    ordering_fields = ["number"]
    queryset = Round.objects.none()
    lookup_field = "number"
    lookup_value_regex = "[0-9]{1,9}"

    def get_queryset(self):
        rows = self.project.rounds.order_by("-number")
        return rows if self.action == "list" else rows.prefetch_related("steps__dataset_version")

    def _detail(self, round: Round, code: int = status.HTTP_200_OK) -> Response:
        return Response(shapes.RoundDetailSerializer(self.get_queryset().get(pk=round.pk)).data, status=code)

    @extend_schema(summary="One round with its steps", responses=shapes.RoundDetailSerializer)
    def retrieve(self, request, slug, number):
        return Response(shapes.RoundDetailSerializer(self.get_object()).data)

    @extend_schema(
        summary="Begin a round",
        parameters=[ORDER_KEY],
        request=shapes.NewRoundSerializer,
        responses={200: shapes.RoundDetailSerializer, 201: shapes.RoundDetailSerializer},
        examples=[
            OpenApiExample(
                "From the demonstrations there are",
                value={"plan": {"base_model": "tiny", "ranking_prompts": 50, "sft_preset": "tiny-demo"}},
                request_only=True,
            )
        ],
    )
    def create(self, request, slug):
        data = valid_input(shapes.NewRoundSerializer, request)
        given = {"project": self.project, "plan": data["plan"], "acting_user": request.user}
        round, is_new = place(
            order_of(self, request, data),
            lambda order: round_service.create_round(**given, order=order),
            itemgetter(0),
        )
        return self._detail(round, code_of(is_new))

    @takes_nothing(summary="Look whether a round can go on", responses=shapes.RoundDetailSerializer)
    @action(detail=True, methods=["post"])
    def advance(self, request, slug, number):
        """Safe at any time; rounds also go on by themselves."""
        round = self.get_object()
        round_service.advance_round(round_id=round.pk)
        return self._detail(round)

    @takes_nothing(summary="End a round", responses=shapes.RoundDetailSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request, slug, number):
        return self._detail(round_service.cancel_round(round=self.get_object(), acting_user=request.user))

    @takes_nothing(
        summary="Start a step by hand, or retry it",
        parameters=[OpenApiParameter("kind", str, OpenApiParameter.PATH)],
        responses=shapes.RoundDetailSerializer,
    )
    @action(detail=True, methods=["post"], url_path="steps/(?P<kind>[a-z_]{1,20})/start")
    def start_step(self, request, slug, number, kind):
        round = self.get_object()
        step = round.steps.filter(kind=kind).select_related("round__project", "run").first()
        if step is None:
            raise NotFound("This round has no such step.")
        round_service.start_step(step=step, acting_user=request.user)
        return self._detail(round)
