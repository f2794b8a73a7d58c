"""REST: comments on a piece of work, and threads for leads."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling import talk
from labeling.models import Comment, CommentThread
from labeling.permissions import Action
from labeling.services import comments

from .base import LIST, PROJECT, ProjectViewMixin, valid_input


class CommentSerializer(serializers.ModelSerializer):
    author = serializers.CharField(source="author.name", help_text="As on the pages.")

    class Meta:
        model = Comment
        fields = ["id", "author", "text", "created_at"]


class TalkSerializer(serializers.Serializer):
    """All that was said about a piece; `is_open` is null before the first word."""

    submission = serializers.IntegerField(source="submission.pk")
    is_open = serializers.BooleanField(source="thread.is_open", default=None, allow_null=True)
    handles = serializers.ListField(child=serializers.CharField(), help_text="Who can be mentioned.")
    comments = CommentSerializer(many=True)


class CommentInput(serializers.Serializer):
    text = serializers.CharField(max_length=comments.LONGEST_COMMENT, help_text="Markdown.")


class TalkState(serializers.Serializer):
    is_open = serializers.BooleanField()


class ThreadSerializer(serializers.ModelSerializer):
    comment_count = serializers.IntegerField()
    last_author = serializers.CharField(source="last_author.name")

    class Meta:
        model = CommentThread
        fields = ["submission", "is_open", "started_at", "last_comment_at", "last_author", "comment_count"]


class Talk(ProjectViewMixin, APIView):
    """About one's own work; leads about anybody's."""

    policy = dict.fromkeys(("get", "post", "patch"), Action.VIEW_OWN_WORK)

    def _submission(self, pk: int):
        return comments.find_discussed(
            project=self.project, membership=self.membership, user=self.request.user, pk=pk
        )

    @extend_schema(responses=TalkSerializer)
    def get(self, request, slug, pk):
        return Response(TalkSerializer(talk.talk_of(self._submission(pk), request.user)).data)

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
        submission = self._submission(pk)
        data = valid_input(CommentInput, request)
        comment = comments.add_comment(submission=submission, author=request.user, **data)
        return Response(CommentSerializer(comment).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=TalkState, responses=TalkSerializer)
    def patch(self, request, slug, pk):
        """Settle it (`is_open` false) or open it again."""
        submission = self._submission(pk)
        data = valid_input(TalkState, request)
        comments.settle_thread(submission=submission, acting_user=request.user, **data)
        return Response(TalkSerializer(talk.talk_of(submission, request.user)).data)


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
    path(f"{PROJECT}comments/", Threads.as_view(LIST), name="api_comment_threads"),
]
