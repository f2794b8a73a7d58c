"""REST: where a judgment, a prompt or a file comes from, and what came of it."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.lineage_page import lineage_of
from labeling.permissions import Action

from .base import PROJECT, ProjectViewMixin
from .dataset_versions import TAG


class StepSerializer(serializers.Serializer):
    kind = serializers.CharField(
        help_text="prompt, import, judgment, review, guideline, completion, person, version or usage"
    )
    title = serializers.CharField()
    path = serializers.CharField(help_text="Its page; empty where it has none.")
    role = serializers.CharField(help_text="The least role that may open it.")
    note = serializers.CharField()
    text = serializers.CharField(help_text="The beginning of what people or models wrote.")
    facts = serializers.DictField()
    steps = serializers.ListField(child=serializers.DictField(), help_text="What came of it: steps again.")


class LineageSerializer(serializers.Serializer):
    kind = serializers.CharField()
    id = serializers.IntegerField()
    title = serializers.CharField()
    path = serializers.CharField()
    back = StepSerializer(many=True, help_text="The nearest first, the source of the prompt last.")
    forward = StepSerializer(many=True, help_text="Versions that hold it, with what was made from them.")


class _Lineage(ProjectViewMixin, APIView):
    """From one thing back to its source, and forward to dataset versions, runs and checkpoints."""

    policy = {"get": Action.VIEW_DATASETS}
    kind = ""

    def _answer(self, pk: int) -> Response:
        found = lineage_of(self.project, self.kind, pk)
        return Response(
            {
                "kind": found.kind,
                "id": found.pk,
                "title": str(found.title),
                "path": found.path,
                "back": [step.to_json() for step in found.back],
                "forward": [step.to_json() for step in found.forward],
            }
        )


class JudgmentLineage(_Lineage):
    kind = "judgment"

    @extend_schema(tags=TAG, summary="Lineage of a judgment", responses=LineageSerializer)
    def get(self, request, slug, pk):
        """Back to who judged, reviews, guideline version, completions and the source of the prompt; forward
        to versions, runs and checkpoints. A row of a version has its judgment's id. People appear by
        pseudonym."""
        return self._answer(pk)


class PromptLineage(_Lineage):
    kind = "prompt"

    @extend_schema(tags=TAG, summary="Lineage of a prompt", responses=LineageSerializer)
    def get(self, request, slug, pk):
        """Back to its source, forward to its judgments and all that came of them."""
        return self._answer(pk)


class ImportLineage(_Lineage):
    kind = "import"

    @extend_schema(tags=TAG, summary="Lineage of an import", responses=LineageSerializer)
    def get(self, request, slug, pk):
        """What of the file is in which versions, and what was made from those."""
        return self._answer(pk)


urlpatterns = [
    path(f"{PROJECT}submissions/<int:pk>/lineage/", JudgmentLineage.as_view(), name="api_judgment_lineage"),
    path(f"{PROJECT}prompts/<int:pk>/lineage/", PromptLineage.as_view(), name="api_prompt_lineage"),
    path(f"{PROJECT}imports/<int:pk>/lineage/", ImportLineage.as_view(), name="api_import_lineage"),
]
