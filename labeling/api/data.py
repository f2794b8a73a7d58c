"""REST: prompts, completions, datasets and their versions."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Max, Prefetch
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.response import Response

from annotate.api.bodies import takes_nothing, valid_input, valid_query
from annotate.api.keys import sent_key
from annotate.errors import Invalid, NotFound
from annotate.words import _
from labeling.downloading import send, send_version
from labeling.formats import DEFAULT_LIMITS, FormatError, PromptRecord
from labeling.formats.chat import as_prompt, read_messages
from labeling.models import Completion, Dataset, DatasetExport, DatasetVersion, Prompt, RecipeRevision
from labeling.permissions import Action
from labeling.services import (
    completions,
    dataset_browse,
    datasets,
    prompts,
    recipe_counting,
    verification,
)
from labeling.services.download_files import download_of_manifest
from labeling.services.recipe_kinds import checked_recipe
from labeling.services.selection_counts import preview_counts

from . import data_serializers as shapes
from .base import LIST_CREATE, ONE, PROJECT, AnyAccept, ProjectRows
from .dataset_exports import ExportSerializer
from .dataset_versions import FREEZE_KEY, answer_freeze

TAG_PROMPTS, TAG_DATASETS = ["prompts"], ["datasets"]
SECONDS_TO_WAIT = 2


# --- Prompts ----------------------------------------------------------------------------------------------
class PromptFilter(django_filters.FilterSet):
    archived = django_filters.BooleanFilter(field_name="archived_at", lookup_expr="isnull", exclude=True)
    import_id = django_filters.NumberFilter(field_name="import_record_id")

    class Meta:
        model = Prompt
        fields = ["category", "language", "digest"]


@extend_schema(tags=TAG_PROMPTS)
class Prompts(ProjectRows):
    """What people and models answer."""

    serializer_class = shapes.PromptSerializer
    policy = {
        "list": Action.VIEW_PROMPTS,
        "retrieve": Action.VIEW_PROMPTS,
        "create": Action.IMPORT,
        "partial_update": Action.MANAGE_BATCHES,
    }
    filterset_class = PromptFilter
    search_fields = ["preview"]
    ordering_fields = ["id", "category"]
    queryset = Prompt.objects.none()

    def get_queryset(self):
        return self.project.prompts.written().order_by("id")

    @extend_schema(
        summary="Add prompts",
        request=shapes.NewPrompts,
        responses={201: shapes.AddedSerializer},
        examples=[
            OpenApiExample(
                "One prompt",
                value={"prompts": [{"messages": [{"role": "user", "content": "What is a fjord?"}]}]},
                request_only=True,
            )
        ],
    )
    def create(self, request, slug):
        """Add prompts; those that are there already are counted and left alone."""
        records = [
            PromptRecord(_checked_messages(prompt, row), row, prompt["category"], prompt["language"])
            for row, prompt in enumerate(valid_input(shapes.NewPrompts, request)["prompts"], start=1)
        ]
        added, already_there = prompts.record_prompts(
            project=self.project, records=records, acting_user=request.user
        )
        return Response({"added": added, "already_there": already_there}, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Archive or restore a prompt", request=shapes.PromptChange, responses=shapes.PromptSerializer
    )
    def partial_update(self, request, slug, pk):
        prompt = self.get_object()  # first: a foreign prompt is not found, whatever was sent
        is_archived = valid_input(shapes.PromptChange, request)["archived"]
        change = prompts.archive_prompt if is_archived else prompts.restore_prompt
        return Response(self.get_serializer(change(prompt=prompt, acting_user=request.user)).data)


def _checked_messages(prompt: dict[str, Any], row: int) -> tuple:
    """The rules that imported prompts obey. Raises Invalid naming the row."""
    try:
        return as_prompt(
            read_messages([dict(m) for m in prompt["messages"]], "messages", DEFAULT_LIMITS), "messages"
        )
    except FormatError as error:
        detail = {"field": error.field, "row": row, "message": error.problem}
        raise Invalid(
            _("prompt %(row)s: %(problem)s") % {"row": row, "problem": error.problem},
            field=error.field,
            details=[detail],
        ) from error


class CompletionFilter(django_filters.FilterSet):
    prompt_id = django_filters.NumberFilter()

    class Meta:
        model = Completion
        fields = ["origin", "generator", "checkpoint_key", "run_key"]


@extend_schema(tags=TAG_PROMPTS)
class Completions(ProjectRows):
    """Answers written by models."""

    serializer_class = shapes.CompletionSerializer
    policy = {"list": Action.VIEW_PROMPTS, "retrieve": Action.VIEW_PROMPTS, "create": Action.IMPORT}
    filterset_class = CompletionFilter
    search_fields = ["text"]
    ordering_fields = ["id"]
    queryset = Completion.objects.none()

    def get_queryset(self):
        return self.project.completions.order_by("id")

    @extend_schema(
        summary="Add completions",
        request=shapes.NewCompletions,
        responses={201: shapes.CompletionIdsSerializer},
        examples=[
            OpenApiExample(
                "One completion",
                value={
                    "completions": [
                        {
                            "prompt_id": 17,
                            "text": "A fjord is a narrow arm of the sea.",
                            "generator": "my-model",
                            "source_key": "my-model:17:0",
                            "sampling": {"temperature": 0.7},
                        }
                    ]
                },
                request_only=True,
            )
        ],
    )
    def create(self, request, slug):
        """Hand completions in, to be ranked; the same source key again is the same completion."""
        rows = valid_input(shapes.NewCompletions, request)["completions"]
        ids = completions.record_completions(project=self.project, rows=rows, acting_user=request.user)
        return Response({"ids": ids}, status=status.HTTP_201_CREATED)


# --- Datasets ---------------------------------------------------------------------------------------------
RECIPE_EXAMPLE = OpenApiExample(
    "Reviewed demonstrations",
    value={
        "kind": "sft",
        "name": "Reviewed demonstrations",
        "recipe": {
            "sources": ["people"],
            "decisions": ["accepted", "fixed"],
            "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1},
        },
    },
    request_only=True,
)


@extend_schema(tags=TAG_DATASETS)
class Datasets(ProjectRows):
    """Recipes, from which versions are frozen."""

    serializer_class = shapes.DatasetSerializer
    policy = {
        "list": Action.VIEW_DATASETS,
        "retrieve": Action.VIEW_DATASETS,
        "count": Action.VIEW_DATASETS,
        "create": Action.FREEZE_DATASETS,
        "partial_update": Action.FREEZE_DATASETS,
    }
    filterset_fields = ["kind", "name"]
    search_fields = ["name"]
    ordering_fields = ["id", "name"]
    queryset = Dataset.objects.none()

    def get_queryset(self):
        return self.project.datasets.annotate(newest_revision=Max("revisions__number")).order_by("-id")

    @extend_schema(
        summary="Make a dataset",
        request=shapes.NewDataset,
        responses={201: shapes.DatasetSerializer},
        examples=[RECIPE_EXAMPLE],
    )
    def create(self, request, slug):
        dataset = datasets.create_dataset(
            project=self.project, acting_user=request.user, **valid_input(shapes.NewDataset, request)
        )
        shown = self.get_serializer(self.get_queryset().get(pk=dataset.pk))
        return Response(shown.data, status=status.HTTP_201_CREATED)

    @extend_schema(summary="Change a recipe", request=shapes.RecipeChange, responses=shapes.DatasetSerializer)
    def partial_update(self, request, slug, pk):
        """The recipe becomes the next revision; versions that were frozen keep theirs. The same recipe again
        is none."""
        dataset = self.get_object()  # first: a foreign one is not found, whatever was sent
        datasets.change_recipe(
            dataset=dataset, acting_user=request.user, **valid_input(shapes.RecipeChange, request)
        )
        return Response(self.get_serializer(self.get_queryset().get(pk=dataset.pk)).data)

    @extend_schema(
        summary="Count what a recipe selects",
        request=shapes.RecipeCount,
        responses={200: shapes.CountsSerializer, 202: shapes.CountsSerializer},
    )
    def count(self, request, slug):
        """How many rows a recipe would freeze right now; stores nothing. Where something may be left out or
        changed, all rows are read and counted by reason. 202: they are many and are being read; ask again."""
        data = valid_input(shapes.RecipeCount, request)
        recipe = checked_recipe(self.project, data["kind"], data.get("recipe"))
        counts = preview_counts(self.project, data["kind"], recipe)
        found = recipe_counting.count_by_reason(project=self.project, kind=data["kind"], recipe=recipe)
        if found.progress is not None:
            waits = {"Retry-After": str(SECONDS_TO_WAIT)}
            shown = counts | {"filters_progress": found.progress}
            return Response(shown, status=status.HTTP_202_ACCEPTED, headers=waits)
        return Response(counts | ({"filters": found.result} if found.result else {}))


@extend_schema(tags=TAG_DATASETS)
class RecipeRevisions(ProjectRows):
    """The recipes that a dataset has had, the newest first."""

    serializer_class = shapes.RecipeRevisionSerializer
    policy = {"list": Action.VIEW_DATASETS}
    ordering_fields = ["number"]
    queryset = RecipeRevision.objects.none()

    def get_queryset(self):
        rows = RecipeRevision.objects.filter(dataset=_dataset_of(self)).select_related("created_by")
        # Without manifests, which are large.
        numbers = DatasetVersion.objects.only("number", "recipe_revision")
        return rows.prefetch_related(Prefetch("versions", numbers)).order_by("-number")


def _dataset_of(view: ProjectRows) -> Dataset:
    dataset = view.project.datasets.filter(pk=view.kwargs["dataset_pk"]).first()
    if dataset is None:
        raise NotFound("There is no such dataset.")
    return dataset


@extend_schema(tags=TAG_DATASETS)
class Versions(ProjectRows):
    """Immutable snapshots of a dataset, by number."""

    serializer_class = shapes.VersionSerializer
    content_negotiation_class = AnyAccept
    policy = {
        "list": Action.VIEW_DATASETS,
        "retrieve": Action.VIEW_DATASETS,
        "rows": Action.VIEW_DATASETS,
        "verify": Action.VIEW_DATASETS,
        "manifest": Action.VIEW_DATASETS,
        "create": Action.FREEZE_DATASETS,
        "download": Action.DOWNLOAD_DATASETS,
    }
    filterset_fields = ["status", "sha256"]
    ordering_fields = ["number"]
    lookup_field = "number"
    queryset = DatasetVersion.objects.none()

    def get_queryset(self):
        return (
            _dataset_of(self)
            .versions.select_related("dataset__project", "parent", "same_as", "recipe_revision")
            .order_by("-number")
        )

    @extend_schema(summary="One version, with its manifest", responses=shapes.VersionDetailSerializer)
    def retrieve(self, request, slug, dataset_pk, number):
        return Response(shapes.VersionDetailSerializer(self.get_object()).data)

    @extend_schema(
        summary="Freeze a version",
        request=shapes.FreezeInput,
        responses=dict.fromkeys((200, 201, 202), shapes.VersionSerializer),
        parameters=[FREEZE_KEY],
        examples=[OpenApiExample("A note", value={"note": "first round"}, request_only=True)],
    )
    def create(self, request, slug, dataset_pk):
        """Freeze what the recipe selects now. 201: ready. 202: it is large and is written meanwhile. 200:
        nothing was new, and the answer is the version that has these very rows (`force` makes another one).

        With a key (`Idempotency-Key`) the same freeze sent again, or twice at once, is one version.
        """
        data = valid_input(shapes.FreezeInput, request)
        key = sent_key(request, data)
        version = datasets.freeze_dataset(
            dataset=_dataset_of(self), acting_user=request.user, idempotency_key=key, **data
        )
        return answer_freeze(version)

    @extend_schema(
        summary="Rows of a version",
        parameters=[shapes.RowsQuery],
        responses=shapes.RowsSerializer,
        filters=False,
    )
    def rows(self, request, slug, dataset_pk, number):
        """Canonical rows of one split, in the version's order."""
        query = valid_query(shapes.RowsQuery, request)
        found = dataset_browse.browse_rows(
            version=self.get_object(),
            split=query["split"],
            text=query["q"],
            field=query["field"],
            value=query["value"],
            page=query["page"],
            per_page=query["page_size"],
        )
        rows = [row for _, row in found.rows] if found.number == query["page"] else []
        return Response(
            {"count": found.total, "next": found.next, "previous": found.previous, "results": rows}
        )

    @extend_schema(
        summary="Download a version",
        parameters=[shapes.DownloadQuery],
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
            202: ExportSerializer,
        },
        filters=False,
    )
    def download(self, request, slug, dataset_pk, number):
        """The version, or one split, in an export format: all of it or the part that `Range` asks for
        (`If-Range` with the ETag, its hash). 202: it is large and is written meanwhile; ask again."""
        version, query = self.get_object(), valid_query(shapes.DownloadQuery, request)
        answer = send_version(request._request, version=version, acting_user=request.user, **query)
        if isinstance(answer, DatasetExport):
            waits = {"Retry-After": str(SECONDS_TO_WAIT)}
            return Response(ExportSerializer(answer).data, status=status.HTTP_202_ACCEPTED, headers=waits)
        return answer

    @extend_schema(
        summary="Download a version's manifest", responses={(200, "application/json"): OpenApiTypes.BINARY}
    )
    def manifest(self, request, slug, dataset_pk, number):
        """manifest.json as it was frozen: the SHA-256 of these bytes is the version's `sha256`."""
        return send(request._request, download_of_manifest(version=self.get_object()))

    @takes_nothing(summary="Verify a version", responses=shapes.VerificationSerializer)
    def verify(self, request, slug, dataset_pk, number):
        """Recompute every hash from the files on disk."""
        version = self.get_object()
        datasets.require_ready(version)
        return Response({"problems": verification.verify_version(version=version)})


VERSIONS = f"{PROJECT}datasets/<int:dataset_pk>/versions/"
VERSION = f"{VERSIONS}<int:number>/"

urlpatterns = [
    path(f"{PROJECT}prompts/", Prompts.as_view(LIST_CREATE), name="api_prompts"),
    path(
        f"{PROJECT}prompts/<int:pk>/", Prompts.as_view({**ONE, "patch": "partial_update"}), name="api_prompt"
    ),
    path(f"{PROJECT}completions/", Completions.as_view(LIST_CREATE), name="api_completions"),
    path(f"{PROJECT}completions/<int:pk>/", Completions.as_view(ONE), name="api_completion"),
    path(f"{PROJECT}datasets/", Datasets.as_view(LIST_CREATE), name="api_datasets"),
    path(f"{PROJECT}datasets/count/", Datasets.as_view({"post": "count"}), name="api_dataset_count"),
    path(
        f"{PROJECT}datasets/<int:pk>/",
        Datasets.as_view({**ONE, "patch": "partial_update"}),
        name="api_dataset",
    ),
    path(
        f"{PROJECT}datasets/<int:dataset_pk>/recipes/",
        RecipeRevisions.as_view({"get": "list"}),
        name="api_dataset_recipes",
    ),
    path(VERSIONS, Versions.as_view(LIST_CREATE), name="api_versions"),
    path(VERSION, Versions.as_view(ONE), name="api_version"),
    path(f"{VERSION}rows/", Versions.as_view({"get": "rows"}), name="api_version_rows"),
    path(f"{VERSION}download/", Versions.as_view({"get": "download"}), name="api_version_download"),
    path(f"{VERSION}manifest/", Versions.as_view({"get": "manifest"}), name="api_version_manifest"),
    path(f"{VERSION}verify/", Versions.as_view({"post": "verify"}), name="api_version_verify"),
]
