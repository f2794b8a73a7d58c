"""REST: what a lead does to tasks while work goes on. Known answers and how people do on them."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.response import Response

from annotate.api.bodies import takes_nothing, valid_input
from annotate.errors import Invalid
from labeling import handout_reasons, task_reports
from labeling.models import Assignment, GoldAnswer, GoldResult, Membership, Submission, Task
from labeling.permissions import Action
from labeling.services import gold, skips, task_control
from labeling.services.batch_overlap import change_batch_overlap
from labeling.services.batches import change_policy
from labeling.services.gold import LONGEST_NOTE, LONGEST_REFERENCE
from labeling.services.slots import MOST_OVERLAP

from .base import LIST, PROJECT, ProjectViewMixin
from .batches import Batches, BatchSerializer
from .data_serializers import MessageSerializer
from .work_shapes import TaskOutput


class SlotOutput(serializers.ModelSerializer):
    annotator = serializers.CharField(source="annotator.pseudonym", default=None)
    reserved_for = serializers.CharField(source="reserved_for.pseudonym", default=None)
    why = serializers.SerializerMethodField(help_text="Which rule chose it, for leads.")

    class Meta:
        model = Assignment
        fields = ["id", "slot", "status", "annotator", "reserved_for", "priority", "leased_at", "why"]

    def get_why(self, assignment: Assignment) -> str:
        return handout_reasons.explain_to_lead(assignment)


class AssignInput(serializers.Serializer):
    member = serializers.IntegerField(help_text="The id of a membership, as /members/ lists it.")


class UnassignInput(serializers.Serializer):
    slot = serializers.IntegerField(min_value=1, max_value=2**53, help_text="The id of one of its slots.")


class OverlapInput(serializers.Serializer):
    overlap = serializers.IntegerField(min_value=1, max_value=MOST_OVERLAP)


class PriorityInput(serializers.Serializer):
    priority = serializers.IntegerField(
        min_value=-100, max_value=100, allow_null=True, help_text="null: that of its batch."
    )


class RewriteInput(serializers.Serializer):
    messages = MessageSerializer(many=True)


class GoldInput(serializers.Serializer):
    """A ranking has `tiers` (ids of completions, best first), a demonstration `minimum_score` and a
    `reference` to score against, or nothing."""

    tiers = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()), required=False
    )
    unrankable = serializers.ListField(child=serializers.IntegerField(), required=False)
    flags = serializers.DictField(child=serializers.ListField(), required=False)
    checks_flags = serializers.BooleanField(required=False, default=False)
    minimum_score = serializers.IntegerField(min_value=1, max_value=7, required=False, allow_null=True)
    reference = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=LONGEST_REFERENCE
    )
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=LONGEST_NOTE)


class GoldOutput(serializers.ModelSerializer):
    class Meta:
        model = GoldAnswer
        fields = [
            "task", "tiers", "unrankable", "flags", "checks_flags", "minimum_score", "reference", "note",
            "created_at", "retired_at",
        ]  # fmt: skip


class KnownTaskOutput(serializers.ModelSerializer):
    result_count = serializers.IntegerField()
    passed_count = serializers.IntegerField()
    missed_count = serializers.IntegerField()
    mean_agreement = serializers.FloatField(allow_null=True)
    answer = GoldOutput(source="gold_answer")

    class Meta:
        model = Task
        fields = [
            "id", "kind", "purpose", "status", "prompt", "answer", "result_count", "passed_count",
            "missed_count", "mean_agreement",
        ]  # fmt: skip


class LeadsScoreInput(serializers.Serializer):
    score = serializers.IntegerField(min_value=1, max_value=7)
    active_seconds = serializers.IntegerField(min_value=0, required=False, default=0)


class GoldResultOutput(serializers.ModelSerializer):
    class Meta:
        model = GoldResult
        fields = ["submission", "agreement", "pairs", "flag_agreement", "score", "passed"]


VERBS = ("assign", "unassign", "overlap", "priority", "reopen", "close", "release", "rewrite")


class TaskControl(ProjectViewMixin, viewsets.GenericViewSet):
    """Give a task to somebody, take it back, reopen, close, change its overlap or priority."""

    serializer_class = TaskOutput
    policy = dict.fromkeys([*VERBS, "slots", "mark_gold", "retire_gold"], Action.MANAGE_BATCHES)
    own_parameters = {"slots": ()}
    queryset = Task.objects.none()

    def get_queryset(self):
        return task_reports.tasks_with_counts(project=self.project).select_related("batch")

    def _answer(self, task: Task) -> Response:
        return Response(TaskOutput(self.get_queryset().get(pk=task.pk)).data)

    def _acting(self) -> dict[str, Any]:
        task = self.get_object()
        task.project = self.project
        return {"task": task, "acting_user": self.request.user}

    @extend_schema(responses=SlotOutput(many=True))
    def slots(self, request, slug, pk):
        """Who has the task, or is to get it, and why."""
        return Response([SlotOutput(row.assignment).data for row in task_reports.slots_of(self.get_object())])

    @extend_schema(
        request=AssignInput,
        responses=SlotOutput,
        examples=[OpenApiExample("To a member", value={"member": 3}, request_only=True)],
    )
    def assign(self, request, slug, pk):
        """Keep a free slot for one person, who gets it next."""
        acting = self._acting()
        wanted = valid_input(AssignInput, request)["member"]
        member: Membership | None = self.project.memberships.filter(pk=wanted).first()
        if member is None:
            raise Invalid("There is no such member.", field="member")
        return Response(SlotOutput(task_control.assign_task(**acting, membership=member)).data)

    @extend_schema(request=UnassignInput, responses=SlotOutput)
    def unassign(self, request, slug, pk):
        """Take a slot back from its person; what they wrote is kept."""
        task = self.get_object()
        slot = task.assignments.filter(pk=valid_input(UnassignInput, request)["slot"]).first()
        if slot is None:
            raise Invalid("It is no slot of this task.", field="slot")
        slot = task_control.unassign_slot(assignment=slot, acting_user=request.user)
        return Response(SlotOutput(slot).data)

    @extend_schema(request=OverlapInput, responses=TaskOutput)
    def overlap(self, request, slug, pk):
        """How many people judge it; never below those who have it."""
        acting = self._acting()
        return self._answer(task_control.change_overlap(**acting, **valid_input(OverlapInput, request)))

    @extend_schema(request=PriorityInput, responses=TaskOutput)
    def priority(self, request, slug, pk):
        """A priority of its own."""
        acting = self._acting()
        return self._answer(task_control.change_priority(**acting, **valid_input(PriorityInput, request)))

    @takes_nothing(responses=TaskOutput)
    def reopen(self, request, slug, pk):
        """Hand a done or closed task out again."""
        return self._answer(task_control.reopen_task(**self._acting()))

    @takes_nothing(responses=TaskOutput)
    def close(self, request, slug, pk):
        """Hand it out no more; what was submitted stays."""
        return self._answer(task_control.close_task(**self._acting()))

    @takes_nothing(responses=TaskOutput)
    def release(self, request, slug, pk):
        """A skipped task is fine: others get it again."""
        return self._answer(skips.release_task(**self._acting()))

    @extend_schema(
        request=RewriteInput,
        responses=TaskOutput,
        examples=[
            OpenApiExample(
                "Clearer",
                value={"messages": [{"role": "user", "content": "Name the capital of France."}]},
                request_only=True,
            )
        ],
    )
    def rewrite(self, request, slug, pk):
        """Archive the prompt of a skipped demonstration task; answers the task of the new prompt."""
        acting = self._acting()
        return self._answer(skips.rewrite_prompt(**acting, **valid_input(RewriteInput, request)))

    @extend_schema(
        request=GoldInput,
        responses=GoldOutput,
        examples=[OpenApiExample("An order", value={"tiers": [[12], [10, 11]]}, request_only=True)],
    )
    def mark_gold(self, request, slug, pk):
        """Give the task its known answer: an ordinary task becomes gold."""
        acting = self._acting()
        data = valid_input(GoldInput, request)
        return Response(GoldOutput(gold.mark_gold(**acting, **data)).data)

    @takes_nothing(responses=GoldOutput)
    def retire_gold(self, request, slug, pk):
        """Hand the gold task out no more; its results stay."""
        return Response(GoldOutput(gold.retire_gold(**self._acting())).data)


class KnownTasks(ProjectViewMixin, mixins.ListModelMixin, viewsets.GenericViewSet):
    """Tasks with a known answer and how people do on them."""

    serializer_class = KnownTaskOutput
    policy = {"list": Action.MANAGE_BATCHES}
    filterset_fields = ["kind", "purpose", "status"]
    queryset = Task.objects.none()

    def get_queryset(self):
        return task_reports.known_tasks(self.project).order_by("id")


class SkippedTasks(ProjectViewMixin, mixins.ListModelMixin, viewsets.GenericViewSet):
    """Skipped tasks that wait for a lead's decision."""

    serializer_class = TaskOutput
    policy = {"list": Action.MANAGE_BATCHES}
    filterset_fields = ["kind", "batch"]
    queryset = Task.objects.none()

    def get_queryset(self):
        return task_reports.with_counts(task_reports.skipped_tasks(self.project))


class Scores(ProjectViewMixin, viewsets.GenericViewSet):
    serializer_class = GoldResultOutput
    policy = {"score": Action.REVIEW}
    queryset = Submission.objects.none()

    def get_queryset(self):
        return self.project.submissions.select_related("task")

    @extend_schema(request=LeadsScoreInput, responses=GoldResultOutput)
    def score(self, request, slug, pk):
        """A lead's score, 1 to 7, for a gold or screening demonstration."""
        submission = self.get_object()
        result = gold.score_demonstration(
            submission=submission, acting_user=request.user, **valid_input(LeadsScoreInput, request)
        )
        return Response(GoldResultOutput(result).data)


class PolicyInput(serializers.Serializer):
    priority = serializers.IntegerField(min_value=-100, max_value=100, required=False)
    review_rate = serializers.FloatField(min_value=0, max_value=1, required=False)
    deadline_at = serializers.DateTimeField(required=False, allow_null=True)


class BatchControl(Batches):
    policy = dict.fromkeys(["overlap", "change"], Action.MANAGE_BATCHES)

    @extend_schema(request=OverlapInput, responses=BatchSerializer)
    def overlap(self, request, slug, pk):
        """How many people judge each task; tasks that more people have taken keep them."""
        batch = self.get_object()
        change_batch_overlap(batch=batch, acting_user=request.user, **valid_input(OverlapInput, request))
        return self._answer(batch)

    @extend_schema(
        request=PolicyInput,
        responses=BatchSerializer,
        examples=[OpenApiExample("Sooner", value={"priority": 5}, request_only=True)],
    )
    def change(self, request, slug, pk):
        """Change priority, review rate and deadline; what is left out stays."""
        batch = self.get_object()
        stays = {name: getattr(batch, name) for name in ("priority", "review_rate", "deadline_at")}
        change_policy(batch=batch, acting_user=request.user, **{**stays, **valid_input(PolicyInput, request)})
        return self._answer(batch)


TASK = f"{PROJECT}tasks/<int:pk>/"
BATCH = f"{PROJECT}batches/<int:pk>/"
urlpatterns = [
    path(f"{PROJECT}tasks/skipped/", SkippedTasks.as_view(LIST), name="api_tasks_skipped"),
    path(f"{TASK}slots/", TaskControl.as_view({"get": "slots"}), name="api_task_slots"),
    *(path(f"{TASK}{verb}/", TaskControl.as_view({"post": verb}), name=f"api_task_{verb}") for verb in VERBS),
    path(
        f"{TASK}gold/",
        TaskControl.as_view({"put": "mark_gold", "delete": "retire_gold"}),
        name="api_task_gold",
    ),
    path(f"{PROJECT}gold/", KnownTasks.as_view(LIST), name="api_gold"),
    path(
        f"{PROJECT}submissions/<int:pk>/score/",
        Scores.as_view({"post": "score"}),
        name="api_submission_score",
    ),
    path(f"{BATCH}overlap/", BatchControl.as_view({"post": "overlap"}), name="api_batch_overlap"),
    path(f"{BATCH}policy/", BatchControl.as_view({"patch": "change"}), name="api_batch_policy"),
]
