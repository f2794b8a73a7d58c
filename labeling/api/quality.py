"""REST: submissions, the review queue, decisions."""

from __future__ import annotations

from django.db.models import Prefetch
from django.urls import path, reverse
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.response import Response

from annotate.api.bodies import valid_input, valid_query
from annotate.api.filters import OF_PAGES
from annotate.errors import Invalid, NotFound
from labeling import queues, review_queues
from labeling.models import (
    DatasetVersion,
    Demonstration,
    Layout,
    Ranking,
    Review,
    ReviewDecision,
    ReviewReason,
    Submission,
    TaskKind,
)
from labeling.permissions import Action, can
from labeling.services import reviews
from labeling.services.answer_checks import shown_warnings
from labeling.services.blind import RANKING_FIELDS, opaque_number, ranking_from_public, ranking_to_public
from labeling.services.forms import layout_of
from labeling.services.judgments import LONGEST_ANSWER
from labeling.services.lineage import versions_containing
from labeling.services.pairwise import NEITHER, STRENGTHS, ranking_of_strength
from labeling.services.reviews import LONGEST_NOTE

from .base import LIST, LIST_CREATE, LONGEST_KEY, ONE, PROJECT, ProjectRows


# --- Shapes -----------------------------------------------------------------------------------------------
class ReviewSerializer(serializers.ModelSerializer):
    reviewer = serializers.CharField(source="reviewer.name")

    class Meta:
        model = Review
        fields = [
            "id", "submission", "revision", "decision", "queue_reason", "reasons", "note", "reviewer",
            "created_at", "reopened_at",
        ]  # fmt: skip


class RevisionOutput(serializers.Serializer):
    """One revision of a judgment; a ranking's ids are public ids of completions."""

    revision = serializers.IntegerField()
    is_current = serializers.BooleanField()
    origin = serializers.CharField()
    guideline_version = serializers.IntegerField(allow_null=True)
    form_version = serializers.IntegerField(allow_null=True)
    active_seconds = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    text = serializers.CharField(required=False)
    warnings = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        help_text="What the checks warned of and its author submitted anyway: check, message, start, end.",
    )
    answers = serializers.DictField(required=False, help_text="Of a demonstration; a ranking holds its own.")
    ranking = serializers.DictField(required=False)


class SubmissionOutput(serializers.ModelSerializer):
    annotator = serializers.CharField(
        source="annotator.pseudonym", default=None, help_text="Pseudonym; null for imported work."
    )

    class Meta:
        model = Submission
        fields = [
            "id", "kind", "status", "review_reason", "task", "prompt", "annotator", "prompt_flags",
            "revision_count", "active_seconds", "agreement", "model_conflict", "created_at", "decided_at",
        ]  # fmt: skip

    def to_representation(self, submission):
        row = super().to_representation(submission)
        if not self.context.get("is_lead"):
            # Why a piece was looked at, and what others or a model think of it, is no business of its author,
            # nor what the order of its numbers tells.
            for name in ("review_reason", "agreement", "model_conflict"):
                row.pop(name)
            for name in ("task", "prompt"):
                row[name] = None if row[name] is None else opaque_number(name, row[name])
        return row


class SubmissionDetail(SubmissionOutput):
    messages = serializers.JSONField(source="prompt.messages")
    completions = serializers.SerializerMethodField(help_text="Texts of what was ranked; blind.")
    revisions = serializers.SerializerMethodField()
    reviews = ReviewSerializer(many=True)

    class Meta(SubmissionOutput.Meta):
        fields = [*SubmissionOutput.Meta.fields, "messages", "completions", "revisions", "reviews"]

    def to_representation(self, submission):
        row = super().to_representation(submission)
        if not self.context.get("is_lead"):
            # Why its author's work was looked at would tell gold from other work.
            for review in row["reviews"]:
                review.pop("queue_reason")
        return row

    def get_completions(self, submission) -> list[dict[str, str]]:
        return [{"id": str(each.public_id), "text": each.text} for each in queues.completions_of(submission)]

    @extend_schema(responses=RevisionOutput(many=True))
    def get_revisions(self, submission) -> list[dict]:
        names = {str(each.public_id): each.pk for each in queues.completions_of(submission)}
        if submission.kind == TaskKind.DEMONSTRATION:
            is_lead = bool(self.context.get("is_lead"))
            return [
                _revision(each)
                | {
                    "text": each.text,
                    "answers": each.answers,
                    "warnings": shown_warnings(each.warnings, each.text, reveal=is_lead),
                }
                for each in submission.demonstrations.all()
            ]
        return [
            _revision(each) | {"ranking": ranking_to_public(_ranking(each), names, as_text=False)}
            for each in submission.rankings.all()
        ]


class HoldingVersion(serializers.ModelSerializer):
    """A version that holds a judgment."""

    id = serializers.UUIDField(source="public_id")
    dataset_id = serializers.IntegerField()
    kind = serializers.CharField(source="dataset.kind")
    name = serializers.CharField(source="__str__")
    path = serializers.SerializerMethodField(help_text="Where this API has it.")

    class Meta:
        model = DatasetVersion
        fields = ["id", "dataset_id", "number", "kind", "name", "sha256", "path"]

    def get_path(self, version) -> str:
        return reverse("api_version", args=[self.context["slug"], version.dataset_id, version.number])


class SubmissionAlone(SubmissionDetail):
    """One submission, with what came of it: each version asked costs a look into a file of its own, so that
    lists do without."""

    versions = serializers.SerializerMethodField(
        help_text="Ready dataset versions that hold it, newest first; left out for those who may not see "
        "datasets."
    )
    lineage = serializers.SerializerMethodField(help_text="Path of all of it; left out as versions are.")

    class Meta(SubmissionDetail.Meta):
        fields = [*SubmissionDetail.Meta.fields, "versions", "lineage"]

    def get_fields(self):
        fields = super().get_fields()
        if not self.context.get("sees_datasets", True):
            del fields["versions"], fields["lineage"]
        return fields

    @extend_schema_field(HoldingVersion(many=True))
    def get_versions(self, submission) -> list[dict]:
        found = versions_containing(submission=submission)
        return list(HoldingVersion(found, many=True, context=self.context).data)

    def get_lineage(self, submission) -> str:
        return reverse("api_judgment_lineage", args=[self.context["slug"], submission.pk])


class ReviewInput(serializers.Serializer):
    """A decision; `fixed` also carries the mended answer or ranking."""

    submission = serializers.IntegerField()
    revision = serializers.IntegerField(min_value=1, help_text="The revision you looked at.")
    decision = serializers.ChoiceField(choices=ReviewDecision.choices)
    reasons = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_KEY), required=False, default=list
    )
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=LONGEST_NOTE)
    reopen = serializers.BooleanField(
        required=False, default=True, help_text="rejected: somebody else gets the task."
    )
    text = serializers.CharField(
        required=False, trim_whitespace=False, max_length=LONGEST_ANSWER, help_text="fixed demonstration"
    )
    tiers = serializers.ListField(
        child=serializers.ListField(child=serializers.UUIDField()),
        required=False,
        help_text="fixed ranking, with unrankable, unrankable_reasons, margins, scores, flags, rationale "
        "where they change",
    )
    strength = serializers.ChoiceField(
        choices=[(each.value, each.label) for each in (*STRENGTHS, NEITHER)],
        required=False,
        help_text="fixed pairwise judgment: instead of tiers and margins",
    )
    answers = serializers.DictField(
        required=False, help_text="fixed: to the questions of the form it was made with; left out, they stay"
    )
    active_seconds = serializers.IntegerField(min_value=0, required=False, default=0)


class QueueQuery(serializers.Serializer):
    reason = serializers.ChoiceField(
        choices=ReviewReason.choices, required=False, allow_blank=True, help_text="To see only those."
    )
    kind = serializers.ChoiceField(choices=TaskKind.choices, required=False, allow_blank=True)
    page = serializers.CharField(required=False)
    page_size = serializers.CharField(required=False)


class ReopenInput(serializers.Serializer):
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)


# --- Views ------------------------------------------------------------------------------------------------
class Submissions(ProjectRows):
    """Annotators see their own; leads see all. Completions stay blind here for both."""

    serializer_class = SubmissionOutput
    policy = {
        "list": Action.VIEW_OWN_WORK,
        "retrieve": Action.VIEW_OWN_WORK,
        "queue": Action.REVIEW,
        "reopen": Action.REVIEW,
    }
    own_parameters = {"queue": ("reason", "kind", *OF_PAGES)}
    search_fields = ["prompt__preview"]
    ordering_fields = ["id", "created_at", "decided_at"]
    queryset = Submission.objects.none()

    @property
    def filterset_fields(self) -> list[str]:
        """Numbers of tasks and prompts would tell annotators which of them did not come from the queue
        (services.blind.opaque_number).
        """
        by_lead = ["task", "prompt", "annotator"] if self._is_lead() else []
        return ["kind", "status", *by_lead]

    def _is_lead(self) -> bool:
        documented = getattr(self, "swagger_fake_view", False)
        return documented or can(self.membership, Action.REVIEW)

    def get_serializer_context(self):
        return {**super().get_serializer_context(), "is_lead": self._is_lead()}

    def get_queryset(self):
        rows = self.project.submissions.select_related("annotator").order_by("-id")
        if not self._is_lead():
            rows = rows.filter(annotator=self.request.user)
        return rows

    @extend_schema(responses=SubmissionAlone)
    def retrieve(self, request, slug, pk):
        submission = _with_everything(self.get_queryset()).filter(pk=pk).first()
        if submission is None:
            raise NotFound("There is no such submission.")
        about = {"slug": slug, "sees_datasets": can(self.membership, Action.VIEW_DATASETS)}
        return Response(SubmissionAlone(submission, context=self.get_serializer_context() | about).data)

    @extend_schema(parameters=[QueueQuery], responses=SubmissionDetail(many=True), filters=False)
    def queue(self, request, slug):
        """What waits for the caller's decision, oldest first, with all that is needed to decide."""
        query = valid_query(QueueQuery, request)
        rows = review_queues.waiting(
            project=self.project, reviewer=request.user, reason=query.get("reason", "")
        ).select_related("annotator")
        if kind := query.get("kind"):
            rows = rows.filter(kind=kind)
        page = self.paginate_queryset(_with_everything(rows))
        context = self.get_serializer_context()
        return self.get_paginated_response(SubmissionDetail(page, many=True, context=context).data)

    @extend_schema(request=ReopenInput, responses=SubmissionOutput)
    def reopen(self, request, slug, pk):
        """Put an accepted submission up for review again, or take a returned one back from its author."""
        data = valid_input(ReopenInput, request)
        submission = reviews.reopen_submission(
            submission=_submission(self, pk), reviewer=request.user, note=data["note"]
        )
        return Response(SubmissionOutput(submission, context=self.get_serializer_context()).data)


class Reviews(ProjectRows):
    """Decisions made. POST makes one."""

    serializer_class = ReviewSerializer
    policy = {"list": Action.REVIEW, "retrieve": Action.REVIEW, "create": Action.REVIEW}
    filterset_fields = ["decision", "submission", "reviewer", "queue_reason"]
    ordering_fields = ["id", "created_at"]
    queryset = Review.objects.none()

    def get_queryset(self):
        return (
            Review.objects.filter(submission__project=self.project).select_related("reviewer").order_by("-id")
        )

    @extend_schema(
        request=ReviewInput,
        responses={201: ReviewSerializer},
        examples=[
            OpenApiExample(
                "Accept", value={"submission": 1, "revision": 1, "decision": "accepted"}, request_only=True
            ),
            OpenApiExample(
                "Return",
                value={
                    "submission": 1,
                    "revision": 1,
                    "decision": "returned",
                    "reasons": ["style"],
                    "note": "Please answer in one sentence.",
                },
                request_only=True,
            ),
        ],
    )
    def create(self, request, slug):
        """Decide. 409 `already_decided` names who was faster; 403 `own_work` for one's own."""
        data = dict(valid_input(ReviewInput, request))
        submission = _submission(self, data.pop("submission"))
        decision, reopen = data.pop("decision"), data.pop("reopen")
        content = {name: data.pop(name) for name in CONTENT if name in data}
        common = {"submission": submission, "reviewer": request.user, **data}
        if decision == ReviewDecision.FIXED:
            review = reviews.fix_submission(**common, **_fix(submission, request.data))
        elif content:
            raise Invalid("Only a fix carries content.", field=sorted(content)[0])
        elif decision == ReviewDecision.ACCEPTED:
            common.pop("reasons")
            review = reviews.accept_submission(**common)
        elif decision == ReviewDecision.RETURNED:
            review = reviews.return_submission(**common)
        else:
            review = reviews.reject_submission(**common, reopen=reopen)
        return Response(ReviewSerializer(review).data, status=status.HTTP_201_CREATED)


CONTENT = ("text", "prompt", "category", "tiers", "strength", "answers")  # of a fix


def _submission(view, pk: int) -> Submission:
    submission = view.project.submissions.select_related("project").filter(pk=pk).first()
    if submission is None:
        raise NotFound("There is no such submission.", field="submission")
    return submission


def _fix(submission: Submission, data) -> dict:
    """What the reviewer changed, in the service's terms."""
    if submission.kind == TaskKind.DEMONSTRATION:
        return {name: data.get(name) for name in ("text", "prompt", "category", "answers")}
    names = {str(each.public_id): each.pk for each in queues.completions_of(submission)}
    sent = {name: data[name] for name in (*RANKING_FIELDS, "answers") if name in data}
    if "strength" in data:
        return ranking_from_public(sent, names) | _by_strength(submission, data)
    return {"tiers": None, **ranking_from_public(sent, names)}


def _by_strength(submission: Submission, data) -> dict:
    """Tiers and margins of a strength, in the order in which its author saw the two."""
    if layout_of(submission) != Layout.PAIRWISE:
        raise Invalid("Only pairwise work is mended by a strength.", field="strength")
    if twice := sorted({"tiers", "margins", "unrankable"} & set(data)):
        raise Invalid("Say the strength, or tiers and margins.", field=twice[0])
    shown = submission.rankings.get(is_current=True).presented_order
    return ranking_of_strength(data["strength"], shown)


def _with_everything(rows):
    """Prompt, completions, revisions and reviews, in a fixed number of queries."""
    return rows.select_related("prompt", "annotator").prefetch_related(
        "demonstrations",
        "rankings",
        "task__completions",
        Prefetch("reviews", Review.objects.select_related("reviewer").order_by("id")),
    )


def _revision(judgment: Demonstration | Ranking) -> dict:
    return {
        "revision": judgment.revision,
        "is_current": judgment.is_current,
        "origin": judgment.origin,
        "guideline_version": judgment.guideline_version_id,
        "form_version": judgment.form_version_id,
        "active_seconds": judgment.active_seconds,
        "created_at": judgment.created_at,
    }


def _ranking(ranking: Ranking) -> dict:
    return {name: getattr(ranking, name) for name in (*RANKING_FIELDS, "answers")}


urlpatterns = [
    path(f"{PROJECT}submissions/", Submissions.as_view(LIST), name="api_submissions"),
    path(f"{PROJECT}submissions/queue/", Submissions.as_view({"get": "queue"}), name="api_review_queue"),
    path(f"{PROJECT}submissions/<int:pk>/", Submissions.as_view(ONE), name="api_submission"),
    path(
        f"{PROJECT}submissions/<int:pk>/reopen/", Submissions.as_view({"post": "reopen"}), name="api_reopen"
    ),
    path(f"{PROJECT}reviews/", Reviews.as_view(LIST_CREATE), name="api_reviews"),
    path(f"{PROJECT}reviews/<int:pk>/", Reviews.as_view(ONE), name="api_review"),
]
