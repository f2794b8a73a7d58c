"""REST: looking through uploads and versions before they are used, and deciding what to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from annotate.api.bodies import valid_input
from annotate.errors import NotFound
from labeling.models import DatasetVersion, ImportRecord, Preparation, PreparationStatus
from labeling.permissions import Action
from labeling.preparation_words import FIXES, meaning_of, title_of
from labeling.services import background, preparations

from .base import LONGEST_KEY, PROJECT, ProjectViewMixin


class PreparationInput(serializers.Serializer):
    context = serializers.IntegerField(  # type: ignore[assignment]  # DRF takes fields off the class
        required=False, min_value=1, help_text="Tokens that a row may have; the model's, else 2048."
    )
    tokenizer = serializers.CharField(
        max_length=300,
        required=False,
        allow_blank=True,
        help_text="Whose tokens: a checkpoint's id or a base model (GET …/sizes/ names them); the project's "
        "newest model's if left out.",
    )
    evaluation = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        max_length=1_000,
        required=False,
        help_text="Ids of imports whose prompts may not be trained on.",
    )


class FindingDecision(serializers.Serializer):
    finding = serializers.CharField(max_length=LONGEST_KEY)
    decision = serializers.ChoiceField(choices=list(preparations.DECISIONS))
    fix = serializers.ChoiceField(choices=list(FIXES), required=False, default="")


class FindingSerializer(serializers.Serializer):
    key = serializers.CharField()
    severity = serializers.CharField()
    title = serializers.CharField()
    meaning = serializers.CharField()
    count = serializers.IntegerField()
    values = serializers.DictField()
    rows = serializers.ListField(help_text="The first ones: row, side (split), text.")
    groups = serializers.ListField(help_text="Rows that belong together: size, rows.")
    fixes = serializers.ListField(help_text="What could be done: key, rows (that it touches), of.")
    decision = serializers.CharField(help_text="apply, ignore or open")


class PreparationSerializer(serializers.Serializer):
    status = serializers.CharField()
    error = serializers.CharField()
    rows = serializers.IntegerField(allow_null=True)
    options = serializers.DictField()
    findings = FindingSerializer(many=True)
    coverage = serializers.DictField()
    fixes = serializers.ListField(child=serializers.CharField(), help_text="Chosen to be carried out.")
    counts = serializers.DictField(help_text="Rows that each fix touched, once the import is in.")


def _shown(subject: ImportRecord | DatasetVersion, preparation: Preparation | None) -> dict[str, Any]:
    preparation = preparation or Preparation()  # nobody asked yet: “chosen”, and nothing found
    fixes = preparations.fixes_of(subject, preparation)
    report = preparation.report
    return {
        "status": preparation.status,
        "error": preparation.error,
        "rows": report.get("rows"),
        "options": preparation.options,
        "findings": [_finding(each, fixes, preparation.ignored) for each in report.get("findings", ())],
        "coverage": report.get("coverage", {}),
        "fixes": fixes,
        "counts": preparation.counts,
    }


def _finding(finding: dict[str, Any], fixes: list[str], ignored: list[str]) -> dict[str, Any]:
    is_applied = any(fix["key"] in fixes for fix in finding["fixes"])
    decision = "apply" if is_applied else "ignore" if finding["key"] in ignored else "open"
    return finding | {
        "title": str(title_of(finding)),
        "meaning": meaning_of(finding),
        "decision": decision,
    }


DECISION_EXAMPLE = OpenApiExample(
    "Keep the first of equal rows",
    value={"finding": "exact_duplicates", "decision": "apply", "fix": "drop_exact_duplicates"},
    request_only=True,
)


class _Preparations(ProjectViewMixin, GenericViewSet, ABC):
    """What both kinds of subject share; `subject` finds the one that the address names."""

    serializer_class = PreparationSerializer

    @abstractmethod
    def subject(self) -> ImportRecord | DatasetVersion:
        """Raises NotFound."""

    def _report(self):
        subject = self.subject()
        return Response(_shown(subject, preparations.preparation_of(subject)))

    def _ask(self, request):
        subject = self.subject()
        asked = valid_input(PreparationInput, request)
        preparation = preparations.ask_for_report(subject=subject, acting_user=request.user, **asked)
        background.take_up_if_nobody_does(preparation)
        is_done = preparation.status in (PreparationStatus.READY, PreparationStatus.FAILED)
        code = status.HTTP_200_OK if is_done else status.HTTP_202_ACCEPTED
        return Response(_shown(subject, preparation), status=code)

    def _decide(self, request):
        subject = self.subject()
        decision = valid_input(FindingDecision, request)
        preparation = preparations.decide(subject=subject, acting_user=request.user, **decision)
        return Response(_shown(subject, preparation))


REPORT: dict[str, Any] = {"responses": PreparationSerializer}
ASK: dict[str, Any] = {
    "request": PreparationInput,
    "responses": {200: PreparationSerializer, 202: PreparationSerializer},
}
DECIDE: dict[str, Any] = {
    "request": FindingDecision,
    "responses": PreparationSerializer,
    "examples": [DECISION_EXAMPLE],
}


@extend_schema(tags=["imports"])
class ImportPreparation(_Preparations):
    """An upload that waits to be confirmed: sent in pieces, or after a dry run."""

    policy = {
        "retrieve": Action.IMPORT,
        "ask": Action.IMPORT,
        "decide": Action.IMPORT,
    }
    queryset = ImportRecord.objects.none()

    def subject(self) -> ImportRecord:
        record = self.project.imports.filter(pk=self.kwargs["pk"]).first()
        if record is None:
            raise NotFound("There is no such import.")
        return record

    @extend_schema(summary="The report on an upload", **REPORT)
    def retrieve(self, request, slug, pk):
        return self._report()

    @extend_schema(summary="Look through an upload", **ASK)
    def ask(self, request, slug, pk):
        """200: the report is there. 202: it is large and is looked through meanwhile."""
        return self._ask(request)

    @extend_schema(summary="Apply a fix to an upload, or ignore a finding", **DECIDE)
    def decide(self, request, slug, pk):
        return self._decide(request)


@extend_schema(tags=["datasets"])
class VersionPreparation(_Preparations):
    """A frozen version; fixes go into the recipe of its dataset, for the next version."""

    policy = {
        "retrieve": Action.VIEW_DATASETS,
        "ask": Action.VIEW_DATASETS,
        "decide": Action.FREEZE_DATASETS,
    }
    queryset = DatasetVersion.objects.none()

    def subject(self) -> DatasetVersion:
        found = DatasetVersion.objects.filter(
            dataset__project=self.project, dataset=self.kwargs["dataset_pk"], number=self.kwargs["number"]
        )
        version = found.select_related("dataset__project").first()
        if version is None:
            raise NotFound("There is no such dataset version.")
        return version

    @extend_schema(summary="The report on a version", **REPORT)
    def retrieve(self, request, slug, dataset_pk, number):
        return self._report()

    @extend_schema(summary="Look through a version", **ASK)
    def ask(self, request, slug, dataset_pk, number):
        """200: the report is there. 202: it is large and is looked through meanwhile."""
        return self._ask(request)

    @extend_schema(summary="Take a fix up into the recipe, or ignore a finding", **DECIDE)
    def decide(self, request, slug, dataset_pk, number):
        return self._decide(request)


IMPORT = f"{PROJECT}imports/<int:pk>/"
VERSION = f"{PROJECT}datasets/<int:dataset_pk>/versions/<int:number>/"
ROUTES: dict[str, Any] = {"get": "retrieve", "post": "ask"}

urlpatterns = [
    path(f"{IMPORT}preparation/", ImportPreparation.as_view(ROUTES), name="api_import_preparation"),
    path(
        f"{IMPORT}preparation/decisions/",
        ImportPreparation.as_view({"post": "decide"}),
        name="api_import_decisions",
    ),
    path(f"{VERSION}preparation/", VersionPreparation.as_view(ROUTES), name="api_version_preparation"),
    path(
        f"{VERSION}preparation/decisions/",
        VersionPreparation.as_view({"post": "decide"}),
        name="api_version_decisions",
    ),
]
