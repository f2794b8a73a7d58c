"""What the routes of one dataset version share."""

from __future__ import annotations

from rest_framework.views import APIView

from annotate.errors import NotFound
from labeling.models import DatasetVersion

from .base import PROJECT, AnyAccept, ProjectViewMixin

TAG = ["datasets"]
VERSION = f"{PROJECT}datasets/<int:dataset_pk>/versions/<int:number>/"


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
