"""REST: the settled order of ranking tasks, and a reward model's scores of completions."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.response import Response

from annotate.api.bodies import valid_input
from annotate.errors import NotFound
from annotate.words import _
from labeling.consensus import RULE_NAMES, RULES, Weighed, weigh_task
from labeling.models import Adjudication, Completion, Task
from labeling.permissions import Action
from labeling.services.adjudications import Proposal, adjudicate_task, propose_consensus
from labeling.services.blind import ranking_from_public
from labeling.services.scores import record_scores

from .base import LIST_CREATE, ONE, PROJECT, ProjectRows, ProjectViewMixin

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
    rule = serializers.ChoiceField(
        choices=RULES,
        required=False,
        allow_null=True,
        default=None,
        help_text="Whose proposal you began from; the project's own where left out.",
    )
    active_seconds = serializers.IntegerField(min_value=0, required=False, default=0)


class RuleOutput(serializers.Serializer):
    """One rule's order, by public ids of completions."""

    rule = serializers.ChoiceField(choices=RULES)
    tiers = serializers.ListField(child=serializers.ListField(child=serializers.UUIDField()))
    unrankable = serializers.ListField(child=serializers.UUIDField())
    support = serializers.FloatField(
        allow_null=True, help_text="Share of the people's decided pairs that it decides as they did."
    )
    optima = serializers.IntegerField(allow_null=True, help_text="Kemeny: how many orders are equally good.")
    least_sure = serializers.FloatField(
        allow_null=True, help_text="Plackett–Luce: how probably its least sure step is in the right order."
    )
    strengths = serializers.DictField(
        child=serializers.FloatField(allow_null=True),
        help_text="Plackett–Luce and Bradley–Terry: by completion, logarithm of its worth, 0 in the middle.",
    )
    differs_on = serializers.ListField(
        child=serializers.ListField(child=serializers.UUIDField()),
        help_text="Pairs that it puts otherwise than the rule that proposes.",
    )


class PairOutput(serializers.Serializer):
    first = serializers.UUIDField()
    second = serializers.UUIDField()
    before = serializers.IntegerField(help_text="People who put the first one before the second.")
    tied = serializers.IntegerField()
    after = serializers.IntegerField()
    better = serializers.FloatField(
        allow_null=True, help_text="Plackett–Luce's probability that the first is the better one."
    )
    is_disputed = serializers.BooleanField(help_text="The rules do not all put the two alike.")


class ProposalOutput(serializers.Serializer):
    tiers = serializers.ListField(child=serializers.ListField(child=serializers.UUIDField()))
    unrankable = serializers.ListField(child=serializers.UUIDField())
    method = serializers.CharField()
    support = serializers.FloatField(allow_null=True)
    rules = RuleOutput(many=True)
    pairs = PairOutput(many=True)
    cycles = serializers.ListField(
        child=serializers.ListField(child=serializers.UUIDField()),
        help_text="Completions whose majorities go in a circle.",
    )


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
            rule=data["rule"],
            active_seconds=data["active_seconds"],
            **ranking_from_public(sent, names),
        )
        return Response(AdjudicationOutput(adjudication).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        parameters=[
            OpenApiParameter("rule", str, enum=list(RULE_NAMES), description="In place of the project's own.")
        ],
        responses=ProposalOutput,
    )
    def proposal(self, request, slug, pk):
        """What the standing rankings of a task add up to: by the project's rule, and by all others."""
        task = self._task(pk)
        rule = request.query_params.get("rule") or None
        proposal = propose_consensus(task, rule)
        return Response(_proposal(task, proposal, weigh_task(task, rule)))

    def _task(self, pk: int) -> Task:
        task = self.project.tasks.select_related("project").filter(pk=pk).first()
        if task is None:
            raise NotFound("There is no such task.", field="task")
        return task


def _proposal(task: Task, proposal: Proposal, weighed: Weighed | None) -> dict[str, Any]:
    """By public ids."""
    names = {each.pk: str(each.public_id) for each in task.completions.all()}

    def named(groups):
        return [[names[pk] for pk in group] for group in groups]

    body: dict[str, Any] = {
        "tiers": named(proposal.tiers),
        "unrankable": [names[pk] for pk in proposal.unrankable],
        "method": proposal.method,
        "support": proposal.support,
    }
    if weighed is not None:
        body["rules"] = [
            {
                "rule": each.rule,
                "tiers": named(each.tiers),
                "unrankable": [names[pk] for pk in each.unrankable],
                "support": each.support,
                "optima": each.opinion.optima,
                "least_sure": each.least_sure,
                "strengths": {
                    names[pk]: value
                    for pk, value in zip(
                        weighed.ids, each.opinion.strengths, strict=bool(each.opinion.strengths)
                    )
                },
                "differs_on": named(each.differs_on),
            }
            for each in weighed.rules
        ]
        places = [names[pk] for pk in weighed.ids]
        body["pairs"] = [
            pair._asdict() | {"first": places[pair.first], "second": places[pair.second]}
            for pair in weighed.pairs
        ]
        body["cycles"] = named(weighed.cycles)
    return body


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
