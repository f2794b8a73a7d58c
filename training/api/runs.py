"""REST: stages, presets, runs and sampling."""

from __future__ import annotations

from operator import itemgetter
from typing import Any, ClassVar

import django_filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from annotate.api.bodies import takes_nothing, valid_input
from annotate.api.filters import refuse_unknown
from annotate.errors import Invalid, NotFound
from annotate.streaming import stream_file
from annotate.words import _
from labeling.api.base import AnyAccept, ProjectRows, ProjectViewMixin
from labeling.permissions import Action
from training.api import serializers as shapes
from training.api.orders import ORDER_KEY, code_of, order_of
from training.models import Preset, Stage, TrainingRun
from training.rlhf.config import PRESETS
from training.services import runs as service
from training.services.event_log import live_message
from training.services.exports import open_export
from training.services.hyperparameters import fields_of
from training.services.inputs import INPUTS
from training.services.learning_curves import create_learning_curve
from training.services.orders import Order, place
from training.services.presets import delete_preset, save_preset
from training.services.references import resolve_checkpoint, resolve_inputs, resolve_version
from training.services.sampling import sample_completions

TAG = ["runs"]


@extend_schema(tags=TAG)
class Stages(APIView):
    """Every stage's hyperparameters, inputs and presets, from the definition that the trainer itself uses."""

    permission_classes = [IsAuthenticated]
    policy: ClassVar[dict[str, str]] = {"get": "signed in"}

    @extend_schema(summary="What each stage takes", responses=shapes.StageSerializer(many=True))
    def get(self, request):
        refuse_unknown(request, ())
        stages = [
            {
                "stage": str(stage),
                "label": str(stage.label),
                "hyperparameters": [_field(spec) for spec in fields_of(stage)],
                "inputs": [vars(spec) for spec in INPUTS[stage]],
                "presets": PRESETS.get(str(stage), {}),
            }
            for stage in Stage
        ]
        return Response(shapes.StageSerializer(stages, many=True).data)


def _field(spec) -> dict[str, Any]:
    names = ("name", "type", "default", "minimum", "maximum", "choices", "help", "source", "group")
    return {name: getattr(spec, name) for name in names}


class RunFilter(django_filters.FilterSet):
    class Meta:
        model = TrainingRun
        fields = ["stage", "status", "number", "preset"]


@extend_schema(tags=TAG)
class Runs(ProjectRows):
    """Executions of a stage."""

    serializer_class = shapes.RunSerializer
    policy = {
        "list": Action.VIEW_RUNS,
        "retrieve": Action.VIEW_RUNS,
        "events": Action.VIEW_RUNS,
        "create": Action.LAUNCH_RUNS,
        "cancel": Action.LAUNCH_RUNS,
        "resume": Action.LAUNCH_RUNS,
        "retry": Action.LAUNCH_RUNS,
        "retry_follow_up": Action.LAUNCH_RUNS,
        "export": Action.DOWNLOAD_CHECKPOINTS,
    }
    filterset_class = RunFilter
    search_fields = ["name"]
    ordering_fields = ["number", "finished_at"]
    queryset = TrainingRun.objects.none()
    lookup_value_regex = "[0-9a-f-]{36}"

    def get_queryset(self):
        rows = self.project.runs.select_related("created_by").order_by("-number")
        if self.action == "list":
            return rows
        return rows.prefetch_related("inputs__dataset_version__dataset", "checkpoints__run")

    def _detail(self, run: TrainingRun, code: int = status.HTTP_200_OK) -> Response:
        fresh = self.get_queryset().get(pk=run.pk)
        return Response(shapes.RunDetailSerializer(fresh).data, status=code)

    @extend_schema(summary="One run with inputs and checkpoints", responses=shapes.RunDetailSerializer)
    def retrieve(self, request, slug, pk):
        return Response(shapes.RunDetailSerializer(self.get_object()).data)

    @extend_schema(
        summary="Start a run",
        parameters=[ORDER_KEY],
        request=shapes.NewRunSerializer,
        responses={200: shapes.RunDetailSerializer, 201: shapes.RunDetailSerializer},
        examples=[
            OpenApiExample(
                "SFT from a checkpoint",
                value={
                    "stage": "sft",
                    "preset": "tiny-demo",
                    "hyperparameters": {"epochs": 2},
                    "inputs": {"train_data": "Demonstrations@v1", "model": "run:1"},
                },
                request_only=True,
            )
        ],
    )
    def create(self, request, slug):
        """Queue a run. Wrong hyperparameters are refused with their name and what they may be.

        With a key (`Idempotency-Key`) the same order sent again, or twice at once, makes one run.
        """
        data = valid_input(shapes.NewRunSerializer, request)

        def create(order: Order) -> TrainingRun:
            given = {"project": self.project, "acting_user": request.user, "order": order, **data}
            given["inputs"] = resolve_inputs(self.project, data["stage"], data["inputs"])
            is_curve = given.pop("learning_curve")
            return create_learning_curve(**given)[-1] if is_curve else service.create_run(**given)

        run, is_new = place(order_of(self, request, data), create, itemgetter(-1))
        return self._detail(run, code_of(is_new))

    @extend_schema(
        summary="What is new in a run",
        parameters=[
            OpenApiParameter("since", int, description="Sequence of the last event you have; 0 for all.")
        ],
        responses=shapes.LiveMessageSerializer,
    )
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def events(self, request, slug, pk):
        """The same message as over the run's WebSocket; ask again with `cursor` as `since`."""
        since = request.query_params.get("since", "0")
        if not since.isdecimal() or len(since) > 12:
            raise Invalid("since: the sequence number of the last event you have.", field="since")
        return Response(live_message(self.get_object(), int(since)))

    @extend_schema(
        summary="Download what an export run made, as a tar archive",
        responses={(200, "application/x-tar"): OpenApiTypes.BINARY},
    )
    @action(detail=True, methods=["get"], content_negotiation_class=AnyAccept)
    def export(self, request, slug, pk):
        """Streamed, after every digest was compared. 409 `nothing_exported` of any other run."""
        filename, pieces = open_export(run=self.get_object(), acting_user=request.user)
        return stream_file(request._request, pieces, filename=filename, media_type="application/x-tar")

    @takes_nothing(summary="Cancel a run", responses=shapes.RunDetailSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request, slug, pk):
        return self._detail(service.cancel_run(run=self.get_object(), acting_user=request.user))

    @takes_nothing(summary="Resume a cancelled run", responses=shapes.RunDetailSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request, slug, pk):
        return self._detail(service.resume_run(run=self.get_object(), acting_user=request.user))

    @takes_nothing(summary="Retry a failed run", responses=shapes.RunDetailSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request, slug, pk):
        return self._detail(service.retry_run(run=self.get_object(), acting_user=request.user))

    @takes_nothing(
        summary="Try again what should have followed a run",
        responses=shapes.RunDetailSerializer,
    )
    @action(detail=True, methods=["post"])
    def retry_follow_up(self, request, slug, pk):
        """Where `follow_up_status` is `failed`; 409 `follow_up_status` otherwise."""
        return self._detail(service.retry_follow_up(run=self.get_object(), acting_user=request.user))


@extend_schema(tags=TAG)
class Sampling(ProjectViewMixin, APIView):
    """Completions from checkpoints, and perhaps a ranking batch of them, in one call."""

    policy = {"post": Action.LAUNCH_RUNS}

    @extend_schema(
        summary="Sample completions",
        parameters=[ORDER_KEY],
        request=shapes.SampleSerializer,
        responses={200: shapes.RunSerializer, 201: shapes.RunSerializer},
        examples=[
            OpenApiExample(
                "Four answers each, to be ranked",
                value={
                    "checkpoints": ["run:2"],
                    "prompts_version": "Prompts@v1",
                    "splits": ["train"],
                    "completions_per_prompt": 4,
                    "ranking_batch": {"size": 4, "overlap": 2},
                },
                request_only=True,
            )
        ],
    )
    def post(self, request, slug):
        data = valid_input(shapes.SampleSerializer, request)
        run, is_new = place(
            order_of(self, request, data), lambda order: self._sample(request, data, order), itemgetter(0)
        )
        return Response(shapes.RunSerializer(run).data, status=code_of(is_new))

    def _sample(self, request, data: dict[str, Any], order: Order) -> TrainingRun:
        version = data["prompts_version"]
        if bool(version) == bool(data["prompt_ids"]):
            raise Invalid("Name a dataset version, or prompts.", field="prompts_version")
        prompts = (
            resolve_version(self.project, version, field="prompts_version") if version else data["prompt_ids"]
        )
        clash = sorted(set(data["hyperparameters"]) & {"completions_per_prompt", "temperature"})
        if clash:
            raise Invalid(
                _("%(name)s stands beside hyperparameters, not in it.") % {"name": clash[0]}, field=clash[0]
            )
        return sample_completions(
            project=self.project,
            checkpoints=[
                resolve_checkpoint(self.project, each, field="checkpoints") for each in data["checkpoints"]
            ],
            prompts=prompts,
            splits=data["splits"],
            completions_per_prompt=data["completions_per_prompt"],
            temperature=data["temperature"],
            batch_plan=dict(data["ranking_batch"]) if data["ranking_batch"] is not None else None,
            name=data["name"],
            sampling=data["hyperparameters"],
            acting_user=request.user,
            order=order,
        )


@extend_schema(tags=TAG)
class Presets(ProjectRows):
    """Hyperparameters kept under a name in this project."""

    serializer_class = shapes.PresetSerializer
    policy = {
        "list": Action.VIEW_RUNS,
        "retrieve": Action.VIEW_RUNS,
        "create": Action.LAUNCH_RUNS,
        "destroy": Action.LAUNCH_RUNS,
    }
    filterset_fields = ["stage"]
    search_fields = ["name"]
    queryset = Preset.objects.none()

    def get_queryset(self):
        return self.project.presets.order_by("stage", "name")

    @extend_schema(
        summary="Keep a preset", request=shapes.NewPresetSerializer, responses={201: shapes.PresetSerializer}
    )
    def create(self, request, slug):
        data = valid_input(shapes.NewPresetSerializer, request)
        preset = save_preset(project=self.project, acting_user=request.user, **data)
        return Response(shapes.PresetSerializer(preset).data, status=status.HTTP_201_CREATED)

    @takes_nothing(summary="Delete a preset")
    def destroy(self, request, slug, pk):
        preset = self.get_queryset().filter(pk=pk).first() if str(pk).isdecimal() else None
        if preset is None:
            raise NotFound("There is no such preset.")
        delete_preset(preset=preset, acting_user=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)
