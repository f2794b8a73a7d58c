"""REST: the quality report, the items that people disagree on, work to be judged again."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.response import Response

from annotate.api.bodies import takes_nothing, valid_input
from annotate.errors import Invalid
from annotate.words import _
from labeling import quality_page
from labeling.models import TaskAgreement
from labeling.permissions import Action
from labeling.services.quality_reports import request_report
from labeling.services.requeue import MOST_AT_ONCE, RequeueMode, requeue_submissions

from .base import LIST, PROJECT, ProjectViewMixin


# --- Shapes -----------------------------------------------------------------------------------------------
class EstimateOutput(serializers.Serializer):
    """A measure with its 95 % bootstrap interval over tasks; shares and coefficients, not percent."""

    value = serializers.FloatField(allow_null=True, help_text="null where the measure is undefined.")
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    size = serializers.IntegerField(help_text="How much it rests on: comparisons, pairs of rankings, units.")


class CeilingOutput(serializers.Serializer):
    """Best accuracy of a reward model on one person's choices, from A, the agreement on decided pairs:
    between A and (1 + sqrt(2A - 1)) / 2."""

    low = serializers.FloatField()
    high = serializers.FloatField()
    interval_low = serializers.FloatField(
        allow_null=True, help_text="`low` at the lower end of A's interval."
    )
    interval_high = serializers.FloatField(allow_null=True)
    agreement = serializers.FloatField()
    size = serializers.IntegerField()


class HeadlineOutput(serializers.Serializer):
    """Over all tasks of the project's own work that two people or more ranked: calibration counts, screening,
    gold and repeats do not. Two ties always agree; a pair of completions that one could not rank is left out;
    what counts is each person's own last revision, each judgment weighing the same in pairwise agreement."""

    tasks = serializers.IntegerField()
    pairwise_agreement = EstimateOutput(help_text="A tie of one person only is half an agreement.")
    pairwise_agreement_ties_disagree = EstimateOutput(help_text="A tie of one person only is a disagreement.")
    pairwise_agreement_decided = EstimateOutput(help_text="Of pairs that both decided.")
    ranking_alpha = EstimateOutput(help_text="Krippendorff, nominal, over better, tie, worse.")
    ranking_fleiss_kappa = EstimateOutput(
        help_text="The same judgments; each pair of completions weighs one."
    )
    kendall_tau_b = EstimateOutput(help_text="Mean over pairs of rankings of one task.")
    ceiling = CeilingOutput(allow_null=True)


class ReportOutput(serializers.Serializer):
    """The stored report. `as_of` null: none was computed yet, and all else is empty."""

    as_of = serializers.DateTimeField(allow_null=True)
    is_being_computed = serializers.BooleanField()
    error = serializers.CharField(help_text="Why the last computation failed, or empty.")
    counts = serializers.DictField(child=serializers.IntegerField())
    agreement = HeadlineOutput(allow_null=True)
    ratings = serializers.DictField(
        help_text="`scores`, `demonstration_scores`: alpha_ordinal, alpha_interval, alpha_nominal, of the "
        "`scale` [least, highest] on which most was scored twice; `left_out`: scored twice on another. "
        "`completion_flags`, `prompt_flags`: `all` and `by_flag` with alpha_nominal and fleiss_kappa."
    )


class CutRow(serializers.Serializer):
    """Agreement in one part of the work. Both under one version, or `mixed`; on the day of the later
    of two judgments; for margins, with what one person decided at that margin."""

    key = serializers.JSONField(help_text="Id, pair of ids, number, name, or days since 1970-01-01.")
    label = serializers.CharField()  # type: ignore[assignment]
    tasks = serializers.IntegerField()
    agreement = EstimateOutput()
    alpha = EstimateOutput(required=False)
    tau_b = EstimateOutput(required=False)
    cohen_kappa = EstimateOutput(required=False, help_text="For pairs of people.")
    scores_alpha = EstimateOutput(required=False, help_text="Krippendorff, ordinal, of scores.")
    flags_alpha = EstimateOutput(required=False, help_text="Krippendorff, nominal, of flags on completions.")
    reliability = EstimateOutput(
        required=False,
        help_text="For people: how probably they name the better of two completions, judged by all others.",
    )


class MetersOutput(serializers.Serializer):
    """Evidence, never a verdict. Rates are shares of decided pairs, with intervals that take account of the
    pairs of one ranking depending on each other; slopes are log odds for each e-fold of length; paces are
    robust z of log seconds for each character; pasted counts are characters."""

    project = serializers.DictField()
    people = serializers.ListField(child=serializers.DictField())
    readings = serializers.IntegerField()
    marked = serializers.IntegerField(help_text="Readings whose interval leaves the comparison out.")
    expected_by_chance = serializers.FloatField(help_text="How many would though nobody leans any way.")


class DisagreementOutput(serializers.ModelSerializer):
    task = serializers.IntegerField(source="task_id")
    prompt = serializers.IntegerField(source="task.prompt_id")
    category = serializers.CharField(source="task.prompt.category")
    preview = serializers.CharField(source="task.prompt.preview")
    agreement = serializers.FloatField(source="value", help_text="Pairwise, a tie of one person is half.")
    flags = serializers.SerializerMethodField(help_text="Set by anybody on the prompt or a completion.")

    class Meta:
        model = TaskAgreement
        fields = ["task", "prompt", "category", "preview", "people", "comparisons", "agreement", "flags"]

    def get_flags(self, row) -> list[str]:
        return [key for key in row.flags.strip("|").split("|") if key]


class RequeueInput(serializers.Serializer):
    submissions = serializers.ListField(
        child=serializers.IntegerField(), allow_empty=False, max_length=MOST_AT_ONCE
    )
    mode = serializers.ChoiceField(choices=RequeueMode.choices)
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)


class RefusedOutput(serializers.Serializer):
    submission = serializers.IntegerField()
    message = serializers.CharField()


class RequeueOutput(serializers.Serializer):
    done = serializers.ListField(child=serializers.IntegerField())
    refused = RefusedOutput(many=True)


# --- Views ------------------------------------------------------------------------------------------------
class Quality(ProjectViewMixin, viewsets.GenericViewSet):
    """How much people agree, and their leanings. Computed in the background; `as_of` says when."""

    serializer_class = ReportOutput
    policy = {
        "report": Action.REVIEW,
        "refresh": Action.REVIEW,
        "agreement": Action.REVIEW,
        "meters": Action.REVIEW,
        "requeue": Action.REVIEW,
    }
    own_parameters = {"agreement": ("by",)}
    queryset = TaskAgreement.objects.none()

    @extend_schema(responses=ReportOutput)
    def report(self, request, slug):
        """The headline, scores and flags."""
        return Response(_report(quality_page.report_of(self.project)))

    @takes_nothing(responses=ReportOutput)
    def refresh(self, request, slug):
        """Have it computed anew: at once where the project is small, else by a worker."""
        return Response(_report(request_report(project=self.project, acting_user=request.user)))

    @extend_schema(
        parameters=[OpenApiParameter("by", enum=list(quality_page.CUTS), description="person by default")],
        responses=CutRow(many=True),
    )
    def agreement(self, request, slug):
        """The same by person, pair of people, batch, category, guideline_version, margin or time."""
        cut = request.query_params.get("by", "person")
        if cut not in quality_page.CUTS:
            raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(quality_page.CUTS)}, field="by")
        rows = quality_page.rows_of(self.project, quality_page.report_of(self.project).body, cut)
        return Response([{key: value for key, value in row.items() if key != "query"} for row in rows])

    @extend_schema(responses=MetersOutput)
    def meters(self, request, slug):
        """Position, length, pace, pasting, agreement with oneself, by person; empty before a report."""
        return Response(quality_page.meters_of(quality_page.report_of(self.project).body))

    @extend_schema(
        request=RequeueInput,
        responses=RequeueOutput,
        examples=[
            OpenApiExample(
                "Back to their authors",
                value={"submissions": [1], "mode": "return", "note": "Version 2 says how to treat ties."},
                request_only=True,
            )
        ],
    )
    def requeue(self, request, slug):
        """Have judgments made again: `return` to their authors, or `new_slot` for others. Each stands for
        itself; `refused` says which could not be and why."""
        data = valid_input(RequeueInput, request)
        answer = requeue_submissions(
            project=self.project,
            submission_ids=data["submissions"],
            mode=data["mode"],
            note=data["note"],
            acting_user=request.user,
        )
        refused = [{"submission": pk, "message": message} for pk, message in answer.refused]
        return Response({"done": answer.done, "refused": refused}, status=status.HTTP_200_OK)


class Disagreements(ProjectViewMixin, viewsets.GenericViewSet):
    """Ranking tasks that two people or more ranked, those with the lowest agreement first."""

    serializer_class = DisagreementOutput
    policy = {"list": Action.REVIEW}
    filterset_fields = {"task__prompt__category": ["exact"], "value": ["lt", "gte"], "task__batch": ["exact"]}
    search_fields = ["task__prompt__preview"]
    ordering_fields = ["value", "task"]
    queryset = TaskAgreement.objects.none()

    def get_queryset(self):
        return quality_page.disagreements(self.project).order_by("value", "task")

    def list(self, request, slug):
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(DisagreementOutput(page, many=True).data)


def _report(report) -> dict:
    body = report.body
    return {
        "as_of": report.as_of,
        "is_being_computed": report.claimed_at is not None or report.requested_at is not None,
        "error": report.error,
        "counts": body.get("counts", {}),
        "agreement": body.get("agreement"),
        "ratings": body.get("ratings", {}),
    }


urlpatterns = [
    path(f"{PROJECT}quality/", Quality.as_view({"get": "report"}), name="api_quality"),
    path(f"{PROJECT}quality/refresh/", Quality.as_view({"post": "refresh"}), name="api_quality_refresh"),
    path(f"{PROJECT}quality/agreement/", Quality.as_view({"get": "agreement"}), name="api_quality_agreement"),
    path(f"{PROJECT}quality/meters/", Quality.as_view({"get": "meters"}), name="api_quality_meters"),
    path(f"{PROJECT}quality/disagreements/", Disagreements.as_view(LIST), name="api_quality_disagreements"),
    path(
        f"{PROJECT}submissions/requeue/", Quality.as_view({"post": "requeue"}), name="api_submissions_requeue"
    ),
]
