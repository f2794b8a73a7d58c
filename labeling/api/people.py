"""REST: members and invitations."""

from __future__ import annotations

from django.db import transaction
from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.response import Response

from annotate.api.bodies import takes_nothing, valid_input
from labeling.models import Invitation, Membership, Role
from labeling.permissions import Action
from labeling.services import erasure, people

from .base import LIST, LIST_CREATE, ONE, PROJECT, ProjectRows


class MemberSerializer(serializers.ModelSerializer):
    name = serializers.CharField(source="user.name")
    email = serializers.EmailField(source="user.email")
    pseudonym = serializers.CharField(source="user.pseudonym")
    erased_at = serializers.DateTimeField(
        source="user.erased_at", allow_null=True, help_text="When their identity was erased."
    )

    class Meta:
        model = Membership
        fields = ["id", "name", "email", "pseudonym", "role", "status", "joined_at", "erased_at"]


class ErasureInput(serializers.Serializer):
    confirm = serializers.CharField(max_length=150, help_text="Their user name.")


class ErasureExtent(serializers.Serializer):
    """How much there is of a person, over all projects."""

    projects = serializers.IntegerField()
    leases = serializers.IntegerField(help_text="Tasks in their hands: free again.")
    drafts = serializers.IntegerField(help_text="Not handed in: dropped.")
    invitations = serializers.IntegerField(help_text="To their address, which is taken out.")
    notifications = serializers.IntegerField(help_text="To them: dropped.")
    views = serializers.IntegerField(help_text="Dropped.")
    tokens = serializers.IntegerField(help_text="Useless at once.")
    submissions = serializers.IntegerField(help_text="Stay, as all that follows.")
    reviews = serializers.IntegerField()
    comments = serializers.IntegerField()
    ledger_entries = serializers.IntegerField()
    late_answers = serializers.IntegerField()


class MemberChange(serializers.Serializer):
    role = serializers.ChoiceField(choices=Role.choices, required=False)
    status = serializers.ChoiceField(choices=["active", "paused", "removed"], required=False)


class Members(ProjectRows):
    serializer_class = MemberSerializer
    policy = {
        "list": Action.VIEW_PEOPLE,
        "retrieve": Action.VIEW_PEOPLE,
        "partial_update": Action.MANAGE_PEOPLE,
        "erase": Action.ERASE_PEOPLE,
        "extent": Action.ERASE_PEOPLE,
    }
    filterset_fields = ["role", "status"]
    search_fields = ["user__display_name", "user__username", "user__email"]
    queryset = Membership.objects.none()

    def get_queryset(self):
        return self.project.memberships.select_related("user").order_by("id")

    @extend_schema(
        request=MemberChange,
        responses=MemberSerializer,
        examples=[OpenApiExample("Pause", value={"status": "paused"}, request_only=True)],
    )
    def partial_update(self, request, slug, pk):
        """Give another role, pause, resume or remove."""
        member, data = self.get_object(), valid_input(MemberChange, request)
        changes = {
            "active": people.resume_member,
            "paused": people.pause_member,
            "removed": people.remove_member,
        }
        with transaction.atomic():  # both, or neither
            if "role" in data:
                people.change_role(membership=member, role=data["role"], acting_user=request.user)
            if "status" in data:
                changes[data["status"]](membership=member, acting_user=request.user)
        return Response(MemberSerializer(member).data)

    @extend_schema(responses=ErasureExtent)
    def extent(self, request, slug, pk):
        """What erasing this person would take away, and what would stay under their pseudonym."""
        return Response(ErasureExtent(erasure.measure_extent(self.get_object().user)).data)

    @extend_schema(
        request=ErasureInput,
        responses=ErasureExtent,
        examples=[OpenApiExample("Erase", value={"confirm": "ann"}, request_only=True)],
    )
    def erase(self, request, slug, pk):
        """Erase who this person is, in all projects and for good. Their judgments stay under the pseudonym,
        so that dataset versions can still be verified. Answers what there was.
        """
        member, data = self.get_object(), valid_input(ErasureInput, request)
        extent = erasure.erase_person(
            user=member.user, acting_user=request.user, confirmation=data["confirm"]
        )
        return Response(ErasureExtent(extent).data)


class InvitationSerializer(serializers.ModelSerializer):
    class Meta:
        model = Invitation
        fields = ["id", "email", "role", "created_at", "expires_at", "accepted_at", "revoked_at"]


class NewInvitationSerializer(InvitationSerializer):
    url = serializers.CharField(help_text="Shown here once; it works once.")

    class Meta(InvitationSerializer.Meta):
        fields = [*InvitationSerializer.Meta.fields, "url"]


class InvitationInput(serializers.Serializer):
    email = serializers.EmailField(max_length=254)
    role = serializers.ChoiceField(choices=Role.choices, default=Role.ANNOTATOR)
    days = serializers.IntegerField(min_value=1, max_value=60, default=7)


class Invitations(ProjectRows):
    serializer_class = InvitationSerializer
    policy = {
        "list": Action.VIEW_PEOPLE,
        "retrieve": Action.VIEW_PEOPLE,
        "create": Action.INVITE_ANNOTATORS,
        "destroy": Action.INVITE_ANNOTATORS,
    }
    search_fields = ["email"]
    queryset = Invitation.objects.none()

    def get_queryset(self):
        return self.project.invitations.all()

    @extend_schema(
        request=InvitationInput,
        responses={201: NewInvitationSerializer},
        examples=[
            OpenApiExample(
                "Invite", value={"email": "ann@example.com", "role": "annotator"}, request_only=True
            )
        ],
    )
    def create(self, request, slug):
        invitation, token = people.invite_person(
            project=self.project,
            acting_user=request.user,
            acting_membership=self.membership,
            **valid_input(InvitationInput, request),
        )
        shown = {**InvitationSerializer(invitation).data, "url": people.invitation_url(token)}
        return Response(shown, status=status.HTTP_201_CREATED)

    @takes_nothing(responses={204: None})
    def destroy(self, request, slug, pk):
        """Withdraw an open invitation."""
        people.revoke_invitation(invitation=self.get_object(), acting_user=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


urlpatterns = [
    path(f"{PROJECT}members/", Members.as_view(LIST), name="api_members"),
    path(
        f"{PROJECT}members/<int:pk>/",
        Members.as_view(ONE | {"patch": "partial_update"}),
        name="api_member",
    ),
    path(
        f"{PROJECT}members/<int:pk>/erasure/",
        Members.as_view({"get": "extent", "post": "erase"}),
        name="api_member_erasure",
    ),
    path(
        f"{PROJECT}invitations/",
        Invitations.as_view(LIST_CREATE),
        name="api_invitations",
    ),
    path(
        f"{PROJECT}invitations/<int:pk>/",
        Invitations.as_view(ONE | {"delete": "destroy"}),
        name="api_invitation",
    ),
]
