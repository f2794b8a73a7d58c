"""REST: projects and how far they are."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import transaction
from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from annotate.api.bodies import valid_input
from labeling import reports
from labeling.models import Project
from labeling.models.project import LONGEST_DESCRIPTION
from labeling.permissions import Action, load_project, overseen_by
from labeling.services import projects

from .base import LIST_CREATE, PROJECT


class ProjectSerializer(serializers.ModelSerializer):
    settings = serializers.SerializerMethodField(
        help_text="Null for annotators: rates of gold and of review would tell them when they are looked at."
    )

    class Meta:
        model = Project
        fields = ["slug", "name", "description", "settings", "created_at", "archived_at"]

    def get_settings(self, project: Project) -> dict[str, Any] | None:
        return project.settings_json if project.pk in self.context["overseen"] else None


class ProjectInput(serializers.Serializer):
    name = serializers.CharField(max_length=120)
    slug = serializers.SlugField(max_length=60, required=False)
    description = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=LONGEST_DESCRIPTION
    )
    settings = serializers.DictField(
        required=False, help_text="See the project's settings page for each bound."
    )


class ProjectChange(serializers.Serializer):
    name = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_DESCRIPTION)
    settings = serializers.DictField(required=False)


class Projects(viewsets.GenericViewSet, mixins.ListModelMixin):
    """Projects that the caller is a member of."""

    queryset = Project.objects.none()  # for the schema; get_queryset scopes rows to the caller
    serializer_class = ProjectSerializer
    permission_classes = [IsAuthenticated]
    search_fields = ["name", "slug"]
    ordering_fields = ["name", "created_at"]
    lookup_field = "slug"
    # Rows are scoped to the caller; each other action loads the project through the policy.
    policy: ClassVar[dict[str, Any]] = {
        "list": "signed in",
        "create": "signed in",
        "retrieve": Action.VIEW_PROJECT,
        "partial_update": Action.CHANGE_SETTINGS,
        "progress": Action.VIEW_OVERVIEW,
    }

    def get_serializer_context(self):
        return {**super().get_serializer_context(), "overseen": overseen_by(self.request.user)}

    def get_queryset(self):
        return Project.objects.visible_to(self.request.user).distinct()

    @extend_schema(
        request=ProjectInput,
        responses={201: ProjectSerializer},
        examples=[OpenApiExample("A project", value={"name": "Tidy answers"}, request_only=True)],
    )
    def create(self, request):
        """Open a project. Site staff only."""
        data = valid_input(ProjectInput, request)
        project = projects.create_project(acting_user=request.user, **data)
        return Response(
            ProjectSerializer(project, context=self.get_serializer_context()).data,
            status=status.HTTP_201_CREATED,
        )

    def retrieve(self, request, slug):
        project, _ = load_project(request.user, slug, self.policy["retrieve"])
        return Response(ProjectSerializer(project, context=self.get_serializer_context()).data)

    @extend_schema(request=ProjectChange, responses=ProjectSerializer)
    def partial_update(self, request, slug):
        """Change name, description or some settings; what is not named stays."""
        project, _ = load_project(request.user, slug, self.policy["partial_update"])
        data = valid_input(ProjectChange, request)
        acting = {"project": project, "acting_user": request.user}
        with transaction.atomic():  # all of it, or nothing
            if "name" in data or "description" in data:
                name, text = data.get("name", project.name), data.get("description", project.description)
                projects.update_project(**acting, name=name, description=text)
            if "settings" in data:
                projects.update_settings(**acting, values=data["settings"])
        return Response(ProjectSerializer(project, context=self.get_serializer_context()).data)

    @extend_schema(responses={200: dict})
    def progress(self, request, slug):
        """How far the work is: per task kind, and people's agreement on rankings, of the quality report."""
        project, _ = load_project(request.user, slug, self.policy["progress"])
        agreement = reports.stored_agreement(project)
        kinds = [vars(entry) | {"fraction": entry.fraction} for entry in reports.progress_by_kind(project)]
        return Response(
            {
                "kinds": kinds,
                "agreement": {
                    "value": agreement["value"],
                    "pairs": agreement["size"],
                    "as_of": agreement["as_of"],
                },
            }
        )


urlpatterns = [
    path("projects/", Projects.as_view(LIST_CREATE), name="api_projects"),
    path(PROJECT, Projects.as_view({"get": "retrieve", "patch": "partial_update"}), name="api_project"),
    path(f"{PROJECT}progress/", Projects.as_view({"get": "progress"}), name="api_progress"),
]
