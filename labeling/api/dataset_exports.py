"""REST: rows by cursor, formats, prepared exports and links to them."""

from __future__ import annotations

from datetime import timedelta

from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.response import Response
from rest_framework.views import APIView

from annotate.api.bodies import valid_input, valid_query
from annotate.errors import Invalid, NotFound
from labeling.downloading import send
from labeling.formats import SPLITS, formats_for
from labeling.models import DatasetExport, DatasetExportStatus
from labeling.permissions import Action
from labeling.services import background, dataset_browse, dataset_exports
from labeling.services.download_files import download_of_export
from labeling.services.progress import Progress

from .base import PROJECT, AnyAccept, ProjectViewMixin
from .dataset_versions import TAG, VERSION, VersionRows

EXPORT = f"{PROJECT}exports/<int:pk>/"


class RowsAfterQuery(serializers.Serializer):
    split = serializers.ChoiceField(choices=SPLITS, default="train")
    cursor = serializers.IntegerField(min_value=0, required=False, default=0, help_text="`next` of a page.")
    limit = serializers.IntegerField(min_value=1, max_value=1_000, required=False, default=100)
    annotator = serializers.CharField(required=False, help_text="A pseudonym; “none” for rows without one.")
    guideline_version = serializers.CharField(required=False, help_text="A number, or “none”.")
    review = serializers.CharField(required=False, help_text="accepted, fixed, or “none”.")
    batch = serializers.CharField(required=False)
    judgment = serializers.CharField(required=False)
    prompt = serializers.CharField(required=False, help_text="The prompt's id.")
    field = serializers.CharField(
        required=False, max_length=100, help_text="Of `fields`, such as category; with `value`."
    )
    value = serializers.CharField(
        required=False, max_length=10_000, help_text="As text; “none” for rows without the field."
    )

    def get_fields(self):  # `import` is a word of Python's, so it cannot be an attribute
        imported = serializers.CharField(required=False, help_text="Id of an import, or “none”.")
        return super().get_fields() | {"import": imported}


class RowsAfterSerializer(serializers.Serializer):
    next = serializers.IntegerField(allow_null=True, help_text="Cursor to go on with; null at the end.")
    results = serializers.ListField(child=serializers.DictField(), help_text="Canonical rows.")


class VersionRowsAfter(VersionRows):
    policy = {"get": Action.VIEW_DATASETS}

    @extend_schema(
        tags=TAG,
        summary="Rows of a version by cursor",
        parameters=[RowsAfterQuery],
        responses=RowsAfterSerializer,
    )
    def get(self, request, slug, dataset_pk, number):
        """Canonical rows in the version's order, filtered by where they come from. A page may be short, or
        empty, though `next` goes on."""
        query = valid_query(RowsAfterQuery, request)
        split, cursor, limit = query.pop("split"), query.pop("cursor"), query.pop("limit")
        found = dataset_browse.rows_after(
            version=self.version(), split=split, cursor=cursor, limit=limit, filters=query
        )
        return Response({"next": found.next, "results": found.rows})


class FormatSerializer(serializers.Serializer):
    name = serializers.CharField()
    description = serializers.CharField(help_text="What it is, and what it cannot hold.")
    extension = serializers.CharField()


class VersionFormats(VersionRows):
    policy = {"get": Action.VIEW_DATASETS}
    own_parameters = {"get": ()}

    @extend_schema(
        tags=TAG, summary="Formats of a version", responses=FormatSerializer(many=True), filters=False
    )
    def get(self, request, slug, dataset_pk, number):
        """The formats that this kind of dataset has, and what each cannot hold."""
        formats = formats_for(self.version().dataset.kind)
        return Response(FormatSerializer(formats, many=True).data)


class ExportSerializer(serializers.ModelSerializer):
    version_id = serializers.UUIDField(source="version.public_id")
    filename = serializers.SerializerMethodField()
    progress = serializers.SerializerMethodField(help_text="{phase, done, total} while it is written.")

    class Meta:
        model = DatasetExport
        fields = [
            "id", "version_id", "format", "split", "options", "status", "filename", "sha256", "size_bytes",
            "summary", "error", "progress", "created_at",
        ]  # fmt: skip

    def get_filename(self, export: DatasetExport) -> str:
        return dataset_exports.filename_of(export)

    def get_progress(self, export: DatasetExport) -> dict | None:
        return Progress("export", export.pk).read()


class NewExport(serializers.Serializer):
    format = serializers.CharField(max_length=40, help_text="Of the version's formats, or parquet.")
    split = serializers.ChoiceField(choices=SPLITS, required=False, allow_blank=True, default="")
    options = serializers.DictField(
        required=False,
        help_text="gzip or zstandard; array (one JSON array instead of lines); rows (of parquet); "
        "separator, leading_space, stop (openai_legacy).",
    )


class VersionExports(VersionRows):
    policy = {"get": Action.DOWNLOAD_DATASETS, "post": Action.DOWNLOAD_DATASETS}
    own_parameters = {"get": ()}

    @extend_schema(
        tags=TAG, summary="Prepared files of a version", responses=ExportSerializer(many=True), filters=False
    )
    def get(self, request, slug, dataset_pk, number):
        exports = self.version().exports.select_related("version__dataset__project")
        return Response(ExportSerializer(exports, many=True).data)

    @extend_schema(
        tags=TAG,
        summary="Prepare a file",
        request=NewExport,
        responses={201: ExportSerializer, 202: ExportSerializer},
        examples=[
            OpenApiExample(
                "Parquet for the datasets library",
                value={"format": "parquet", "options": {"rows": "messages"}},
                request_only=True,
            )
        ],
    )
    def post(self, request, slug, dataset_pk, number):
        """Write the version in a format into a file that can be fetched in parts. 201: it is there. 202: it
        is large and is written meanwhile; ask for it again by its id."""
        version = self.version()  # first: a foreign one is not found, whatever was sent
        data = valid_input(NewExport, request)
        export = dataset_exports.prepare_export(version=version, acting_user=request.user, **data)
        background.take_up_if_nobody_does(export)
        if export.status == DatasetExportStatus.FAILED:
            raise Invalid(export.error, code="export_failed")
        is_ready = export.status == DatasetExportStatus.READY
        code = status.HTTP_201_CREATED if is_ready else status.HTTP_202_ACCEPTED
        return Response(ExportSerializer(export).data, status=code)


class ExportRoute(ProjectViewMixin, APIView):
    content_negotiation_class = AnyAccept

    def export(self) -> DatasetExport:
        exports = DatasetExport.objects.filter(pk=self.kwargs["pk"], version__dataset__project=self.project)
        export = exports.select_related("version__dataset__project").first()
        if export is None:
            raise NotFound("There is no such export.")
        return export


class ExportDetail(ExportRoute):
    policy = {"get": Action.DOWNLOAD_DATASETS}

    @extend_schema(tags=TAG, summary="One prepared file", responses=ExportSerializer)
    def get(self, request, slug, pk):
        """Its state, and its progress while it is written."""
        return Response(ExportSerializer(self.export()).data)


class ExportFile(ExportRoute):
    policy = {"get": Action.DOWNLOAD_DATASETS}

    @extend_schema(
        tags=TAG,
        summary="Download a prepared file",
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
        },
    )
    def get(self, request, slug, pk):
        """All of it, or the part that `Range` asks for (`If-Range` with the ETag, its SHA-256)."""
        return send(request._request, download_of_export(export=self.export(), acting_user=request.user))


class NewLink(serializers.Serializer):
    seconds = serializers.IntegerField(
        min_value=1, required=False, default=3_600, help_text="How long it lasts, at most seven days."
    )


class LinkSerializer(serializers.Serializer):
    url = serializers.CharField()
    ends_at = serializers.DateTimeField()


class ExportLink(ExportRoute):
    policy = {"post": Action.DOWNLOAD_DATASETS}

    @extend_schema(
        tags=TAG, summary="Make a link that ends", request=NewLink, responses={201: LinkSerializer}
    )
    def post(self, request, slug, pk):
        """Whoever has the link can download this one file without signing in, until it ends and only while
        you may."""
        export = self.export()
        lasts = timedelta(seconds=min(valid_input(NewLink, request)["seconds"], 10**8))
        url, ends_at = dataset_exports.make_link(export=export, acting_user=request.user, lasts=lasts)
        shown = {"url": request.build_absolute_uri(url), "ends_at": ends_at}
        return Response(LinkSerializer(shown).data, status=status.HTTP_201_CREATED)


urlpatterns = [
    path(f"{VERSION}rows/after/", VersionRowsAfter.as_view(), name="api_version_rows_after"),
    path(f"{VERSION}formats/", VersionFormats.as_view(), name="api_version_formats"),
    path(f"{VERSION}exports/", VersionExports.as_view(), name="api_version_exports"),
    path(EXPORT, ExportDetail.as_view(), name="api_export"),
    path(f"{EXPORT}file/", ExportFile.as_view(), name="api_export_file"),
    path(f"{EXPORT}link/", ExportLink.as_view(), name="api_export_link"),
]
