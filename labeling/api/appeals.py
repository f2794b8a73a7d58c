"""REST: appeals, decisions on many at once, taking a decision back."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.response import Response

from annotate.api.bodies import takes_nothing, valid_input
from annotate.errors import NotFound
from annotate.words import _
from labeling.models import Appeal, Review
from labeling.permissions import Action, can
from labeling.services import appeals as service
from labeling.services.bulk_reviews import DECISIONS, MOST_AT_ONCE, Chosen, decide_many
from labeling.services.reviews import LONGEST_NOTE
from labeling.services.undo import undo_decision

from .base import LIST_CREATE, LONGEST_KEY, ONE, PROJECT, ProjectRows, ProjectViewMixin
from .quality import ReviewSerializer, SubmissionOutput


# --- Shapes -----------------------------------------------------------------------------------------------
class AppealOutput(serializers.ModelSerializer):
    decision = serializers.CharField(source="review.decision", help_text="What the appeal is against.")
    reviewer = serializers.CharField(source="review.reviewer.name")
    decided_by = serializers.CharField(source="decided_by.name", default=None)

    class Meta:
        model = Appeal
        fields = [
            "id", "submission", "review", "decision", "reviewer", "text", "status", "note", "decided_by",
            "is_by_same_reviewer", "created_at", "decided_at",
        ]  # fmt: skip


class AppealInput(serializers.Serializer):
    submission = serializers.IntegerField()
    text = serializers.CharField(max_length=service.LONGEST_TEXT)


class AppealDecisionInput(serializers.Serializer):
    outcome = serializers.ChoiceField(choices=[str(outcome) for outcome in service.OUTCOMES])
    note = serializers.CharField(max_length=service.LONGEST_TEXT)
    active_seconds = serializers.IntegerField(min_value=0, required=False, default=0)


class ChosenInput(serializers.Serializer):
    submission = serializers.IntegerField()
    revision = serializers.IntegerField(min_value=1, help_text="The revision you looked at.")


class BulkInput(serializers.Serializer):
    submissions = ChosenInput(many=True, max_length=MOST_AT_ONCE, allow_empty=False)  # type: ignore[call-arg]
    decision = serializers.ChoiceField(choices=[str(decision) for decision in DECISIONS])
    reasons = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_KEY), required=False, default=list
    )
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=LONGEST_NOTE)
    reopen = serializers.BooleanField(
        required=False, default=True, help_text="rejected: others get the tasks."
    )
    active_seconds = serializers.IntegerField(
        min_value=0, required=False, default=0, help_text="For all of them; shared out evenly."
    )


class RefusalOutput(serializers.Serializer):
    submission = serializers.IntegerField()
    code = serializers.CharField()
    message = serializers.CharField()


class BulkOutput(serializers.Serializer):
    """What became of each: a review, or why there is none."""

    reviews = ReviewSerializer(many=True)
    refused = RefusalOutput(many=True)


# --- Views ------------------------------------------------------------------------------------------------
class Appeals(ProjectRows):
    """Authors see and make their own; leads see all and decide."""

    serializer_class = AppealOutput
    policy = {
        "list": Action.VIEW_OWN_WORK,
        "retrieve": Action.VIEW_OWN_WORK,
        "create": Action.VIEW_OWN_WORK,
        "withdraw": Action.VIEW_OWN_WORK,
        "decide": Action.REVIEW,
    }
    filterset_fields = ["status", "submission"]
    ordering_fields = ["id", "created_at"]
    queryset = Appeal.objects.none()

    def get_queryset(self):
        rows = self.project.appeals.select_related("review__reviewer", "decided_by", "submission")
        if not can(self.membership, Action.REVIEW):
            rows = rows.filter(author=self.request.user)
        return rows.order_by("-id")

    @extend_schema(
        request=AppealInput,
        responses={201: AppealOutput},
        examples=[
            OpenApiExample(
                "Appeal",
                value={"submission": 1, "text": "The guideline allows two sentences."},
                request_only=True,
            )
        ],
    )
    def create(self, request, slug):
        """Object to the fix, return or rejection of one's own work. 410 `appealed_before` the second time."""
        data = valid_input(AppealInput, request)
        rows = self.project.submissions.select_related("project").filter(annotator=request.user)
        submission = rows.filter(pk=data["submission"]).first()
        if submission is None:
            raise NotFound("There is no such submission of yours.", field="submission")
        appeal = service.open_appeal(submission=submission, author=request.user, text=data["text"])
        return Response(AppealOutput(appeal).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        request=AppealDecisionInput,
        responses=AppealOutput,
        examples=[
            OpenApiExample(
                "Overturn", value={"outcome": "overturned", "note": "The author is right."}, request_only=True
            )
        ],
    )
    def decide(self, request, slug, pk):
        """Uphold or overturn. 403 `own_decision` for the reviewer of the decision while there is another."""
        appeal = service.decide_appeal(
            appeal=self._appeal(pk), reviewer=request.user, **valid_input(AppealDecisionInput, request)
        )
        return Response(AppealOutput(appeal).data)

    @takes_nothing(responses=AppealOutput)
    def withdraw(self, request, slug, pk):
        """Let the decision stand after all."""
        appeal = self.get_queryset().filter(pk=pk, author=request.user).first()
        if appeal is None:
            raise NotFound("There is no such appeal of yours.")
        return Response(AppealOutput(service.withdraw_appeal(appeal=appeal, author=request.user)).data)

    def _appeal(self, pk: int) -> Appeal:
        appeal = self.get_queryset().filter(pk=pk).first()
        if appeal is None:
            raise NotFound("There is no such appeal.")
        return appeal


class BulkReviews(ProjectViewMixin, viewsets.GenericViewSet):
    """One decision on many submissions."""

    serializer_class = ReviewSerializer
    policy = {"create": Action.REVIEW, "undo": Action.REVIEW}
    queryset = Review.objects.none()

    @extend_schema(
        request=BulkInput,
        responses=BulkOutput,
        examples=[
            OpenApiExample(
                "Accept two",
                value={
                    "submissions": [{"submission": 1, "revision": 1}, {"submission": 2, "revision": 1}],
                    "decision": "accepted",
                },
                request_only=True,
            )
        ],
    )
    def create(self, request, slug):
        """Accept, return or reject each in a transaction of its own; what cannot be decided is listed."""
        data = dict(valid_input(BulkInput, request))
        revisions = {each["submission"]: each["revision"] for each in data.pop("submissions")}
        rows = self.project.submissions.filter(pk__in=revisions).select_related("project")
        found = {row.pk: row for row in rows}
        if missing := sorted(set(revisions) - set(found)):
            raise NotFound(_("There is no submission %(n)s here.") % {"n": missing[0]}, field="submissions")
        chosen = [Chosen(found[pk], revision) for pk, revision in revisions.items()]
        outcomes = decide_many(project=self.project, chosen=chosen, reviewer=request.user, **data)
        answer = {
            "reviews": [outcome.review for outcome in outcomes if outcome.review is not None],
            "refused": [
                {
                    "submission": outcome.submission.pk,
                    "code": outcome.error.code,
                    "message": outcome.error.message,
                }
                for outcome in outcomes
                if outcome.error is not None
            ],
        }
        return Response(BulkOutput(answer).data)

    @takes_nothing(responses=SubmissionOutput)
    def undo(self, request, slug, pk):
        """Take back one's own last decision within two minutes. 409 `too_late` or `built_upon` afterwards."""
        rows = Review.objects.filter(submission__project=self.project).select_related("submission__project")
        review = rows.filter(pk=pk).first()
        if review is None:
            raise NotFound("There is no such review.")
        submission = undo_decision(review=review, reviewer=request.user)
        return Response(SubmissionOutput(submission, context={"is_lead": True}).data)


urlpatterns = [
    path(f"{PROJECT}appeals/", Appeals.as_view(LIST_CREATE), name="api_appeals"),
    path(f"{PROJECT}appeals/<int:pk>/", Appeals.as_view(ONE), name="api_appeal"),
    path(
        f"{PROJECT}appeals/<int:pk>/decision/", Appeals.as_view({"post": "decide"}), name="api_appeal_decide"
    ),
    path(
        f"{PROJECT}appeals/<int:pk>/withdraw/",
        Appeals.as_view({"post": "withdraw"}),
        name="api_appeal_withdraw",
    ),
    path(f"{PROJECT}reviews/bulk/", BulkReviews.as_view({"post": "create"}), name="api_reviews_bulk"),
    path(f"{PROJECT}reviews/<int:pk>/undo/", BulkReviews.as_view({"post": "undo"}), name="api_review_undo"),
]
