"""REST: the settled order of ranking tasks, and a reward model's scores of completions."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.response import Response

from annotate.errors import NotFound
from annotate.words import _
from labeling.models import Adjudication, Completion, Task
from labeling.permissions import Action
from labeling.services.adjudications import adjudicate_task, propose_consensus
from labeling.services.blind import ranking_from_public
from labeling.services.scores import record_scores

from .base import LIST_CREATE, ONE, PROJECT, ProjectRows, ProjectViewMixin, valid_input

MOST_SCORES = 10_000


# --- Shapes -----------------------------------------------------------------------------------------------
class AdjudicationOutput(serializers.ModelSerializer):
    """An order by public ids of completions, best first; `superseded_at` is null while it stands."""

    by = serializers.CharField(source="by.name")
    tiers = serializers.SerializerMethodField()
    unrankable = serializers.SerializerMethodField()

    class Meta:
        model = Adjudication
        fields = [
            "id", "task", "tiers", "unrankable", "method", "is_changed", "note", "by", "at", "superseded_at",
        ]  # fmt: skip

    def get_tiers(self, adjudication) -> list[list[str]]:
        names = self._names(adjudication)
        return [[names[pk] for pk in tier] for tier in adjudication.tiers]

    def get_unrankable(self, adjudication) -> list[str]:
        names = self._names(adjudication)
        return [names[pk] for pk in adjudication.unrankable]

    def _names(self, adjudication) -> dict[int, str]:
        return {each.pk: str(each.public_id) for each in adjudication.task.completions.all()}


class AdjudicationInput(serializers.Serializer):
    task = serializers.IntegerField()
    tiers = serializers.ListField(child=serializers.ListField(child=serializers.UUIDField()))
    unrankable = serializers.ListField(child=serializers.UUIDField(), required=False, default=list)
    note = serializers.CharField(max_length=4_000)
    replaces = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="The standing one that you saw, if any."
    )


class ProposalOutput(serializers.Serializer):
    tiers = serializers.ListField(child=serializers.ListField(child=serializers.UUIDField()))
    unrankable = serializers.ListField(child=serializers.UUIDField())
    method = serializers.CharField()
    support = serializers.FloatField(allow_null=True)


class ScoreInput(serializers.Serializer):
    completion = serializers.UUIDField(help_text="Public id.")
    score = serializers.FloatField()


class ScoresInput(serializers.Serializer):
    scorer_key = serializers.UUIDField(help_text="The reward model's checkpoint.")
    scorer_name = serializers.CharField(required=False, allow_blank=True, default="", max_length=120)
    scores = ScoreInput(many=True, allow_empty=False, max_length=MOST_SCORES)  # type: ignore[call-arg]


class ScoresOutput(serializers.Serializer):
    added = serializers.IntegerField()


# --- Views ------------------------------------------------------------------------------------------------
class Adjudications(ProjectRows):
    """Orders that leads settled, newest first, those replaced too. POST settles one."""

    serializer_class = AdjudicationOutput
    policy = {
        "list": Action.REVIEW,
        "retrieve": Action.REVIEW,
        "create": Action.REVIEW,
        "proposal": Action.REVIEW,
    }
    filterset_fields = ["task", "by"]
    ordering_fields = ["id", "at"]
    queryset = Adjudication.objects.none()

    def get_queryset(self):
        rows = self.project.adjudications.select_related("by").prefetch_related("task__completions")
        return rows.order_by("-id")

    @extend_schema(
        request=AdjudicationInput,
        responses={201: AdjudicationOutput},
        examples=[
            OpenApiExample(
                "Settle",
                value={
                    "task": 1,
                    "tiers": [
                        ["4b2c9f0e-6a0e-4b8e-9a34-0c6c1a7d5a11"],
                        ["0d9d1d36-3a55-4f9e-8e0c-7c9d1b0e2f22"],
                    ],
                    "note": "The second one invents a date.",
                },
                request_only=True,
            )
        ],
    )
    def create(self, request, slug):
        """Settle a task's order. 409 `newer_adjudication` where another stands than `replaces` names."""
        data = valid_input(AdjudicationInput, request)
        task = self._task(data["task"])
        sent = {
            "tiers": [[str(name) for name in tier] for tier in data["tiers"]],
            "unrankable": [str(name) for name in data["unrankable"]],
        }
        names = {str(each.public_id): each.pk for each in task.completions.all()}
        adjudication = adjudicate_task(
            task=task,
            by=request.user,
            note=data["note"],
            replaces=data["replaces"],
            **ranking_from_public(sent, names),
        )
        return Response(AdjudicationOutput(adjudication).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=ProposalOutput)
    def proposal(self, request, slug, pk):
        """What the standing rankings of a task add up to."""
        task = self._task(pk)
        proposal = propose_consensus(task)
        names = {each.pk: str(each.public_id) for each in task.completions.all()}
        return Response(
            {
                "tiers": [[names[each] for each in tier] for tier in proposal.tiers],
                "unrankable": [names[each] for each in proposal.unrankable],
                "method": proposal.method,
                "support": proposal.support,
            }
        )

    def _task(self, pk: int) -> Task:
        task = self.project.tasks.select_related("project").filter(pk=pk).first()
        if task is None:
            raise NotFound("There is no such task.", field="task")
        return task


class CompletionScores(ProjectViewMixin, viewsets.GenericViewSet):
    """A reward model's opinion of completions."""

    serializer_class = ScoresInput
    policy = {"create": Action.IMPORT}
    queryset = Completion.objects.none()

    @extend_schema(
        request=ScoresInput,
        responses=ScoresOutput,
        examples=[
            OpenApiExample(
                "Two scores",
                value={
                    "scorer_key": "6f1d0f51-52a5-4e0b-9a0e-3f2f6f1f7a33",
                    "scorer_name": "reward-3",
                    "scores": [
                        {"completion": "4b2c9f0e-6a0e-4b8e-9a34-0c6c1a7d5a11", "score": 1.5},
                        {"completion": "0d9d1d36-3a55-4f9e-8e0c-7c9d1b0e2f22", "score": -0.25},
                    ],
                },
                request_only=True,
            )
        ],
    )
    def create(self, request, slug):
        """Hand scores in. Rankings they confidently contradict come before reviewers; none is changed."""
        data = valid_input(ScoresInput, request)
        wanted = [row["completion"] for row in data["scores"]]
        rows = Completion.objects.filter(project=self.project, public_id__in=wanted)
        known = dict(rows.values_list("public_id", "pk"))
        if missing := [name for name in wanted if name not in known]:
            raise NotFound(_("There is no completion %(n)s here.") % {"n": missing[0]}, field="scores")
        added = record_scores(
            project=self.project,
            scorer_key=data["scorer_key"],
            scorer_name=data["scorer_name"],
            rows=[{"completion_id": known[r["completion"]], "score": r["score"]} for r in data["scores"]],
            acting_user=request.user,
        )
        return Response({"added": added})


urlpatterns = [
    path(f"{PROJECT}adjudications/", Adjudications.as_view(LIST_CREATE), name="api_adjudications"),
    path(f"{PROJECT}adjudications/<int:pk>/", Adjudications.as_view(ONE), name="api_adjudication"),
    path(
        f"{PROJECT}tasks/<int:pk>/consensus/",
        Adjudications.as_view({"get": "proposal"}),
        name="api_consensus_proposal",
    ),
    path(
        f"{PROJECT}completions/scores/",
        CompletionScores.as_view({"post": "create"}),
        name="api_completion_scores",
    ),
]
