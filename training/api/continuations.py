"""REST: training anew and going on, ordered as one."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from annotate.api.bodies import valid_input
from annotate.errors import NotFound
from annotate.words import _
from labeling.api.base import ProjectViewMixin
from labeling.permissions import Action
from training.api.orders import ORDER_KEY, code_of, order_key_field, order_of
from training.api.serializers import LONGEST_REFERENCE, RunSerializer
from training.services import continuations as service
from training.services.orders import Order, place
from training.services.references import resolve_checkpoint, resolve_version

TAG = ["runs"]
VERSIONS = ("former_data", "new_data", "all_data")


class NewContinuationSerializer(serializers.Serializer):
    stage = serializers.ChoiceField(choices=[str(stage) for stage in service.KIND])
    start = serializers.CharField(
        max_length=LONGEST_REFERENCE, help_text="The former checkpoint, from which B goes on."
    )
    former_data = serializers.CharField(
        max_length=LONGEST_REFERENCE, help_text="What it learnt; its held-out rows show forgetting."
    )
    new_data = serializers.CharField(max_length=LONGEST_REFERENCE, help_text="What B learns.")
    all_data = serializers.CharField(max_length=LONGEST_REFERENCE, help_text="What A learns.")
    anew_from = serializers.CharField(
        max_length=LONGEST_REFERENCE,
        required=False,
        allow_blank=True,
        default="",
        help_text="Left out: what `start` itself began from.",
    )
    base_model = serializers.CharField(required=False, allow_blank=True, default="", max_length=300)
    mix_ratio = serializers.FloatField(
        required=False, default=0.0, min_value=0, help_text="Former rows that B learns for each new one."
    )
    learning_rate_multiplier = serializers.FloatField(required=False, default=1.0, help_text="Of B.")
    hyperparameters = serializers.DictField(
        required=False, default=dict, help_text="Of both, over those `start` was trained with."
    )
    name = serializers.CharField(required=False, allow_blank=True, default="", max_length=110)
    idempotency_key = order_key_field()


class VerdictSerializer(serializers.Serializer):
    metric = serializers.CharField()
    higher_is_better = serializers.BooleanField()
    values = serializers.DictField(help_text="{start, anew, onward: {former, new: the metric or null}}")
    forgotten = serializers.DictField(
        help_text="{anew, onward: how much worse than the former checkpoint on the former held-out rows}"
    )
    ahead = serializers.DictField(help_text="{former, new: by how much B is better than A}")
    is_complete = serializers.BooleanField()


class ContinuationSerializer(serializers.Serializer):
    anew = RunSerializer(help_text="A")
    onward = RunSerializer(help_text="B")
    evaluations = RunSerializer(many=True)
    verdict = VerdictSerializer()


def shown(pair: service.Continuation) -> dict:
    evaluations = sorted(service.evaluations_of(pair).values(), key=lambda run: run.number)
    return ContinuationSerializer(
        {
            "anew": pair.anew,
            "onward": pair.onward,
            "evaluations": evaluations,
            "verdict": service.verdict_of(pair),
        }
    ).data


@extend_schema(tags=TAG)
class Continuations(ProjectViewMixin, APIView):
    """New data came in: A trains anew on all of it, B goes on from a checkpoint."""

    policy = {"post": Action.LAUNCH_RUNS}

    @extend_schema(
        summary="Train anew and go on, and compare",
        parameters=[ORDER_KEY],
        request=NewContinuationSerializer,
        responses={200: ContinuationSerializer, 201: ContinuationSerializer},
        examples=[
            OpenApiExample(
                "New demonstrations, a third of the rate",
                value={
                    "stage": "sft",
                    "start": "run:2",
                    "former_data": "Demonstrations@v1",
                    "new_data": "New demonstrations@v1",
                    "all_data": "Demonstrations@v2",
                    "mix_ratio": 0.5,
                    "learning_rate_multiplier": 0.3,
                },
                request_only=True,
            )
        ],
    )
    def post(self, request, slug):
        """Queues both runs. When both have succeeded, six evaluations follow by themselves."""
        data = valid_input(NewContinuationSerializer, request)

        def create(order: Order) -> service.Continuation:
            found: dict[str, Any] = {
                name: resolve_version(self.project, data[name], field=name) for name in VERSIONS
            }
            found["start"] = resolve_checkpoint(self.project, data["start"], field="start")
            anew = data["anew_from"]
            found["anew_from"] = resolve_checkpoint(self.project, anew, field="anew_from") if anew else None
            given = {**data, **found, "acting_user": request.user, "order": order}
            return service.create_continuation(project=self.project, **given)

        order = order_of(self, request, data)
        pair, is_new = place(order, create, lambda runs: service.continuation_of(runs[0]))
        return Response(shown(pair), status=code_of(is_new))


@extend_schema(tags=TAG)
class ContinuationOfRun(ProjectViewMixin, APIView):
    """The pair that a run belongs to."""

    policy = {"get": Action.VIEW_RUNS}

    @extend_schema(summary="What came of training anew and going on", responses=ContinuationSerializer)
    def get(self, request, slug, number):
        """By the number of either run. Figures are null until their evaluation has ended."""
        run = self.project.runs.filter(number=number).first()
        if run is None:
            raise NotFound(_("There is no run %(number)s in this project.") % {"number": number})
        return Response(shown(service.continuation_of(run)))
