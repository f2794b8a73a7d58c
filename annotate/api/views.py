"""The site's own endpoints: the schema, its docs, who am I, and my tokens."""

from __future__ import annotations

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib.auth.views import redirect_to_login
from django.utils.decorators import method_decorator
from drf_spectacular.utils import OpenApiExample, extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from annotate.accounts import services
from annotate.accounts.models import ApiToken
from annotate.accounts.preferences import change_preferences, preferences_of
from annotate.api.bodies import takes_nothing, valid_input
from annotate.api.filters import refuse_unknown
from annotate.api.serializers import (
    MeSerializer,
    NewTokenSerializer,
    PreferencesSerializer,
    TokenInputSerializer,
    TokenSerializer,
)
from annotate.errors import Invalid, NotFound


class Schema(SpectacularAPIView):
    permission_classes = [IsAuthenticated]


# Swagger UI writes inline styles: this page alone may. Its script comes as a file (the "split" view).
@method_decorator(csp_update({"style-src": [SELF, UNSAFE_INLINE]}), name="dispatch")
class Docs(SpectacularSwaggerSplitView):
    template_name = "api_docs.html"
    permission_classes = [IsAuthenticated]
    renderer_classes = [TemplateHTMLRenderer]

    def handle_exception(self, exc):
        """A person without a session is sent to sign in: this is a page, not an endpoint."""
        if isinstance(exc, NotAuthenticated):
            return redirect_to_login(self.request.get_full_path())
        return super().handle_exception(exc)


class Me(APIView):
    @extend_schema(summary="Who am I", responses=MeSerializer, tags=["account"])
    def get(self, request):
        return Response(MeSerializer(request.user).data)


class Preferences(APIView):
    @extend_schema(summary="My preferences", responses=PreferencesSerializer, tags=["account"])
    def get(self, request):
        return Response(preferences_of(request.user))

    @extend_schema(
        summary="Change some of my preferences",
        request=PreferencesSerializer,
        responses=PreferencesSerializer,
        tags=["account"],
        examples=[
            OpenApiExample("One above the other", value={"ranking_layout": "stacked"}, request_only=True)
        ],
    )
    def patch(self, request):
        """What is not named stays. Every device of the caller's knows."""
        if not isinstance(request.data, dict):
            raise Invalid("Send an object with the preferences to change.")
        change_preferences(user=request.user, changes=dict(request.data))
        return Response(preferences_of(request.user))


class Tokens(APIView):
    @extend_schema(summary="My API tokens", responses=TokenSerializer(many=True), tags=["account"])
    def get(self, request):
        refuse_unknown(request, ())
        return Response(TokenSerializer(ApiToken.objects.filter(user=request.user), many=True).data)

    @extend_schema(
        summary="Make an API token",
        request=TokenInputSerializer,
        responses={201: NewTokenSerializer},
        tags=["account"],
    )
    def post(self, request):
        data = valid_input(TokenInputSerializer, request)
        token, text = services.create_api_token(user=request.user, **data)
        return Response({**TokenSerializer(token).data, "token": text}, status=201)


class Token(APIView):
    @takes_nothing(summary="Revoke an API token", responses={204: None}, tags=["account"])
    def delete(self, request, digest):
        services.revoke_api_token(user=request.user, digest=digest)
        return Response(status=204)


@extend_schema(exclude=True)
class Nothing(APIView):
    """Any other address below /api/: a 404 in the API's own shape."""

    permission_classes = [AllowAny]
    throttle_classes = ()

    def initial(self, request, *args, **kwargs):
        raise NotFound("There is no such endpoint.", hint="See /api/docs/ for those there are.")
