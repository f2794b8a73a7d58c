"""REST: comments on a piece of work, and threads for leads."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.response import Response
from rest_framework.views import APIView

from annotate.api.bodies import valid_input
from labeling import talk
from labeling.models import Comment, CommentThread
from labeling.permissions import Action
from labeling.services import comments

from .base import LIST, PROJECT, ProjectViewMixin


class CommentSerializer(serializers.ModelSerializer):
    author = serializers.CharField(source="author.name", help_text="As on the pages.")

    class Meta:
        model = Comment
        fields = ["id", "author", "text", "created_at"]


class TalkSerializer(serializers.Serializer):
    """All that was said about a piece; `id` and `is_open` are null before the first word, `submission` while
    the work is in hand.
    """

    id = serializers.IntegerField(source="thread.pk", default=None, allow_null=True)
    submission = serializers.IntegerField(source="submission.pk", default=None, allow_null=True)
    is_open = serializers.BooleanField(source="thread.is_open", default=None, allow_null=True)
    handles = serializers.ListField(child=serializers.CharField(), help_text="Who can be mentioned.")
    comments = CommentSerializer(many=True)


class CommentInput(serializers.Serializer):
    text = serializers.CharField(max_length=comments.LONGEST_COMMENT, help_text="Markdown.")


class TalkState(serializers.Serializer):
    is_open = serializers.BooleanField()


class ThreadSerializer(serializers.ModelSerializer):
    submission = serializers.IntegerField(
        source="submission_pk", allow_null=True, help_text="Null while the work is in hand."
    )
    person = serializers.CharField(
        source="person.name", default=None, allow_null=True, help_text="Whose work; null for an import."
    )
    comment_count = serializers.IntegerField()
    last_author = serializers.CharField(source="last_author.name")

    class Meta:
        model = CommentThread
        fields = [
            "id",
            "submission",
            "task",
            "person",
            "is_open",
            "started_at",
            "last_comment_at",
            "last_author",
            "comment_count",
        ]


class Talk(ProjectViewMixin, APIView):
    """About one's own work; leads about anybody's."""

    policy = dict.fromkeys(("get", "post", "patch"), Action.VIEW_OWN_WORK)
    find = staticmethod(comments.find_discussed)  # what the number in the address is of

    def _piece(self, pk: int) -> talk.Piece:
        return self.find(project=self.project, membership=self.membership, user=self.request.user, pk=pk)

    def _all(self, piece: talk.Piece):
        return TalkSerializer(talk.talk_of(piece, self.request.user)).data

    @extend_schema(responses=TalkSerializer)
    def get(self, request, slug, pk):
        return Response(self._all(self._piece(pk)))

    @extend_schema(
        request=CommentInput,
        responses={201: CommentSerializer},
        examples=[
            OpenApiExample(
                "A question", value={"text": "@Lena does a list count as one sentence?"}, request_only=True
            )
        ],
    )
    def post(self, request, slug, pk):
        """Say something; whom it mentions and concerns is told. Opens the thread."""
        piece = self._piece(pk)
        data = valid_input(CommentInput, request)
        comment = comments.add_comment(piece=piece, author=request.user, **data)
        return Response(CommentSerializer(comment).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=TalkState, responses=TalkSerializer)
    def patch(self, request, slug, pk):
        """Settle it (`is_open` false) or open it again."""
        piece = self._piece(pk)
        data = valid_input(TalkState, request)
        comments.settle_thread(piece=piece, acting_user=request.user, **data)
        return Response(self._all(piece))


class TalkInHand(Talk):
    """About the task in hand, before anything is submitted: one's own slot; leads that of whoever has it."""

    find = staticmethod(comments.find_in_hand)


class Thread(Talk):
    """One thread, whatever it is about."""

    find = staticmethod(comments.find_thread)


class Threads(ProjectViewMixin, mixins.ListModelMixin, viewsets.GenericViewSet):
    """Threads of everybody's work (leads)."""

    serializer_class = ThreadSerializer
    policy = {"list": Action.REVIEW}
    filterset_fields = ["is_open"]
    queryset = CommentThread.objects.none()

    def get_queryset(self):
        return talk.threads_of(self.project).order_by("last_comment_at", "pk")


urlpatterns = [
    path(f"{PROJECT}submissions/<int:pk>/comments/", Talk.as_view(), name="api_comments"),
    path(f"{PROJECT}assignments/<int:pk>/comments/", TalkInHand.as_view(), name="api_comments_in_hand"),
    path(f"{PROJECT}comments/<int:pk>/", Thread.as_view(), name="api_comment_thread"),
    path(f"{PROJECT}comments/", Threads.as_view(LIST), name="api_comment_threads"),
]
