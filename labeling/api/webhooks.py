"""REST: webhooks and their deliveries."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.response import Response
from rest_framework.views import APIView

from annotate.api.bodies import takes_nothing, valid_input
from labeling.models import DeliveryStatus, Webhook, WebhookDelivery
from labeling.models.webhook import WEBHOOK_EVENTS
from labeling.permissions import Action
from labeling.services import webhooks

from .base import LIST, LIST_CREATE, PROJECT, ProjectRows, ProjectViewMixin

EVENTS_HELP = f"Any of {', '.join(WEBHOOK_EVENTS)}."


class WebhookSerializer(serializers.ModelSerializer):
    events = serializers.ListField(child=serializers.CharField(), help_text=EVENTS_HELP)
    is_active = serializers.BooleanField()

    class Meta:
        model = Webhook
        fields = [
            "id", "url", "events", "is_active", "disabled_at", "disabled_reason", "failing_since",
            "created_at",
        ]  # fmt: skip


class NewWebhookSerializer(WebhookSerializer):
    secret = serializers.CharField(help_text="What deliveries are signed with. Shown this once.")

    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]


class WebhookInput(serializers.Serializer):
    url = serializers.CharField(max_length=500)
    events = serializers.ListField(child=serializers.CharField(max_length=40), help_text=EVENTS_HELP)


class WebhookChange(serializers.Serializer):
    url = serializers.CharField(max_length=500, required=False)
    events = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, help_text=EVENTS_HELP
    )
    is_active = serializers.BooleanField(required=False)


class SecretSerializer(serializers.Serializer):
    secret = serializers.CharField()


class DeliverySerializer(serializers.ModelSerializer):
    status = serializers.ChoiceField(choices=DeliveryStatus.choices)

    class Meta:
        model = WebhookDelivery
        fields = [
            "id", "uuid", "webhook", "event", "status", "attempts", "created_at", "last_tried_at",
            "next_try_at",
            "response_status", "response_body", "error", "milliseconds", "body",
        ]  # fmt: skip


class Webhooks(ProjectRows):
    """Addresses that are told of a project's events (admins)."""

    serializer_class = WebhookSerializer
    policy = dict.fromkeys(
        ("list", "create", "retrieve", "partial_update", "destroy"), Action.MANAGE_WEBHOOKS
    )
    queryset = Webhook.objects.none()
    filter_backends = []

    def get_queryset(self):
        return self.project.webhooks.all()

    @extend_schema(
        request=WebhookInput,
        responses={201: NewWebhookSerializer},
        examples=[
            OpenApiExample(
                "Told of reviews and ended runs",
                value={
                    "url": "https://hooks.example.org/annotate",
                    "events": ["submission.reviewed", "run.ended"],
                },
                request_only=True,
            )
        ],
    )
    def create(self, request, slug):
        """Make one. The answer carries its secret, which is shown this once."""
        data = valid_input(WebhookInput, request)
        webhook, secret = webhooks.create_webhook(project=self.project, acting_user=request.user, **data)
        webhook.secret = secret  # type: ignore[attr-defined]  # for the answer only
        return Response(NewWebhookSerializer(webhook).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=WebhookChange, responses=WebhookSerializer)
    def partial_update(self, request, slug, pk):
        """Change address or events, disable it or take it into use again."""
        data = valid_input(WebhookChange, request)
        found = webhooks.find_webhook(project=self.project, pk=pk)
        changed = webhooks.change_webhook(webhook=found, acting_user=request.user, **data)
        return Response(WebhookSerializer(changed).data)

    @takes_nothing(responses={204: None})
    def destroy(self, request, slug, pk):
        found = webhooks.find_webhook(project=self.project, pk=pk)
        webhooks.delete_webhook(webhook=found, acting_user=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class WebhookTest(ProjectViewMixin, APIView):
    policy = {"post": Action.MANAGE_WEBHOOKS}

    @takes_nothing(responses={202: DeliverySerializer})
    def post(self, request, slug, pk):
        """Queue a delivery that says only that it is a test."""
        found = webhooks.find_webhook(project=self.project, pk=pk)
        delivery = webhooks.send_test(webhook=found, acting_user=request.user)
        return Response(DeliverySerializer(delivery).data, status=status.HTTP_202_ACCEPTED)


class WebhookSecret(ProjectViewMixin, APIView):
    policy = {"post": Action.MANAGE_WEBHOOKS}

    @takes_nothing(responses=SecretSerializer)
    def post(self, request, slug, pk):
        """A new secret in place of the old one; shown this once."""
        found = webhooks.find_webhook(project=self.project, pk=pk)
        return Response({"secret": webhooks.renew_secret(webhook=found, acting_user=request.user)})


class WebhookDeliveries(ProjectRows):
    """The log of one webhook, newest first."""

    serializer_class = DeliverySerializer
    policy = {"list": Action.MANAGE_WEBHOOKS}
    queryset = WebhookDelivery.objects.none()
    filterset_fields = ["status", "event"]

    def get_queryset(self):
        if "pk" not in self.kwargs:  # the schema is being made
            return WebhookDelivery.objects.none()
        return webhooks.find_webhook(project=self.project, pk=self.kwargs["pk"]).deliveries.all()


class DeliveryResend(ProjectViewMixin, APIView):
    policy = {"post": Action.MANAGE_WEBHOOKS}

    @takes_nothing(responses={202: DeliverySerializer})
    def post(self, request, slug, pk):
        """Send the same body under the same id again."""
        found = webhooks.find_delivery(project=self.project, pk=pk)
        delivery = webhooks.resend_delivery(delivery=found, acting_user=request.user)
        return Response(DeliverySerializer(delivery).data, status=status.HTTP_202_ACCEPTED)


HOOK = f"{PROJECT}webhooks/<int:pk>/"
ONE_HOOK: dict[str, Any] = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}

urlpatterns = [
    path(f"{PROJECT}webhooks/", Webhooks.as_view(LIST_CREATE), name="api_webhooks"),
    path(HOOK, Webhooks.as_view(ONE_HOOK), name="api_webhook"),
    path(f"{HOOK}test/", WebhookTest.as_view(), name="api_webhook_test"),
    path(f"{HOOK}secret/", WebhookSecret.as_view(), name="api_webhook_secret"),
    path(f"{HOOK}deliveries/", WebhookDeliveries.as_view(LIST), name="api_webhook_deliveries"),
    path(
        f"{PROJECT}webhook-deliveries/<int:pk>/resend/", DeliveryResend.as_view(), name="api_delivery_resend"
    ),
]
