"""REST: texts to pretrain on."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response
from rest_framework.views import APIView

from annotate.api.bodies import valid_input
from annotate.api.filters import refuse_unknown
from labeling.api.base import ProjectViewMixin
from labeling.permissions import Action
from training.services.locations import text_files
from training.services.texts import save_text


class NewTextSerializer(serializers.Serializer):
    file = serializers.FileField(
        allow_empty_file=True,
        help_text="Text in UTF-8, at most 512 MiB; its name ends in .txt, .md, .jsonl or .ndjson.",
    )


class TextSerializer(serializers.Serializer):
    name = serializers.CharField(help_text="What the input `text_files` of a pretraining run names.")
    size_bytes = serializers.IntegerField()


def shown(path) -> dict[str, Any]:
    return {"name": path.name, "size_bytes": path.stat().st_size}


@extend_schema(tags=["runs"])
class Texts(ProjectViewMixin, APIView):
    """Texts of a project; a name stands for the same bytes for ever, so that runs can be repeated."""

    policy: ClassVar[dict[str, Any]] = {"get": Action.VIEW_RUNS, "post": Action.LAUNCH_RUNS}
    parser_classes = [MultiPartParser]

    @extend_schema(summary="Texts by name", responses=TextSerializer(many=True))
    def get(self, request, slug):
        refuse_unknown(request, ())
        return Response([shown(path) for path in text_files(self.project)])

    @extend_schema(
        summary="Upload a text",
        request={"multipart/form-data": NewTextSerializer},
        responses={201: TextSerializer},
    )
    def post(self, request, slug):
        """The same bytes under the same name again add nothing; other bytes under it are a conflict."""
        file = valid_input(NewTextSerializer, request)["file"]
        path = save_text(
            project=self.project, name=file.name, file=file.file, acting_user=request.user, reuse=True
        )
        return Response(shown(path), status=status.HTTP_201_CREATED)
