"""REST: screening sets, verdicts, languages and bounds of a day."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.response import Response

from annotate.api.bodies import takes_nothing, valid_input
from annotate.errors import Forbidden, Invalid
from labeling.models import MemberLanguage, Membership, Qualification, ScreeningSet
from labeling.permissions import Action
from labeling.qualification_reports import everybody, standings
from labeling.services import qualification
from labeling.services.caps import set_caps

from .base import LIST_CREATE, PROJECT, ProjectViewMixin


class ScreeningOutput(serializers.ModelSerializer):
    class Meta:
        model = ScreeningSet
        fields = [
            "id", "kind", "batch", "status", "minimum_ranking_agreement", "minimum_flag_agreement",
            "minimum_demonstration_score", "tasks_per_attempt", "retry_days", "passes_automatically",
            "created_at",
        ]  # fmt: skip


class ScreeningInput(serializers.Serializer):
    batch = serializers.IntegerField()
    minimum_ranking_agreement = serializers.FloatField(min_value=0, max_value=1, default=0.75)
    minimum_flag_agreement = serializers.FloatField(min_value=0, max_value=1, default=0.75)
    minimum_demonstration_score = serializers.FloatField(min_value=1, max_value=7, default=6)
    tasks_per_attempt = serializers.IntegerField(min_value=1, default=5)
    retry_days = serializers.IntegerField(min_value=0, max_value=365, default=7)
    passes_automatically = serializers.BooleanField(default=True)
    keep_qualified = serializers.BooleanField(
        default=True, help_text="false: a recalibration, everybody passes again first."
    )


class StandingOutput(serializers.Serializer):
    member = serializers.IntegerField(source="membership.pk")
    kind = serializers.CharField()
    status = serializers.CharField()
    text = serializers.CharField(help_text="What the person reads.")
    attempt = serializers.IntegerField(source="qualification.attempt", default=None, allow_null=True)
    ranking_agreement = serializers.FloatField(source="qualification.ranking_agreement", default=None)
    flag_agreement = serializers.FloatField(source="qualification.flag_agreement", default=None)
    demonstration_score = serializers.FloatField(source="qualification.demonstration_score", default=None)
    retry_at = serializers.DateTimeField(source="qualification.retry_at", default=None)


class MyStandingOutput(serializers.Serializer):
    kind = serializers.CharField()
    status = serializers.CharField()
    text = serializers.CharField()


class DecisionInput(serializers.Serializer):
    member = serializers.IntegerField()
    decision = serializers.ChoiceField(choices=["pass", "fail", "retry"])
    note = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class QualificationOutput(serializers.ModelSerializer):
    class Meta:
        model = Qualification
        fields = ["membership", "screening_set", "status", "attempt", "retry_at", "decided_at", "note"]


class LanguageOutput(serializers.ModelSerializer):
    class Meta:
        model = MemberLanguage
        fields = ["code", "declared_at", "confirmed_at"]


class LanguagesInput(serializers.Serializer):
    languages = serializers.ListField(child=serializers.CharField(max_length=16))


class ConfirmInput(serializers.Serializer):
    code = serializers.CharField(max_length=16)
    confirmed = serializers.BooleanField(default=True)


class BoundsInput(serializers.Serializer):
    max_tasks_per_day = serializers.IntegerField(min_value=0, max_value=10_000, allow_null=True)
    max_hours_per_day = serializers.FloatField(min_value=0, max_value=24, allow_null=True)


class Screenings(ProjectViewMixin, mixins.ListModelMixin, viewsets.GenericViewSet):
    serializer_class = ScreeningOutput
    policy = dict.fromkeys(["list", "create", "close", "people", "decide"], Action.QUALIFY_PEOPLE)
    own_parameters = {"people": ()}
    filterset_fields = ["kind", "status"]
    queryset = ScreeningSet.objects.none()

    def get_queryset(self):
        return self.project.screening_sets.select_related("project", "batch").order_by("-id")

    @extend_schema(
        request=ScreeningInput,
        responses={201: ScreeningOutput},
        examples=[OpenApiExample("InstructGPT's cut-offs", value={"batch": 4}, request_only=True)],
    )
    def create(self, request, slug):
        """Open a screening batch as the set that people must pass for its kind."""
        data = dict(valid_input(ScreeningInput, request))
        batch = self.project.batches.filter(pk=data.pop("batch")).first()
        if batch is None:
            raise Invalid("There is no such batch.", field="batch")
        screening = qualification.open_screening_set(batch=batch, acting_user=request.user, **data)
        return Response(ScreeningOutput(screening).data, status=status.HTTP_201_CREATED)

    @takes_nothing(responses={204: None})
    def close(self, request, slug, pk):
        """Screen nobody for this kind any more."""
        qualification.close_screening_set(screening=self.get_object(), acting_user=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=StandingOutput(many=True))
    def people(self, request, slug, pk):
        """Where every annotator stands with this set."""
        return Response(StandingOutput(everybody(self.get_object()), many=True).data)

    @extend_schema(
        request=DecisionInput,
        responses=QualificationOutput,
        examples=[OpenApiExample("A retry", value={"member": 3, "decision": "retry"}, request_only=True)],
    )
    def decide(self, request, slug, pk):
        """A lead's word about one person."""
        screening = self.get_object()
        data = dict(valid_input(DecisionInput, request))
        member: Membership | None = self.project.memberships.filter(pk=data.pop("member")).first()
        if member is None:
            raise Invalid("There is no such member.", field="member")
        if member.user_id == request.user.pk:
            raise Forbidden("Nobody qualifies themselves.", code="own_work")
        decided = qualification.decide_qualification(
            screening=screening, membership=member, acting_user=request.user, **data
        )
        return Response(QualificationOutput(decided).data)


class MyQualification(ProjectViewMixin, viewsets.GenericViewSet):
    serializer_class = MyStandingOutput
    queryset = Qualification.objects.none()
    policy = dict.fromkeys(["standing", "languages", "declare"], Action.VIEW_OWN_WORK)
    own_parameters = {"standing": (), "languages": ()}

    @extend_schema(responses=MyStandingOutput(many=True))
    def standing(self, request, slug):
        """What the caller must pass before which kind of work; empty where nothing is asked."""
        rows = standings(project=self.project, membership=self.membership)
        return Response(MyStandingOutput(rows, many=True).data)

    @extend_schema(responses=LanguageOutput(many=True))
    def languages(self, request, slug):
        rows = self.membership.languages.all() if self.membership.pk else []
        return Response(LanguageOutput(rows, many=True).data)

    @extend_schema(
        request=LanguagesInput,
        responses=LanguageOutput(many=True),
        examples=[OpenApiExample("Two", value={"languages": ["en", "de"]}, request_only=True)],
    )
    def declare(self, request, slug):
        """The languages the caller works in; a lead confirms them."""
        if self.membership.pk is None:
            raise Invalid("You are no member of this project.", field="languages")
        codes = valid_input(LanguagesInput, request)["languages"]
        rows = qualification.declare_languages(membership=self.membership, codes=codes)
        return Response(LanguageOutput(rows, many=True).data)


class MemberBounds(ProjectViewMixin, viewsets.GenericViewSet):
    serializer_class = BoundsInput
    policy = dict.fromkeys(["bounds", "language"], Action.QUALIFY_PEOPLE)
    queryset = Membership.objects.none()

    def get_queryset(self):
        return self.project.memberships.select_related("user", "project")

    @extend_schema(request=BoundsInput, responses=BoundsInput)
    def bounds(self, request, slug, pk):
        """Tasks and hours of a day for one member; null: those of the project."""
        member = self.get_object()
        member = set_caps(membership=member, acting_user=request.user, **valid_input(BoundsInput, request))
        return Response(BoundsInput(member).data)

    @extend_schema(request=ConfirmInput, responses=LanguageOutput)
    def language(self, request, slug, pk):
        """Confirm a language that the member declared, or no longer."""
        member, data = self.get_object(), valid_input(ConfirmInput, request)
        language = qualification.confirm_language(membership=member, acting_user=request.user, **data)
        return Response(LanguageOutput(language).data)


SET = f"{PROJECT}screening/<int:pk>/"
MEMBER = f"{PROJECT}members/<int:pk>/"
urlpatterns = [
    path(f"{PROJECT}screening/", Screenings.as_view(LIST_CREATE), name="api_screening_sets"),
    path(f"{SET}close/", Screenings.as_view({"post": "close"}), name="api_screening_close"),
    path(f"{SET}people/", Screenings.as_view({"get": "people"}), name="api_screening_people"),
    path(f"{SET}decide/", Screenings.as_view({"post": "decide"}), name="api_screening_decide"),
    path(f"{PROJECT}standing/", MyQualification.as_view({"get": "standing"}), name="api_standing"),
    path(
        f"{PROJECT}languages/",
        MyQualification.as_view({"get": "languages", "put": "declare"}),
        name="api_languages",
    ),
    path(f"{MEMBER}bounds/", MemberBounds.as_view({"put": "bounds"}), name="api_member_bounds"),
    path(f"{MEMBER}language/", MemberBounds.as_view({"post": "language"}), name="api_member_language"),
]
