"""REST: files brought in, whole or not at all; also piece by piece, so that a broken line costs little."""

from __future__ import annotations

import json
from typing import Any

from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.parsers import BaseParser, FormParser, JSONParser, MultiPartParser
from rest_framework.response import Response

from annotate.api.bodies import takes_nothing, valid_input
from annotate.errors import Invalid
from annotate.streaming import stream_file
from annotate.words import _
from labeling.models import ImportRecord, ImportStatus, ImportUpload
from labeling.permissions import Action
from labeling.services import background, import_faults, imports, uploads
from labeling.services.import_licences import change_licence
from labeling.services.prepared_imports import start_prepared_import

from . import data_serializers as shapes
from .base import LIST_CREATE, ONE, PROJECT, ProjectRows

TAGS = ["imports"]


class PieceParser(BaseParser):
    """The bytes of a piece, one more than it may have at most."""

    media_type = "application/offset+octet-stream"

    def parse(self, stream, media_type=None, parser_context=None) -> Any:
        return stream.read(uploads.PIECE_BYTES + 1)


@extend_schema(tags=TAGS)
class Imports(ProjectRows):
    """Files brought in, whole or not at all."""

    serializer_class = shapes.ImportSerializer
    policy = dict.fromkeys(
        ("list", "retrieve", "create", "confirm", "faults", "partial_update"), Action.IMPORT
    )
    filterset_fields = ["kind", "status", "sha256"]
    search_fields = ["filename"]
    ordering_fields = ["id", "filename"]
    parser_classes = [MultiPartParser, FormParser, JSONParser]
    queryset = ImportRecord.objects.none()

    def get_queryset(self):
        return self.project.imports.select_related("created_by").order_by("-id")

    @extend_schema(
        summary="Import a file",
        request={"multipart/form-data": shapes.NewImport},
        responses={200: shapes.ImportSerializer, 201: shapes.ImportSerializer, 202: shapes.ImportSerializer},
    )
    def create(self, request, slug):
        """Upload and import one file. 201: it is in. 202: it is large and is brought in meanwhile; ask for it
        again by its id. 200: the report of a dry run, after which it waits to be confirmed. An error names
        row and field, and nothing was stored."""
        data = valid_input(shapes.NewImport, request)
        file = data.pop("file")
        mapping = data.get("column_mapping")
        if isinstance(mapping, str):  # a form field holds text
            data["column_mapping"] = _parsed_mapping(mapping)
        fixes = [name.strip() for name in data.pop("fixes", "").split(",") if name.strip()]
        return self._answer(
            start_prepared_import(
                fixes=fixes,
                evaluation=_parsed_ids(data.pop("evaluation", "")),
                project=self.project,
                file=file,
                filename=file.name,
                acting_user=request.user,
                **data,
            )
        )

    @extend_schema(
        summary="Confirm an uploaded file",
        request=shapes.ConfirmImport,
        responses={200: shapes.ImportSerializer, 201: shapes.ImportSerializer, 202: shapes.ImportSerializer},
    )
    def confirm(self, request, slug, pk):
        """Bring in a file that was uploaded in pieces, was checked by a dry run, or failed before. Answers as
        importing does."""
        import_record = self.get_object()
        data = valid_input(shapes.ConfirmImport, request)
        imports.confirm_import(import_record=import_record, acting_user=request.user, **data)
        return self._answer(imports.run_or_ring(import_record=import_record))

    @extend_schema(
        summary="Change the licence of an import",
        request=shapes.LicenceChange,
        responses=shapes.ImportSerializer,
    )
    def partial_update(self, request, slug, pk):
        """State or correct its licence. Versions that were frozen keep the one of then; their card
        says both."""
        import_record = self.get_object()  # first: a foreign one is not found, whatever was sent
        data = valid_input(shapes.LicenceChange, request)
        changed = change_licence(import_record=import_record, acting_user=request.user, **data)
        return Response(self.get_serializer(changed).data)

    @extend_schema(
        summary="All faulty rows of an import, as CSV",
        responses={(200, "text/csv"): OpenApiTypes.BINARY},
    )
    def faults(self, request, slug, pk):
        """row, field and message of each faulty row: of a dry run, of rows that were left out, or the one
        that the file was refused for. Up to 100,000 are listed; `rows_left_out` counts all."""
        import_record = self.get_object()
        return stream_file(
            request._request,  # Django's own
            import_faults.faults_as_csv(import_record),
            filename=import_faults.filename_of(import_record),
            media_type="text/csv; charset=utf-8",
        )

    def _answer(self, import_record: ImportRecord) -> Response:
        imports.raise_if_failed(import_record)
        background.take_up_if_nobody_does(import_record)
        codes: dict[str, int] = {
            ImportStatus.SUCCEEDED: status.HTTP_201_CREATED,
            ImportStatus.UPLOADED: status.HTTP_200_OK,  # a dry run is over
        }
        code = codes.get(import_record.status, status.HTTP_202_ACCEPTED)
        return Response(self.get_serializer(import_record).data, status=code)


def _parsed_mapping(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Invalid("This is not JSON.", field="column_mapping") from error


def _parsed_ids(text: str) -> list[int]:
    ids = [each.strip() for each in text.split(",") if each.strip()]
    if not all(each.isascii() and each.isdigit() and len(each) < 19 for each in ids):
        raise Invalid(_("A list of ids of imports."), field="evaluation")
    return [int(each) for each in ids]


OFFSET = OpenApiParameter(
    "Upload-Offset", int, OpenApiParameter.HEADER, required=True, description="Where this piece begins."
)


@extend_schema(tags=TAGS)
class Uploads(ProjectRows):
    """Files on their way in: one's own, piece by piece."""

    serializer_class = shapes.UploadSerializer
    policy = dict.fromkeys(("list", "retrieve", "create", "piece", "cancel"), Action.IMPORT)
    filterset_fields = ["kind"]
    search_fields = ["filename"]
    ordering_fields = ["id"]
    parser_classes = [JSONParser, PieceParser]
    queryset = ImportUpload.objects.none()

    def get_queryset(self):
        return self.project.uploads.filter(created_by=self.request.user).order_by("id")

    @extend_schema(
        summary="Begin an upload", request=shapes.NewUpload, responses={201: shapes.UploadSerializer}
    )
    def create(self, request, slug):
        """Say what will come. Then send pieces of at most `piece_bytes` bytes with PATCH; after a fault ask
        for `offset` and go on from there, within a day."""
        data = valid_input(shapes.NewUpload, request)
        upload = uploads.begin_upload(project=self.project, acting_user=request.user, **data)
        return Response(self.get_serializer(upload).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Send a piece",
        parameters=[OFFSET],
        request={"application/offset+octet-stream": OpenApiTypes.BINARY},
        responses={200: shapes.UploadSerializer, 201: shapes.ImportSerializer},
    )
    def piece(self, request, slug, pk):
        """200: the piece lies on disk. 201: it was the last one, and this is the import, which waits to be
        confirmed. 409: the upload stands elsewhere."""
        upload = self.get_object()
        offset = request.headers.get("Upload-Offset", "")
        if not (offset.isascii() and offset.isdigit() and len(offset) < 16):
            raise Invalid("Say where the piece begins, as a whole number.", field="Upload-Offset")
        data = request.data
        if not isinstance(data, bytes):
            raise Invalid(
                _("Send the bytes as %(type)s.") % {"type": PieceParser.media_type},
                code="media_type",
                status=415,
            )
        record = uploads.add_piece(upload=upload, offset=int(offset), data=data, acting_user=request.user)
        if record is None:
            return Response(self.get_serializer(upload).data)
        return Response(
            shapes.ImportSerializer(record, context=self.get_serializer_context()).data,
            status=status.HTTP_201_CREATED,
        )

    @takes_nothing(summary="Cancel an upload", responses={204: None})
    def cancel(self, request, slug, pk):
        """Forget it; what was sent is removed."""
        uploads.cancel_upload(upload=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


IMPORT, UPLOADS = f"{PROJECT}imports/<int:pk>/", f"{PROJECT}uploads/"

urlpatterns = [
    path(f"{PROJECT}imports/", Imports.as_view(LIST_CREATE), name="api_imports"),
    path(IMPORT, Imports.as_view({**ONE, "patch": "partial_update"}), name="api_import"),
    path(f"{IMPORT}confirm/", Imports.as_view({"post": "confirm"}), name="api_import_confirm"),
    path(f"{IMPORT}faults/", Imports.as_view({"get": "faults"}), name="api_import_faults"),
    path(UPLOADS, Uploads.as_view(LIST_CREATE), name="api_uploads"),
    path(
        f"{UPLOADS}<int:pk>/",
        Uploads.as_view({**ONE, "patch": "piece", "delete": "cancel"}),
        name="api_upload",
    ),
]
