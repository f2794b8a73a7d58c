"""REST: what a run would choose and need, before there is one."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.response import Response
from rest_framework.views import APIView

from annotate.api.bodies import valid_input
from labeling.api.base import ProjectViewMixin
from labeling.permissions import Action
from training.api.serializers import NewRunSerializer
from training.services.fitting import estimate_run
from training.services.hyperparameters import preset_values
from training.services.references import resolve_inputs


class RunEstimateSerializer(serializers.Serializer):
    tokens = serializers.IntegerField(help_text="Of a micro-batch; what micro_batch_tokens = 0 chooses.")
    batch = serializers.IntegerField(help_text="Rows, rankings or episodes of an optimizer step.")
    passes = serializers.IntegerField(help_text="Micro-batches that a batch is gathered from.")
    longest = serializers.IntegerField(help_text="Tokens that every row is taken to have.")
    needed_mib = serializers.IntegerField()
    free_mib = serializers.IntegerField(help_text="On the site's machine, now.")
    parts = serializers.DictField(child=serializers.IntegerField(), help_text="needed_mib, of what, in MiB.")
    refused = serializers.CharField(
        allow_blank=True, help_text="With what such a run would be refused, and what to lower; or empty."
    )


class MeasuringSerializer(serializers.Serializer):
    status = serializers.ChoiceField(choices=["measuring"])


class Estimate(ProjectViewMixin, APIView):
    policy = {"post": Action.LAUNCH_RUNS}

    @extend_schema(
        tags=["runs"],
        summary="What a run would need of the memory",
        request=NewRunSerializer,
        responses={200: RunEstimateSerializer, 202: MeasuringSerializer},
        examples=[
            OpenApiExample(
                "SFT from a checkpoint, the most that fits at a time",
                value={
                    "stage": "sft",
                    "hyperparameters": {"micro_batch_tokens": 0},
                    "inputs": {"model": "run:1"},
                },
                request_only=True,
            )
        ],
    )
    def post(self, request, slug):
        """Takes what starts a run, and makes none: SFT, reward and PPO. Of its inputs the models are enough;
        rows are taken to be as long as they may be. 202: the model is being measured; ask again."""
        data = valid_input(NewRunSerializer, request)
        stage, preset = data["stage"], data["preset"]
        values = preset_values(self.project, stage, preset) if preset else {}
        found = estimate_run(
            project=self.project,
            stage=stage,
            hyperparameters={**values, **data["hyperparameters"]},
            inputs=resolve_inputs(self.project, stage, data["inputs"]),
            base_model=data["base_model"],
        )
        if found is None:
            measuring, again = {"status": "measuring"}, {"Retry-After": "2"}
            return Response(measuring, status=status.HTTP_202_ACCEPTED, headers=again)
        return Response(RunEstimateSerializer(found).data)
