"""REST: the audit trail, and the caller's notifications."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.urls import path
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from annotate.api.bodies import takes_nothing
from labeling.models import AuditEvent, Notification
from labeling.permissions import Action
from labeling.services import notifications
from labeling.services.activity import SYSTEM

from .base import LIST, PROJECT, ProjectViewMixin


class AuditSerializer(serializers.ModelSerializer):
    actor = serializers.CharField(source="actor.pseudonym", default=None)
    seal = serializers.IntegerField(
        source="seal.number", default=None, help_text="The seal it is under; none for its first minute."
    )

    class Meta:
        model = AuditEvent
        fields = ["id", "action", "actor", "object_type", "object_id", "data", "created_at", "seal"]


class AuditFilter(django_filters.FilterSet):
    actor = django_filters.CharFilter(
        method="by_actor", help_text="A pseudonym; “system” for what nobody asked for."
    )
    day__gte = django_filters.DateFilter(field_name="created_at", lookup_expr="date__gte")
    day__lte = django_filters.DateFilter(field_name="created_at", lookup_expr="date__lte")

    class Meta:
        model = AuditEvent
        fields = ["action", "object_type", "object_id"]

    def by_actor(self, rows: QuerySet, name: str, value: str) -> QuerySet:
        return rows.filter(actor=None) if value == SYSTEM else rows.filter(actor__pseudonym=value)


class Audit(ProjectViewMixin, mixins.ListModelMixin, viewsets.GenericViewSet):
    serializer_class = AuditSerializer
    policy = {"list": Action.VIEW_AUDIT}
    filterset_class = AuditFilter
    queryset = AuditEvent.objects.none()

    def get_queryset(self):
        return self.project.audit_events.select_related("actor", "seal")


class NotificationSerializer(serializers.ModelSerializer):
    project = serializers.CharField(source="project.slug", default=None)

    class Meta:
        model = Notification
        fields = ["id", "project", "kind", "text", "path", "created_at", "read_at"]


class NotificationFilter(django_filters.FilterSet):
    is_read = django_filters.BooleanFilter(field_name="read_at", lookup_expr="isnull", exclude=True)
    project = django_filters.CharFilter(field_name="project__slug")

    class Meta:
        model = Notification
        fields = ["kind"]


class Notifications(mixins.ListModelMixin, viewsets.GenericViewSet):
    """The caller's own notifications."""

    request: Any  # DRF's, of somebody who is signed in

    serializer_class = NotificationSerializer
    permission_classes = [IsAuthenticated]
    policy = {"list": "signed in", "read_all": "signed in"}
    queryset = Notification.objects.none()
    filterset_class = NotificationFilter

    def get_queryset(self):
        return self.request.user.notifications.select_related("project")

    @takes_nothing(responses={204: None})
    def read_all(self, request):
        notifications.mark_all_read(user=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


urlpatterns = [
    path(f"{PROJECT}audit/", Audit.as_view(LIST), name="api_audit"),
    path("notifications/", Notifications.as_view(LIST), name="api_notifications"),
    path("notifications/read/", Notifications.as_view({"post": "read_all"}), name="api_notifications_read"),
]
