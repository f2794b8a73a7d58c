"""REST: how large a version is in tokens, and how long a run on it may take."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.response import Response

from annotate.api.bodies import valid_input
from annotate.errors import Invalid
from labeling.models import DatasetExportStatus, DatasetSizes
from labeling.permissions import Action
from labeling.services import background
from labeling.services.dataset_sizes import TimeEstimate, measure_sizes, time_estimate
from labeling.services.export_encoders import model_choices
from labeling.services.progress import Progress

from .dataset_versions import TAG, VERSION, VersionRows


class NewSizes(serializers.Serializer):
    model = serializers.CharField(
        max_length=300, help_text="Whose tokenizer: a checkpoint's id or a base model, of `models`."
    )


class EstimateSerializer(serializers.Serializer):
    unit = serializers.CharField(help_text="tokens; prompts of a prompts dataset.")
    amount = serializers.IntegerField(help_text="Of one pass over the train split.")
    seconds = serializers.FloatField(help_text="One pass, by the median of the former runs' speeds.")
    shortest = serializers.FloatField()
    longest = serializers.FloatField()
    same_model = serializers.BooleanField(help_text="Whether those runs started from this model.")
    epochs = serializers.FloatField(help_text="Passes of the newest of them.")
    runs = serializers.ListField(child=serializers.DictField(), help_text="name, per_second")


class SizesSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    model = serializers.CharField()
    model_name = serializers.CharField()
    tokenizer_sha256 = serializers.CharField()
    status = serializers.CharField(help_text="waiting, ready or failed")
    error = serializers.CharField()
    context = serializers.IntegerField(  # type: ignore[assignment]  # DRF takes fields off the class
        allow_null=True, help_text="Tokens that the model reads at once."
    )
    splits = serializers.DictField(
        help_text="Of each split: rows; tokens of a row (min, median, p95, max), which is as long as its "
        "longest sequence; total and response tokens; fitting: tokens within the context; over: "
        "rows beyond it; refused: rows that the chat template does not take."
    )
    estimate = EstimateSerializer(allow_null=True, help_text="null before the first run of the stage.")
    progress = serializers.DictField(allow_null=True, help_text="{phase, done, total} while it is counted.")


class VersionSizesSerializer(serializers.Serializer):
    models = serializers.ListField(child=serializers.DictField(), help_text="value, name")
    results = SizesSerializer(many=True)


def _shown(sizes: DatasetSizes) -> dict[str, Any]:
    is_ready = sizes.status == DatasetExportStatus.READY
    return {
        "id": sizes.pk,
        "model": sizes.model,
        "model_name": sizes.model_name,
        "tokenizer_sha256": sizes.tokenizer_sha256,
        "status": sizes.status,
        "error": sizes.error,
        "context": sizes.result.get("context"),
        "splits": sizes.result.get("splits", {}),
        "estimate": _estimate(time_estimate(sizes)) if is_ready else None,
        "progress": Progress("sizes", sizes.pk).read(),
    }


def _estimate(found: TimeEstimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "unit": found.unit,
        "amount": found.amount,
        "seconds": found.median,
        "shortest": found.shortest,
        "longest": found.longest,
        "same_model": found.is_same_model,
        "epochs": found.epochs,
        "runs": [{"name": each.name, "per_second": each.per_second} for each in found.speeds],
    }


class VersionSizes(VersionRows):
    policy = {"get": Action.VIEW_DATASETS, "post": Action.VIEW_DATASETS}
    own_parameters = {"get": ()}

    @extend_schema(
        tags=TAG, summary="Sizes of a version in tokens", responses=VersionSizesSerializer, filters=False
    )
    def get(self, request, slug, dataset_pk, number):
        """What was counted so far, and the models whose tokenizers can be chosen."""
        version = self.version()
        sizes = version.sizes.select_related("version__dataset__project")[:50]
        models = [{"value": value, "name": name} for value, name in model_choices(version.dataset.project)]
        return Response({"models": models, "results": [_shown(each) for each in sizes]})

    @extend_schema(
        tags=TAG,
        summary="Count the tokens of a version",
        request=NewSizes,
        responses={200: SizesSerializer, 202: SizesSerializer},
        examples=[OpenApiExample("A base model", value={"model": "llama-tiny"}, request_only=True)],
    )
    def post(self, request, slug, dataset_pk, number):
        """200: they are counted. 202: the version is large and is counted meanwhile; look again."""
        version = self.version()  # first: a foreign one is not found, whatever was sent
        data = valid_input(NewSizes, request)
        sizes = measure_sizes(version=version, acting_user=request.user, **data)
        background.take_up_if_nobody_does(sizes)
        if sizes.status == DatasetExportStatus.FAILED:
            raise Invalid(sizes.error, code="sizes_failed")
        is_ready = sizes.status == DatasetExportStatus.READY
        return Response(_shown(sizes), status=status.HTTP_200_OK if is_ready else status.HTTP_202_ACCEPTED)


urlpatterns = [path(f"{VERSION}sizes/", VersionSizes.as_view(), name="api_version_sizes")]
