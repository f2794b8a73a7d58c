"""REST: forms, drafted, published, read."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.response import Response

from annotate.api.bodies import takes_nothing, valid_input
from annotate.errors import NotFound
from labeling.models import Form, FormVersion, Layout
from labeling.permissions import Action
from labeling.services import forms

from .base import LIST, PROJECT, ProjectViewMixin

DRAFT_EXAMPLE = {
    "revision": 0,
    "definition": {
        "prompt_flags": [{"key": "unclear", "label": "Unclear"}],
        "questions": [
            {"key": "sure", "label": "How sure are you?", "type": "scale", "per": "task", "required": True}
        ],
    },
}


class FormVersionSerializer(serializers.ModelSerializer):
    definition = serializers.JSONField(
        source="definition_json",
        help_text="scale, scores, completion_flags, prompt_flags, ask_margins, allow_ties, "
        "allow_neither, rationale, "
        "questions: what the layout has of them. docs/api.md describes each.",
    )

    class Meta:
        model = FormVersion
        fields = ["id", "layout", "number", "definition", "change_summary", "sha256", "published_at"]


class FormDraftOutput(serializers.ModelSerializer):
    draft = serializers.JSONField(source="draft_json", help_text="null: there is none.", allow_null=True)

    class Meta:
        model = Form
        fields = ["layout", "draft", "draft_revision", "draft_updated_at"]


class FormDraftInput(serializers.Serializer):
    definition = serializers.DictField(help_text="What is left out is the layout's default.")
    revision = serializers.IntegerField(min_value=0, help_text="The draft's revision that you have edited.")


class FormPublishInput(serializers.Serializer):
    change_summary = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")


class Forms(ProjectViewMixin, viewsets.GenericViewSet):
    """Versions are immutable; `{layout}` is demonstration, ranking or pairwise."""

    serializer_class = FormVersionSerializer
    policy = {
        "list": Action.READ_FORMS,
        "current": Action.READ_FORMS,
        "version": Action.READ_FORMS,
        "draft": Action.EDIT_FORMS,
        "save_draft": Action.EDIT_FORMS,
        "discard_draft": Action.EDIT_FORMS,
        "publish": Action.EDIT_FORMS,
    }
    filterset_fields = ["layout", "number"]
    queryset = FormVersion.objects.none()

    def get_queryset(self):
        return FormVersion.objects.filter(form__project=self.project).order_by("layout", "-number")

    def list(self, request, slug):
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(FormVersionSerializer(page, many=True).data)

    def _form(self, layout: str) -> Form:
        form = self.project.forms.filter(layout=layout).first() if layout in Layout.values else None
        if form is None:
            raise NotFound("There is no such form.")
        return form

    @extend_schema(responses=FormVersionSerializer)
    def current(self, request, slug, layout):
        """The version in force: what the next task that is handed out will ask."""
        return Response(FormVersionSerializer(self._form(layout).current).data)

    @extend_schema(responses=FormVersionSerializer)
    def version(self, request, slug, layout, number):
        """Any version, by its number."""
        version = self._form(layout).versions.filter(number=number).first()
        if version is None:
            raise NotFound("There is no such version of this form.")
        return Response(FormVersionSerializer(version).data)

    @extend_schema(responses=FormDraftOutput)
    def draft(self, request, slug, layout):
        return Response(FormDraftOutput(self._form(layout)).data)

    @extend_schema(
        request=FormDraftInput,
        responses=FormDraftOutput,
        examples=[OpenApiExample("A question of one's own", value=DRAFT_EXAMPLE, request_only=True)],
    )
    def save_draft(self, request, slug, layout):
        """Keep a draft. 409 `stale_draft` if somebody has saved since `revision`; 422 names the field."""
        data = valid_input(FormDraftInput, request)
        form = forms.save_draft(project=self.project, layout=layout, acting_user=request.user, **data)
        return Response(FormDraftOutput(form).data)

    @takes_nothing(responses={204: None})
    def discard_draft(self, request, slug, layout):
        """Forget the draft."""
        forms.discard_draft(project=self.project, layout=layout, acting_user=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=FormPublishInput, responses={201: FormVersionSerializer})
    def publish(self, request, slug, layout):
        """Publish the draft as the next version. Work in hand keeps the version it was handed out with."""
        data = valid_input(FormPublishInput, request)
        version = forms.publish_version(project=self.project, layout=layout, acting_user=request.user, **data)
        return Response(FormVersionSerializer(version).data, status=status.HTTP_201_CREATED)


FORM = f"{PROJECT}forms/<str:layout>/"
DRAFT_VERBS: dict[str, Any] = {"get": "draft", "put": "save_draft", "delete": "discard_draft"}
urlpatterns = [
    path(f"{PROJECT}forms/", Forms.as_view(LIST), name="api_forms"),
    path(FORM, Forms.as_view({"get": "current"}), name="api_form"),
    path(f"{FORM}versions/<int:number>/", Forms.as_view({"get": "version"}), name="api_form_version"),
    path(f"{FORM}draft/", Forms.as_view(DRAFT_VERBS), name="api_form_draft"),
    path(f"{FORM}publish/", Forms.as_view({"post": "publish"}), name="api_form_publish"),
]
