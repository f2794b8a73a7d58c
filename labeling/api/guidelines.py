"""REST: guidelines, drafted, published, acknowledged."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.response import Response

from annotate.api.bodies import takes_nothing, valid_input
from annotate.errors import NotFound
from labeling.models import Guideline, GuidelineVersion, TaskKind
from labeling.permissions import Action
from labeling.services import guidelines
from labeling.services.guidelines import LONGEST_GUIDELINE

from .base import LIST, PROJECT, ProjectViewMixin


class GuidelineVersionSerializer(serializers.ModelSerializer):
    kind = serializers.CharField(source="guideline.kind")

    class Meta:
        model = GuidelineVersion
        fields = ["id", "kind", "number", "markdown", "change_summary", "sha256", "published_at"]


class DraftSerializer(serializers.ModelSerializer):
    class Meta:
        model = Guideline
        fields = ["kind", "draft_markdown", "draft_revision", "draft_updated_at"]


class GuidelineDraftInput(serializers.Serializer):
    markdown = serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=LONGEST_GUIDELINE)
    revision = serializers.IntegerField(min_value=0, help_text="The draft's revision that you have edited.")


class PublishInput(serializers.Serializer):
    change_summary = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")


class Guidelines(ProjectViewMixin, viewsets.GenericViewSet):
    """Versions are immutable; `{kind}` is demonstration or ranking."""

    serializer_class = GuidelineVersionSerializer
    policy = {
        "list": Action.READ_GUIDELINES,
        "current": Action.READ_GUIDELINES,
        "acknowledge": Action.READ_GUIDELINES,
        "draft": Action.EDIT_GUIDELINES,
        "save_draft": Action.EDIT_GUIDELINES,
        "publish": Action.EDIT_GUIDELINES,
    }
    filterset_fields = ["guideline__kind", "number"]
    queryset = GuidelineVersion.objects.none()

    def get_queryset(self):
        versions = GuidelineVersion.objects.filter(guideline__project=self.project)
        return versions.select_related("guideline").order_by("guideline__kind", "-number")

    def list(self, request, slug):
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(GuidelineVersionSerializer(page, many=True).data)

    def _guideline(self, kind: str) -> Guideline:
        guideline = self.project.guidelines.filter(kind=kind).first() if kind in TaskKind.values else None
        if guideline is None:
            raise NotFound("There is no such guideline.")
        return guideline

    def _current(self, kind: str) -> GuidelineVersion:
        version = self._guideline(kind).current
        if version is None:
            raise NotFound("No version of this guideline is published yet.")
        return version

    @extend_schema(responses=GuidelineVersionSerializer)
    def current(self, request, slug, kind):
        """The version in force."""
        return Response(GuidelineVersionSerializer(self._current(kind)).data)

    @takes_nothing(responses=GuidelineVersionSerializer)
    def acknowledge(self, request, slug, kind):
        """Say that you have read the version in force; needed before work is handed out under it."""
        version = self._current(kind)
        guidelines.acknowledge_version(version=version, user=request.user)
        return Response(GuidelineVersionSerializer(version).data)

    @extend_schema(responses=DraftSerializer)
    def draft(self, request, slug, kind):
        return Response(DraftSerializer(self._guideline(kind)).data)

    @extend_schema(request=GuidelineDraftInput, responses=DraftSerializer)
    def save_draft(self, request, slug, kind):
        data = valid_input(GuidelineDraftInput, request)
        guideline = guidelines.save_draft(project=self.project, kind=kind, acting_user=request.user, **data)
        return Response(DraftSerializer(guideline).data)

    @extend_schema(request=PublishInput, responses={201: GuidelineVersionSerializer})
    def publish(self, request, slug, kind):
        """Publish the draft as the next version."""
        data = valid_input(PublishInput, request)
        version = guidelines.publish_version(
            project=self.project, kind=kind, acting_user=request.user, **data
        )
        return Response(GuidelineVersionSerializer(version).data, status=status.HTTP_201_CREATED)


urlpatterns = [
    path(f"{PROJECT}guidelines/", Guidelines.as_view(LIST), name="api_guidelines"),
    path(f"{PROJECT}guidelines/<str:kind>/", Guidelines.as_view({"get": "current"}), name="api_guideline"),
    path(
        f"{PROJECT}guidelines/<str:kind>/acknowledge/",
        Guidelines.as_view({"post": "acknowledge"}),
        name="api_guideline_acknowledge",
    ),
    path(
        f"{PROJECT}guidelines/<str:kind>/draft/",
        Guidelines.as_view({"get": "draft", "put": "save_draft"}),
        name="api_guideline_draft",
    ),
    path(
        f"{PROJECT}guidelines/<str:kind>/publish/",
        Guidelines.as_view({"post": "publish"}),
        name="api_guideline_publish",
    ),
]
