"""What the routes of one dataset version share."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter
from rest_framework import status
from rest_framework.response import Response
from rest_framework.views import APIView

from annotate.errors import Invalid, NotFound
from labeling.models import DatasetVersion
from labeling.services import background
from labeling.services.freeze_requests import standing

from . import data_serializers as shapes
from .base import PROJECT, AnyAccept, ProjectViewMixin

TAG = ["datasets"]
VERSION = f"{PROJECT}datasets/<int:dataset_pk>/versions/<int:number>/"


FREEZE_KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="The same freeze sent again is one version."
)


def answer_freeze(version: DatasetVersion) -> Response:
    """201: ready. 202: it is written meanwhile. 200: an older version has the very same rows."""
    background.take_up_if_nobody_does(version)
    if version.error:
        raise Invalid(version.error, code="freeze_failed")
    code: int = status.HTTP_201_CREATED if version.frozen_at else status.HTTP_202_ACCEPTED
    if version.same_as is not None:
        code = status.HTTP_200_OK
    return Response(shapes.VersionSerializer(standing(version)).data, status=code)


class VersionRows(ProjectViewMixin, APIView):
    """A route under one version of the project in the path."""

    content_negotiation_class = AnyAccept

    def version(self) -> DatasetVersion:
        """The version that the path names. Raises NotFound."""
        found = DatasetVersion.objects.filter(
            dataset__project=self.project,
            dataset=self.kwargs["dataset_pk"],
            number=self.kwargs["number"],
        )
        version = found.select_related("dataset__project").first()
        if version is None:
            raise NotFound("There is no such dataset version.")
        return version
